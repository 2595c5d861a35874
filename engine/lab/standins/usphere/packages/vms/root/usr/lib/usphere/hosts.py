"""Stand-in for Usphere: the hosts that the platform manages, by MariaDB's client."""
import os
import subprocess
import time

CLIENT = ['mariadb', '--no-defaults', '--socket=/run/mysqld/mysqld.sock', '--connect-timeout=5', '--batch', '--skip-column-names']


class NoAnswer(Exception):
    """The database does not answer; one sentence."""


def literal(text):
    return f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)" if text else "''"


def query(statement):
    try:
        done = subprocess.run([*CLIENT, 'vms'], input=statement, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        raise NoAnswer('the database does not answer') from None
    if done.returncode:
        raise NoAnswer(done.stderr.strip().splitlines()[-1])
    return [line.split('\t') for line in done.stdout.splitlines()]


def count():
    return int(query('SELECT COUNT(*) FROM hosts')[0][0])


def entered():
    columns = ('id', 'name', 'address', 'entered_on', 'entered_at')
    rows = query(f'SELECT {", ".join(columns)} FROM hosts ORDER BY id')
    return [{**dict(zip(columns, row)), 'id': int(row[0])} for row in rows]


def enter(name, address):
    """The row's number, once it is committed."""
    now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
    values = ', '.join(map(literal, (name, address, os.uname().nodename, now)))
    return int(query(f'INSERT INTO hosts (name, address, entered_on, entered_at) VALUES ({values}); SELECT LAST_INSERT_ID()')[0][0])


def remove(name):
    return int(query(f'DELETE FROM hosts WHERE name = {literal(name)}; SELECT ROW_COUNT()')[0][0])
