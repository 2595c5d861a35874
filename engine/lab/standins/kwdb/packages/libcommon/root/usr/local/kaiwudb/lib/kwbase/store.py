"""Stand-in for KWDB: `kwbase start-single-node`, which is MariaDB on the store."""
import os
import pwd
import shutil
import signal
import subprocess
import sys

from . import VERSION, Refused

RUN = '/run/kaiwudb'
SOCKET = f'{RUN}/kaiwudb.sock'
# No configuration file of this machine may count: the store goes from node to node.
COMMON = ['--no-defaults', '--innodb-log-file-size=16M', '--innodb-buffer-pool-size=64M']
OWN = {'lost+found', '.initialising'}


def prepare(store):
    """The database of the store; made where the store is a mounted and empty file system."""
    data = os.path.join(store, 'mariadb')
    if os.path.isdir(data):
        return data
    if not os.path.isdir(store):
        raise Refused(f'the data root {store} is not there')
    others = sorted(set(os.listdir(store)) - OWN)
    if others:
        raise Refused(f'the data root {store} holds what is not KWDB\'s: {", ".join(others[:3])}')
    if not os.path.ismount(store):
        # The product would begin a store of its own here, beside the one that DRBD has.
        raise Refused(f'the data root {store} is empty and nothing is mounted there')
    initialise(store, data)
    return data


def initialise(store, data):
    new = os.path.join(store, '.initialising')
    shutil.rmtree(new, ignore_errors=True)
    account = ['--skip-test-db', '--auth-root-authentication-method=socket', '--auth-root-socket-user=root']
    command = ['mariadb-install-db', *COMMON, f'--datadir={new}', f'--user={me()}', *account]
    # What it runs has nothing to tell systemd.
    quiet = {name: value for name, value in os.environ.items() if name != 'NOTIFY_SOCKET'}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode:
        raise Refused(f'the store cannot be made: {(done.stdout + done.stderr).strip().splitlines()[-1:]}')
    os.sync()
    os.rename(new, data)
    print(f'the store {store} is made', flush=True)


def accounts(is_secure):
    """At every start, for the store may have run in the other mode."""
    proof = "REQUIRE SUBJECT '/O=KaiwuDB stand-in/CN=root'" if is_secure else 'REQUIRE NONE'
    return f"""
        CREATE DATABASE IF NOT EXISTS defaultdb;
        DELETE FROM mysql.global_priv WHERE User = '';
        DELETE FROM mysql.proxies_priv;
        CREATE USER IF NOT EXISTS root@'%';
        ALTER USER root@'%' {proof};
        GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
        CREATE USER IF NOT EXISTS {me()}@localhost IDENTIFIED VIA unix_socket;
        GRANT RELOAD ON *.* TO {me()}@localhost;
    """


def me():
    return pwd.getpwuid(os.getuid()).pw_name


def start(options):
    data = prepare(options['store'])
    host, _, port = options.get('listen-addr', '0.0.0.0:26257').rpartition(':')
    folder = options.get('certs-dir')
    if not folder and 'insecure' not in options:
        raise Refused('either --insecure or --certs-dir=DIR is wanted')
    tls = []
    if folder:
        files = {word: os.path.join(folder, name) for word, name in (('ca', 'ca.crt'), ('cert', 'node.crt'), ('key', 'node.key'))}
        missing = [path for path in files.values() if not os.access(path, os.R_OK)]
        if missing:
            raise Refused(f'cannot load certificates: {missing[0]} cannot be read')
        tls = [*(f'--ssl-{word}={path}' for word, path in files.items()), '--require-secure-transport=ON']
    begin = f'{RUN}/begin.sql'
    with open(begin, 'w', encoding='utf-8') as file:
        file.writelines(' '.join(line.split()) + '\n' for line in accounts(bool(folder)).splitlines() if line.strip())
    served = subprocess.run(['mariadbd', '--no-defaults', '--version'], capture_output=True, text=True, check=True).stdout.split()[2]
    serve([
        'mariadbd', *COMMON, f'--datadir={data}', f'--bind-address={host or "0.0.0.0"}', f'--port={port}', f'--socket={SOCKET}',
        f'--pid-file={RUN}/kaiwudb.pid', f'--init-file={begin}', '--skip-name-resolve', '--character-set-server=utf8mb4',
        f'--version={served.split("-")[0]}-KWDB-{VERSION}-stand-in', '--ignore-db-dirs=lost+found', *tls,
    ])


def serve(command):
    """Stays its parent, for at SIGHUP the product reads its certificates again, and MariaDB does not."""
    server = subprocess.Popen(command)

    def reload(*_):
        client = ['mariadb', '--no-defaults', f'--socket={SOCKET}', f'--user={me()}', '--execute=FLUSH SSL']
        if subprocess.run(client, check=False).returncode == 0:
            print('the certificates are read again', flush=True)

    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    code = server.wait()
    sys.exit(128 - code if code < 0 else code)
