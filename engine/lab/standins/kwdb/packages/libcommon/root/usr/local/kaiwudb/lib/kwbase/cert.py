"""Stand-in for KWDB: `kwbase cert`, by openssl."""
import ipaddress
import os
import subprocess
import tempfile

from . import Refused

DAYS = '1825'


def openssl(*arguments):
    done = subprocess.run(['openssl', *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f'openssl: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed"}')
    return done.stdout


def find_ca_key(options):
    """The document writes `--ca-key=ca.key`, from wherever the operator is: then it is the one in --certs-dir."""
    given = options.get('ca-key') or 'ca.key'
    there = os.path.join(options['certs-dir'], given)
    return given if os.path.isabs(given) or os.path.exists(given) or not os.path.exists(there) else there


def place(folder, pairs, is_overwrite):
    """Both files or none, and none over what is there."""
    for name, _ in pairs:
        if os.path.exists(os.path.join(folder, name)) and not is_overwrite:
            raise Refused(f'could not write {name}: {os.path.join(folder, name)} exists; delete it first, or --overwrite')
    for name, path in pairs:
        os.chmod(path, 0o700 if name.endswith('.key') else 0o644)
        os.replace(path, os.path.join(folder, name))


def make(folder, name, key, subject, extensions, signer, is_overwrite):
    with tempfile.TemporaryDirectory(dir=folder, prefix='.new-') as work:
        new = [os.path.join(work, 'crt'), os.path.join(work, 'key')]
        added = [word for extension in extensions for word in ('-addext', extension)]
        words = ['-newkey', 'rsa:2048', '-nodes', '-days', DAYS, '-subj', f'/O=KaiwuDB stand-in/CN={subject}']
        openssl('req', '-x509', '-batch', *words, '-out', new[0], '-keyout', new[1], *added, *signer)
        place(folder, [(key, new[1]), (name, new[0])], is_overwrite)


def alternative(name):
    try:
        return f'IP:{ipaddress.ip_address(name)}'
    except ValueError:
        return f'DNS:{name}'


def create(kind, names, options):
    folder = options.get('certs-dir')
    if not folder or not os.path.isdir(folder):
        raise Refused(f'no directory of certificates: --certs-dir={folder or ""}')
    is_overwrite = 'overwrite' in options
    if kind == 'create-ca':
        if os.path.exists(find_ca_key(options)):
            raise Refused(f'{find_ca_key(options)} exists')
        return make(folder, 'ca.crt', find_ca_key(options), 'KaiwuDB CA', ['keyUsage=critical,keyCertSign,cRLSign'], [], is_overwrite)
    signer = ['-CA', os.path.join(folder, 'ca.crt'), '-CAkey', find_ca_key(options)]
    usage = ['basicConstraints=critical,CA:FALSE', 'keyUsage=digitalSignature,keyEncipherment']
    if kind == 'create-node':
        if not names:
            raise Refused('create-node wants the addresses and names of the node')
        extensions = [*usage, 'extendedKeyUsage=serverAuth,clientAuth', f'subjectAltName={",".join(map(alternative, names))}']
        return make(folder, 'node.crt', 'node.key', 'node', extensions, signer, is_overwrite)
    if len(names) != 1:
        raise Refused('create-client wants one user')
    user = names[0]
    extensions = [*usage, 'extendedKeyUsage=clientAuth']
    return make(folder, f'client.{user}.crt', f'client.{user}.key', user, extensions, signer, is_overwrite)


def show(options):
    folder = options.get('certs-dir') or '.'
    print('Certificate directory:', folder)
    for name in sorted(os.listdir(folder)):
        if name.endswith('.crt'):
            told = openssl('x509', '-in', os.path.join(folder, name), '-noout', '-subject', '-enddate', '-ext', 'subjectAltName')
            lines = [line.strip() for line in told.splitlines()]
            print(name, '|', ' | '.join(line for line in lines if line and not line.startswith('X509v3')))
