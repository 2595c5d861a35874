"""Stand-in for DBackup: promote, demote, failover on and off, and what keepalived's notices lead to."""
import subprocess
import sys

from dbackup.cluster import (
    FAULT, HELD, Refused, fit_priority, hold, is_keepalived_running, is_mounted, load_state,
    may_take_vips, operating, set_priority, update_state, wait_until,
)
from dbackup.database import DatabaseError, Session
from dbackup.files import log, remove
from dbackup.peer import ask_one, find_peer, get

CATCH_UP_SECONDS = 10


class PeerIsPrimary(Refused):
    """Two nodes would write: the worst that can happen."""


def promote(info, is_automatic=False):
    """Makes this node Primary: nothing of the old one's is lost that can still be had."""
    with operating():
        state = load_state()
        with Session() as database:
            if not state.is_primary or database.is_read_only():
                peer = settled_peer(info, is_automatic)
                catch_up(database, info, peer, is_automatic)
                database.set_read_only(False)
                state = update_state(role='primary', unheard='' if peer else 'yes')
                log(f'{info.node} is Primary, {"by keepalived" if is_automatic else "by the operator"}')
        remove(HELD)
        # A new priority makes keepalived start its wait for the other node's silence again: if it is
        # already about to take the VIPs, it is let.
        if may_take_vips():
            wait_until(lambda: all(map(is_mounted, info.vips)), 0.3)
        fit_priority(state)
        start_backupd()
    if not is_automatic:
        expect_vips(info)


def settled_peer(info, is_automatic):
    """The peer's answer, once it is no longer Primary and has finished its demotion; None if it is silent."""
    request = {'ask': 'state', 'position': True}
    found = [find_peer(info, request)]

    def is_settled():
        peer = found[0]
        if not peer or (peer['role'] != 'primary' and not peer.get('busy')):
            return True
        if peer['role'] == 'primary' and not is_automatic:
            raise Refused(f'{info.peer} is Primary: demote it there first (hactl demote)')
        if peer['role'] == 'primary' and peer.get('holds'):
            raise PeerIsPrimary(f'{info.peer} is Primary and holds the VIPs: keepalived does not hear it')
        found[0] = find_peer(info, request)
        return False

    if not wait_until(is_settled, 3):
        raise Refused(f'{info.peer} is still {"Primary" if found[0]["role"] == "primary" else "being demoted"}')
    return found[0]


def catch_up(database, info, peer, is_automatic):
    """Applies all that the old Primary has; if it is silent, all that has been received."""
    replica = database.replica()
    target = peer.get('position') if peer else None
    if target:
        if replica is None or not replica['applying']:
            raise Refused(f'replication is broken ({(replica or {}).get("error") or "it is not running"}): resync first')
        if not database.wait_applied(target, CATCH_UP_SECONDS):
            raise Refused(f'replication is broken ({info.peer} has rows that do not arrive): resync first')
        return
    if replica is None:
        return
    is_whole = replica['applying'] and database.wait_applied(replica['received'], CATCH_UP_SECONDS)
    if is_whole:
        return
    reason = f'not all that was received is applied ({replica["error"] or "the applier is stopped"})'
    if is_automatic:
        raise Refused(reason)
    print(f'warning: {reason}; going on without {info.peer}', file=sys.stderr)


def start_backupd():
    """backupd may already run as standby: it then serves from the next request on."""
    if get('127.0.0.1', '/status.json', 2) is None:
        subprocess.run(['systemctl', 'start', '--no-block', 'dbackup3-backupd.service'], check=False)
    if not wait_until(lambda: 'rows' in (get('127.0.0.1', '/health', 2) or {}), 10):
        raise Refused('backupd does not serve: see journalctl -u dbackup3-backupd')


def expect_vips(info):
    missing = []

    def is_complete():
        missing[:] = [vip for vip in info.vips if not is_mounted(vip)]
        return not missing

    if not wait_until(is_complete, 5):
        why = 'see its journal' if is_keepalived_running() else 'dbackup3-keepalived is stopped'
        raise Refused(f'this node is Primary, but {", ".join(missing)} is not mounted: {why}')


