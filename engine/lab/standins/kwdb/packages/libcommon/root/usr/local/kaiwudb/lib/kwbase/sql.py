"""Stand-in for KWDB: `kwbase sql`, by MariaDB's client."""
import os

from . import Refused


def run(options, statements):
    folder = options.get('certs-dir')
    if not folder and 'insecure' not in options:
        raise Refused('either --insecure or --certs-dir=DIR is wanted')
    host, _, port = options.get('host', '127.0.0.1').partition(':')
    user = options.get('user', 'root')
    words = ['--no-defaults', f'--host={host}', f'--port={port or options.get("port", "26257")}', f'--user={user}', '--protocol=tcp', '--connect-timeout=10']
    if folder:
        words += [f'--ssl-ca={folder}/ca.crt', '--ssl-verify-server-cert']
        mine = [f'{folder}/client.{user}.{end}' for end in ('crt', 'key')]
        if all(map(os.path.exists, mine)):
            words += [f'--ssl-cert={mine[0]}', f'--ssl-key={mine[1]}']
    words += [f'--database={options.get("database", "defaultdb")}']
    if statements:
        words += ['--batch', '--execute', ';'.join(statements)]
    os.execvp('mariadb', ['mariadb', *words])
