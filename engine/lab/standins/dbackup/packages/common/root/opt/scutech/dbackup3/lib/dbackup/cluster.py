"""Stand-in for DBackup: what this node knows of its cluster.

ha.info says what the cluster is, ha.state what this node is in it now, and the priority file
tells keepalived (vrrp_track_file) which of the nodes may hold the VIPs.
"""
import contextlib
import fcntl
import json
import os
import re
import time

from dbackup.files import HA_INFO, HA_STATE, RUN, STANDBY_DIR, read_pairs, read_text, write_pairs, write_private

PRIORITY = RUN + '/priority'
HELD = RUN + '/held'
COLD = RUN + '/cold'
FAULT = -254


class Refused(Exception):
    """Why an operation was not done, in one sentence."""


class Info:
    """ha.info: the cluster, its two nodes and its VIPs."""

    def __init__(self, raw):
        self.uuid, self.name, self.node, self.primary = raw['uuid'], raw['name'], raw['node'], raw['primary']
        if not re.fullmatch(r'[0-9A-Za-z-]+', self.uuid):
            raise ValueError(f'uuid {self.uuid!r} is no uuid')
        nodes = {node['name']: node['heartbeats'] for node in raw['nodes']}
        others = [name for name in nodes if name != self.node]
        if self.node not in nodes or len(others) != 1:
            raise ValueError(f'{self.node!r} must be one of two nodes')
        self.peer = others[0]
        self.links = list(zip(nodes[self.node], nodes[self.peer]))
        self.interval = float(raw.get('heartbeat_interval', 1))
        self.vips = [vip['address'] for vip in raw['vips']]


def load_info():
    """The cluster of this node, or None."""
    text = read_text(HA_INFO)
    if text is None:
        return None
    try:
        return Info(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f'{HA_INFO} cannot be read: {error}') from None


@contextlib.contextmanager
def locked(name, kind, seconds):
    """Holds a lock of this node; after `seconds` it goes on without it, and says so by its value."""
    os.makedirs(RUN, exist_ok=True)
    with open(f'{RUN}/{name}.lock', 'w') as file:
        deadline = time.monotonic() + seconds
        has_lock = False
        while not has_lock and time.monotonic() < deadline:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                has_lock = True
            except OSError:
                time.sleep(0.005)
        yield has_lock


@contextlib.contextmanager
def writing():
    """Held by backupd from the look at its role until a row is committed: demote waits for it.

    The gate lets a waiting demote in before the next writer, however many there are.
    """
    with contextlib.ExitStack() as held:
        with locked('gate', fcntl.LOCK_SH, 3) as is_open:
            has_lock = held.enter_context(locked('state', fcntl.LOCK_SH, 3))
        yield is_open and has_lock


@contextlib.contextmanager
def operating():
    """One promote, demote or approve at a time on this node."""
    with locked('operation', fcntl.LOCK_EX, 15) as has_lock:
        if not has_lock:
            raise Refused('another hactl has been at work here for 15 s')
        yield


class State:
    """ha.state: role, failover with its version (of two nodes the newer counts), and whether it took over unheard."""

    def __init__(self, pairs):
        self.uuid = pairs.get('uuid', '')
        self.role = pairs.get('role', 'standby')
        self.failover = pairs.get('failover', 'disabled')
        self.version = int(pairs.get('version', '0'))
        self.busy = pairs.get('busy', '')
        self.boot = pairs.get('boot', '')
        self.is_unheard = pairs.get('unheard', '') == 'yes'

    @property
    def is_primary(self):
        return self.role == 'primary'

    @property
    def is_enabled(self):
        return self.failover == 'enabled'


def load_state():
    return State(read_pairs(HA_STATE))


def update_state(**changes):
    """Changes some of the state; a change of role waits for writes of backupd in flight."""
    with locked('gate', fcntl.LOCK_EX, 3), locked('state', fcntl.LOCK_EX, 3):
        pairs = read_pairs(HA_STATE)
        wanted = {**pairs, **{key: str(value) for key, value in changes.items()}}
        if wanted != pairs:
            write_pairs(HA_STATE, wanted)
    return State(wanted)


def boot_id():
    return (read_text('/proc/sys/kernel/random/boot_id') or '').strip()


def hold(reason):
    """Keeps this node from taking the VIPs until the agent or an operator lifts it."""
    os.makedirs(RUN, exist_ok=True)
    write_private(HELD, reason)


def set_priority(value):
    """Written in place: keepalived waits for the end of a write to this very file."""
    os.makedirs(RUN, exist_ok=True)
    if (read_text(PRIORITY) or '').strip() == str(value):
        return
    with open(PRIORITY, 'w', encoding='ascii') as file:
        file.write(f'{value}\n')


def may_take_vips():
    """Has keepalived been told that it may, if the other node falls silent."""
    return not (read_text(PRIORITY) or '-').startswith('-')


def fit_priority(state):
    """What the state of this node means to keepalived."""
    if state.is_primary:
        # The former Primary may be one still, cut off: where the clients have gone since, the VIPs stay.
        return set_priority(60 if state.is_unheard else 50)
    if not state.is_enabled or os.path.exists(HELD):
        return set_priority(FAULT)
    return set_priority(10 if os.path.exists(COLD) else 0)


def is_mounted(address):
    """Is the address one of this node's own, as the kernel's routing table has it."""
    return re.search(rf'\|-- {re.escape(address)}\n\s+/32 host LOCAL', read_text('/proc/net/fib_trie') or '') is not None


def wait_until(condition, seconds):
    """True as soon as the condition holds, False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_keepalived_running():
    pid = (read_text('/run/keepalived.pid') or '').strip()
    return pid.isdigit() and (read_text(f'/proc/{pid}/comm') or '').startswith('keepalived')


def standby_file(info):
    return f'{STANDBY_DIR}/{info.uuid}'
