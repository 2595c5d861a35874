"""Stand-in for DBackup: the way to MySQL, MariaDB and GreatDB, through the node's own client program.

The password is in a 0600 option file and so never an argument of a process.
"""
import os
import select
import subprocess
import time

from dbackup.files import MYSQL_CONF, OLD_MYSQL_CONF, read_pairs

NAME = 'dbackup3'


class DatabaseError(Exception):
    """What the server or its client said, in one line."""


def conf_path():
    """The option file in force: one left by an older release wins, as in the product."""
    return OLD_MYSQL_CONF if os.path.exists(OLD_MYSQL_CONF) else MYSQL_CONF


def conf():
    """host, port, user of the option file in force."""
    return {key: value.strip('"') for key, value in read_pairs(conf_path()).items()}


def option_file(host, port, user, password):
    """Text of an option file; quoted, so that any password comes through as it is."""
    quoted = password.replace('\\', '\\\\').replace('"', '\\"')
    return (
        '# Stand-in for DBackup: connection to the Catalog\n'
        f'[client]\nhost={host}\nport={port}\nuser={user}\npassword="{quoted}"\n'
    )


def literal(text):
    """A text as SQL that cannot be anything else."""
    return f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)" if text else "''"


def unescape(field):
    """Undoes what the client's batch mode does to tabs, line ends and backslashes."""
    if '\\' not in field:
        return field
    parts = field.split('\\\\')
    return '\\'.join(p.replace('\\n', '\n').replace('\\t', '\t').replace('\\0', '\0') for p in parts)


class Session:
    """One connection, held open by a client process, so that locks and settings of it last."""

    def __init__(self, option_path=None, timeout=5.0):
        self.timeout = timeout
        self.count = 0
        self.buffer = b''
        client = '/usr/bin/mariadb' if os.path.exists('/usr/bin/mariadb') else '/usr/bin/mysql'
        options = ['--batch', '--unbuffered', '--force', '--column-names', '--connect-timeout=2']
        options.append('--default-character-set=utf8mb4')
        self.process = subprocess.Popen(
            [client, '--defaults-file=' + (option_path or conf_path()), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        os.set_blocking(self.process.stderr.fileno(), False)
        try:
            version = self.query('SELECT VERSION() AS version')[0]['version']
        except DatabaseError:
            self.close()
            raise
        self.is_mariadb = 'MariaDB' in version

    def query(self, sql, timeout=None):
        """Runs one statement; its rows as dicts by column."""
        self.count += 1
        mark = f'end-{self.count}'
        try:
            self.process.stdin.write(f'{sql};\nSELECT 1 AS `{mark}`;\n'.encode())
            self.process.stdin.flush()
        except (OSError, ValueError):
            raise DatabaseError(self.complaint() or 'the connection is closed') from None
        lines = self.lines_until(mark, time.monotonic() + (timeout or self.timeout))
        complaint = self.complaint()
        if complaint:
            raise DatabaseError(complaint)
        if not lines:
            return []
        columns = lines[0].split('\t')
        return [dict(zip(columns, map(unescape, line.split('\t')))) for line in lines[1:]]

    def lines_until(self, mark, deadline):
        lines = []
        while True:
            line = self.line(deadline)
            if line == mark:
                self.line(deadline)
                return lines
            lines.append(line)

    def line(self, deadline):
        while b'\n' not in self.buffer:
            ready = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else None
            if chunk is None:
                self.close()
                raise DatabaseError('the database does not answer in time')
            if not chunk:
                self.process.wait()
                raise DatabaseError(self.complaint() or 'the connection is closed')
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.decode('utf-8', 'replace')

    def complaint(self):
        """The client's last error, if it has written one."""
        stream = self.process.stderr
        text = ('' if stream.closed else (stream.read() or b'').decode('utf-8', 'replace'))
        errors = [line for line in text.splitlines() if 'ERROR' in line]
        return errors[-1].strip() if errors else ''

    def close(self):
        """Ends the connection; its locks go with it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def is_read_only(self):
        return self.query('SELECT @@GLOBAL.read_only AS r')[0]['r'] == '1'

    def set_read_only(self, wanted):
        """On MySQL for administrators too; MariaDB knows no such thing, see demote."""
        name = 'read_only' if self.is_mariadb or not wanted else 'super_read_only'
        self.query(f'SET GLOBAL {name} = {1 if wanted else 0}')

    def position(self):
        """End of the binary log as [file, position], or None without a binary log."""
        for statement in (['SHOW MASTER STATUS'] if self.is_mariadb else ['SHOW BINARY LOG STATUS', 'SHOW MASTER STATUS']):
            try:
                rows = self.query(statement)
                return [rows[0]['File'], int(rows[0]['Position'])] if rows else None
            except DatabaseError as error:
                failure = error
        raise failure

    def replica(self):
        """State of the replication into this server in the newer words, or None without one."""
        for statement in ('SHOW REPLICA STATUS', 'SHOW SLAVE STATUS'):
            try:
                rows = self.query(statement)
                break
            except DatabaseError as error:
                failure = error
        else:
            raise failure
        if not rows:
            return None
        named = {key.replace('Master', 'Source').replace('Slave', 'Replica'): value for key, value in rows[0].items()}
        return {
            'receiving': named['Replica_IO_Running'] == 'Yes',
            'applying': named['Replica_SQL_Running'] == 'Yes',
            'lag': named.get('Seconds_Behind_Source', 'NULL').replace('NULL', 'unknown'),
            'error': named.get('Last_SQL_Error') or named.get('Last_IO_Error') or '',
            'received': [named['Source_Log_File'], int(named['Read_Source_Log_Pos'])],
            'applied': [named['Relay_Source_Log_File'], int(named['Exec_Source_Log_Pos'])],
        }

    def wait_applied(self, position, seconds):
        """True once everything up to `position` of the source's binary log has been applied here."""
        function = 'MASTER_POS_WAIT' if self.is_mariadb else 'SOURCE_POS_WAIT'
        sql = f'SELECT {function}({literal(position[0])}, {int(position[1])}, {seconds}) AS waited'
        return self.query(sql, seconds + 2)[0]['waited'] not in ('NULL', '-1')
