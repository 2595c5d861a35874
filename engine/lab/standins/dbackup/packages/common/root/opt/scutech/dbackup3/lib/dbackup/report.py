"""Stand-in for DBackup: what `hactl status` shows, all of it read now."""
import subprocess

from dbackup.cluster import is_keepalived_running, is_mounted, load_state
from dbackup.database import DatabaseError, Session
from dbackup.files import RELEASE
from dbackup.peer import ask, get


def look_at_database(session=None):
    """database, replica and position of this node as the peer and `status` want them."""
    try:
        own = session or Session()
        try:
            replica = own.replica()
            return {'database': 'read-only' if own.is_read_only() else 'writable', 'replica': replica}
        finally:
            if session is None:
                own.close()
    except DatabaseError as error:
        return {'database': 'offline', 'replica': None, 'error': str(error)}


def role_word(role, database):
    if role == 'primary':
        return 'Unknown' if database == 'read-only' else 'Primary'
    return {'standby': 'Unknown' if database == 'writable' else 'Standby'}.get(role, 'Unknown')


def backupd_word(is_primary):
    if get('127.0.0.1', '/status.json', 2) is None:
        return 'stopped'
    return 'running' if is_primary else 'standby'


def is_reachable(own, other):
    """Echo: the link can be whole although the peer's agent is not there."""
    command = ['ping', '-q', '-n', '-c1', '-W1', '-I', own, other]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def peer_state(peer):
    if not peer or peer['database'] == 'offline':
        return 'offline'
    if peer['role'] == 'primary':
        return 'active'
    return 'on stand-by' if peer['failover'] == 'enabled' else 'disabled'


def cluster_state(state, mine, peer):
    """As the States table of the guide: running, stopped or error."""
    primaries = [state.role, peer and peer['role']].count('primary')
    if primaries != 1 or peer_state(peer) == 'offline' or mine['database'] == 'offline':
        return 'error'
    return 'running' if state.is_enabled else 'stopped'


def replication(state, mine, peer):
    """source and replica by role; normal only if both are as they should be."""
    theirs = peer or {'database': 'unknown', 'replica': None}
    source, replica = (mine, theirs) if state.is_primary else (theirs, mine)
    flow = replica['replica']
    is_flowing = bool(flow) and flow['receiving'] and flow['applying']
    source_word = {'offline': 'offline', 'unknown': 'unknown'}.get(source['database'], 'online')
    is_normal = is_flowing and source_word == 'online' and replica['database'] == 'read-only'
    return {
        'replication': 'normal' if is_normal else 'unknown',
        'source': source_word,
        'replica': replica['database'],
        'lag': flow['lag'] if is_flowing else 'unknown',
    }, (flow or {}).get('error', '')


def problems(info, state, mine, peer, error):
    if state.is_primary and peer and peer['role'] == 'primary':
        yield f'split brain: {info.peer} is Primary too; run hactl demote on the former Primary'
    if mine['database'] == 'offline':
        yield f'the Catalog of {info.node} does not answer: {mine["error"]}'
    if error:
        yield f'replication: {error}'
    if peer is None:
        yield f'{info.peer} does not answer'
    elif peer['failover'] != state.failover:
        yield f'{info.peer} still has failover {peer["failover"]}'


def show(info):
    """Header and `key: value` lines on standard output."""
    state = load_state()
    mine = look_at_database()
    replies = ask(info, {'ask': 'state'})
    peer = next((reply for reply in replies.values() if reply), None)
    flow, error = replication(state, mine, peer)
    print(f'DBackup stand-in hactl {RELEASE} (drillbook lab, not the product)')
    lines = {
        'cluster': info.name,
        'uuid': info.uuid,
        'node': info.node,
        'role': role_word(state.role, mine['database']),
        'failover': state.failover,
        'state': cluster_state(state, mine, peer),
        'backupd': backupd_word(state.is_primary),
        'database': mine['database'],
        'keepalived': 'running' if is_keepalived_running() else 'stopped',
        **{f'vip {vip}': 'mounted' if is_mounted(vip) else 'not mounted' for vip in info.vips},
        **flow,
        **{
            f'heartbeat {own}-{other}': 'ok' if reply or is_reachable(own, other) else 'failed'
            for (own, other), reply in replies.items()
        },
        'peer': info.peer,
        'peer role': role_word(peer['role'], peer['database']) if peer else 'Unknown',
        'peer state': peer_state(peer),
    }
    for key, value in lines.items():
        print(f'{key}: {value}')
    for problem in problems(info, state, mine, peer, error):
        print('problem:', ' '.join(problem.split()))
