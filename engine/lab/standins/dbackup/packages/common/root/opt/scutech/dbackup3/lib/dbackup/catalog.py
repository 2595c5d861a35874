"""Stand-in for DBackup: the Catalog and the queue, in SQLite or in MySQL, and their schema."""
import re
import sqlite3

from dbackup.database import NAME, DatabaseError, Session, conf, literal
from dbackup.files import COMMON_CONF, RELEASE, VAR, read_pairs

SCHEMA = int(RELEASE.rsplit('-', 1)[1])
FILES = {'Catalog': VAR + '/backupd/catalog.db', 'Queue': VAR + '/backupd/queue.db'}
TABLES = {
    'Catalog': {
        'meta': 'name VARCHAR(64) PRIMARY KEY, value VARCHAR(255) NOT NULL',
        'jobs': 'id {id}, name VARCHAR(255) NOT NULL, node VARCHAR(255) NOT NULL, created_at VARCHAR(32) NOT NULL',
    },
    'Queue': {'alerts': 'id {id}, message VARCHAR(255) NOT NULL, created_at VARCHAR(32) NOT NULL'},
}
# By the schema they lead to: release 8.0-10 gives jobs a priority.
MIGRATIONS = {10: 'ALTER TABLE jobs ADD COLUMN priority INT NOT NULL DEFAULT 0'}


class SchemaTooNew(Exception):
    """The Catalog was written by a newer release."""


def connector():
    """`sqlite` after the installation, `mysql` once configured."""
    return read_pairs(COMMON_CONF).get('connector', 'sqlite')


def settings():
    """What `config … list` shows; the password only as being there."""
    is_mysql = connector() == 'mysql'
    found = conf() if is_mysql else {}
    shown = {key: found.get(key, '') for key in ('host', 'port', 'user')}
    return {'connector': connector(), **shown, 'password': '******' if is_mysql else ''}


class SqliteStore:
    """Catalog and queue as SQLite files."""

    id = 'INTEGER PRIMARY KEY AUTOINCREMENT'

    def __init__(self):
        self.connection = sqlite3.connect(FILES['Catalog'], check_same_thread=False, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute('ATTACH DATABASE ? AS queue', (FILES['Queue'],))

    def query(self, sql):
        try:
            # sqlite3 knows hexadecimal only as a blob.
            cast = re.sub(r"CONVERT\((X'[0-9a-f]*') USING utf8mb4\)", r'CAST(\1 AS TEXT)', sql)
            return [dict(row) for row in self.connection.execute(cast)]
        except sqlite3.Error as error:
            raise DatabaseError(str(error)) from None

    def insert(self, sql):
        return self.query(sql + ' RETURNING id')[0]['id']

    def create(self, tables):
        for store in tables:
            for table, columns in TABLES[store].items():
                name = f'queue.{table}' if store == 'Queue' else table
                self.query(f'CREATE TABLE IF NOT EXISTS {name} ({columns.format(id=self.id)})')

    def is_read_only(self):
        return False

    def close(self):
        self.connection.close()


class MysqlStore:
    """Catalog and queue as tables of the database dbackup3."""

    id = 'BIGINT AUTO_INCREMENT PRIMARY KEY'

    def __init__(self):
        self.session = Session(timeout=10.0)

    def query(self, sql):
        return self.session.query(sql)

    def insert(self, sql):
        self.query(sql)
        return int(self.query('SELECT LAST_INSERT_ID() AS id')[0]['id'])

    def create(self, tables):
        self.query(f'CREATE DATABASE IF NOT EXISTS {NAME} CHARACTER SET utf8mb4')
        self.query(f'USE {NAME}')
        for store in tables:
            for table, columns in TABLES[store].items():
                self.query(f'CREATE TABLE IF NOT EXISTS {table} ({columns.format(id=self.id)})')

    def is_read_only(self):
        return self.session.is_read_only()

    def close(self):
        self.session.close()


def open_store():
    return MysqlStore() if connector() == 'mysql' else SqliteStore()


def schema_of(store):
    """Version of the schema found, or 0 in an empty Catalog."""
    try:
        rows = store.query("SELECT value FROM meta WHERE name = 'schema'")
    except DatabaseError:
        return 0
    return int(rows[0]['value']) if rows else 0


def prepare(store, now, node):
    """Brings a writable Catalog to this release's schema; refuses one of a newer release."""
    if isinstance(store, MysqlStore) and store.query(f"SHOW DATABASES LIKE '{NAME}'"):
        store.query(f'USE {NAME}')
    found = schema_of(store)
    if found > SCHEMA:
        raise SchemaTooNew(f'the Catalog has schema {found}, release {RELEASE} knows {SCHEMA} at most: install the newer release')
    if found == SCHEMA:
        return
    store.create(['Catalog', 'Queue'])
    for version in range(max(found, 9) + 1, SCHEMA + 1):
        if version in MIGRATIONS:
            store.query(MIGRATIONS[version])
    store.query(f"REPLACE INTO meta (name, value) VALUES ('schema', '{SCHEMA}')")
    message = f'Catalog of {node}: schema {found} to {SCHEMA}' if found else f'Catalog created on {node}, schema {SCHEMA}'
    store.query(f'INSERT INTO alerts (message, created_at) VALUES ({literal(message)}, {literal(now)})')