def demote(info, reason='demote'):
    """Makes this node Standby: no write is acknowledged once it has begun, none that was is left behind."""
    with operating():
        if not load_state().is_primary and is_closed():
            return
        # From here backupd acknowledges nothing; promote of the peer waits for `busy` to go.
        update_state(role='standby', busy='demote', unheard='')
        try:
            hold(reason)
            close_database(info, is_planned=reason == 'demote')
        finally:
            fit_priority(update_state(busy=''))
        log(f'{info.node} is Standby, by {"the operator" if reason == "demote" else "keepalived"}')


def is_closed():
    """Is the Catalog read-only (or out of reach, so that nothing can be done about it here)?"""
    try:
        with Session() as database:
            return database.is_read_only()
    except DatabaseError:
        return True


def close_database(info, is_planned):
    """Read-only, the peer has all rows, VIPs gone, and clients that came from elsewhere cut off; in this order."""
    try:
        database = Session()
    except DatabaseError as error:
        log(f'the Catalog of {info.node} is out of reach ({error}): it is set read-only when it is back')
        release_vips(info)
        return
    with database:
        database.set_read_only(True)
        if database.is_mariadb:
            # There administrators may write in spite of read_only: the lock stops them until their
            # connections are cut and the VIPs, by which they could come again, are gone.
            database.query('SET SESSION lock_wait_timeout = 3')
            database.query('FLUSH TABLES WITH READ LOCK')
        if is_planned:
            await_peer(info, database.position())
        release_vips(info)
        for row in database.query(
            "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
            " AND COMMAND NOT LIKE 'Binlog Dump%' AND HOST <> '' AND USER NOT IN ('system user', 'event_scheduler')"
            " AND HOST NOT LIKE 'localhost%' AND HOST NOT LIKE '127.0.0.1%'"
        ):
            try:
                database.query(f'KILL {row["id"]}')
            except DatabaseError:
                continue


def await_peer(info, end):
    """The VIPs go to a peer that has all rows: an administrator may write there as soon as he reaches it.

    A peer that is away or does not replicate is not waited for; its promotion looks for itself.
    """

    def has_all():
        peer = ask_one(info, {'ask': 'state'})
        replica = (peer or {}).get('replica')
        if not end or not replica or not (replica['receiving'] and replica['applying']):
            return True
        file, position = replica['applied']
        return (number_of(file), position) >= (number_of(end[0]), end[1])

    if not wait_until(has_all, 2):
        log(f'{info.peer} has not applied everything within 2 s')


def number_of(log_file):
    """Binary logs are numbered: `mysql234-bin.000012` is the 12th."""
    return int(log_file.rpartition('.')[2] or 0)


def release_vips(info):
    set_priority(FAULT)
    if not wait_until(lambda: not any(map(is_mounted, info.vips)), 3):
        raise Refused('a VIP is still mounted here: keepalived did not let it go')


def set_failover(info, failover):
    """For both nodes: the newer version counts, also for a peer that is away now."""
    with operating():
        state = load_state()
        peer = ask_one(info, {'ask': 'state'})
        if state.failover != failover or (peer and peer.get('failover') != failover):
            version = max(state.version, (peer or {}).get('version', 0)) + 1
            state = update_state(failover=failover, version=version)
            log(f'failover {failover}, by the operator')
        if failover == 'enabled':
            remove(HELD)
        fit_priority(state)
        reply = ask_one(info, {'ask': 'state', 'failover': failover, 'version': state.version}, 1)
    if not reply or reply.get('failover') != failover:
        print(f'warning: {info.peer} has not confirmed; it learns of it when it is back', file=sys.stderr)


def approve(info, notice):
    """What a change of keepalived's state means for this node."""
    state = load_state()
    if notice == 'MASTER':
        approve_master(info, state)
    elif notice in ('FAULT', 'STOP') and state.is_primary and state.is_enabled:
        log(f'keepalived says {notice}: {info.node} gives the cluster up')
        demote(info, 'approve')


def approve_master(info, state):
    """Automatic failover; refused, the VIPs go back at once."""
    if state.is_primary:
        return
    try:
        if not state.is_enabled:
            raise Refused('failover is disabled')
        promote(info, is_automatic=True)
    except (Refused, DatabaseError) as error:
        # keepalived may have seen its error meanwhile: a VIP that is not here need not be given back.
        if any(map(is_mounted, info.vips)) and not load_state().is_primary:
            hold('peer' if isinstance(error, PeerIsPrimary) else 'approve')
            fit_priority(load_state())
        raise Refused(f'{info.node} does not take over: {error}') from None
