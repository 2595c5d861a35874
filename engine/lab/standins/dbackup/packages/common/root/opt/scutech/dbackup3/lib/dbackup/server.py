"""Stand-in for DBackup: the address of the backup server, as agent and stored keep it."""
from dbackup.dialogue import ask, offer_restart
from dbackup.files import VAR, read_pairs, write_pairs
from dbackup.peer import get


def server_of(name):
    return read_pairs(f'{VAR}/{name}/{name}.conf').get('server', '127.0.0.1')


def configure(name):
    """The dialogue of `config`."""
    server = ask(f'Please input backup server address[{server_of(name)}]: ', server_of(name))
    write_pairs(f'{VAR}/{name}/{name}.conf', {'server': server})
    offer_restart(name)


def show(name):
    """Lines of `status` about the connection, tried now."""
    server = server_of(name)
    page = get(server, '/status.json', 2)
    is_served = bool(page) and page.get('role') != 'standby'
    print(f'server: {server}\nconnection: {"connected" if is_served else "not connected"}', flush=True)
