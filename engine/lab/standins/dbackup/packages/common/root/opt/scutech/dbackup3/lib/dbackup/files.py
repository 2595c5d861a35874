"""Stand-in for DBackup: release, paths, and how small files are written."""
import os

RELEASE = '@VERSION@'
ROOT = '/opt/scutech/dbackup3'
VAR = '/var/opt/scutech/dbackup3'
RUN = '/run/dbackup3'
HA_INFO = VAR + '/agent/ha.info'
HA_STATE = VAR + '/agent/ha.state'
STANDBY_DIR = VAR + '/agent/standby'
MYSQL_CONF = VAR + '/common/mysql.conf'
OLD_MYSQL_CONF = VAR + '/backupd/database-conf.d/mysql.conf'
COMMON_CONF = VAR + '/common/common.conf'
PORT = 50309
HEARTBEAT_PORT = 554


def read_text(path):
    """The whole file, or None when it is not there."""
    try:
        with open(path, encoding='utf-8') as file:
            return file.read()
    except FileNotFoundError:
        return None


def read_pairs(path):
    """Lines `key=value` as a dict; empty when the file is not there."""
    pairs = (line.partition('=') for line in (read_text(path) or '').splitlines())
    return {key.strip(): value.strip() for key, sep, value in pairs if sep and not key.startswith('#')}


def write_private(path, text):
    """Replaces the file in one step, readable by root alone, and on the disk before it returns."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f'{path}.{os.getpid()}.new'
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_pairs(path, pairs):
    """The dict as lines `key=value`, in one step."""
    write_private(path, ''.join(f'{key}={value}\n' for key, value in pairs.items()))


def remove(path):
    """True if there was something to remove."""
    try:
        os.remove(path)
        return True
    except FileNotFoundError:
        return False


def log(sentence):
    """One sentence on what was done and why, in the log of hactl."""
    import time

    os.makedirs('/var/log/dbackup3', exist_ok=True)
    with open('/var/log/dbackup3/hactl.log', 'a', encoding='utf-8') as file:
        file.write(f'{time.strftime("%Y-%m-%dT%H:%M:%S%z")} {sentence}\n')
