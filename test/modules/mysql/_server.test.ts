import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseXml } from '../../../engine/modules/mysql/_client.ts';
import { parseVersion } from '../../../engine/modules/mysql/_connect.ts';
import {
  bytesBetween,
  comparePositions,
  faultOf,
  parseReplica,
  wordsOf,
} from '../../../engine/modules/mysql/_server.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../cluster/fixtures/${name}.txt`, import.meta.url), 'utf8');

test.each([
  ['8.0.21', 'SHOW SLAVE STATUS', 'SHOW MASTER STATUS', 'CHANGE MASTER TO', 'MASTER_POS_WAIT'],
  ['8.0.36', 'SHOW REPLICA STATUS', 'SHOW MASTER STATUS', 'CHANGE REPLICATION SOURCE TO', 'SOURCE_POS_WAIT'],
  [
    '8.4.3',
    'SHOW REPLICA STATUS',
    'SHOW BINARY LOG STATUS',
    'CHANGE REPLICATION SOURCE TO',
    'SOURCE_POS_WAIT',
  ],
  [
    '9.7.4-2',
    'SHOW REPLICA STATUS',
    'SHOW BINARY LOG STATUS',
    'CHANGE REPLICATION SOURCE TO',
    'SOURCE_POS_WAIT',
  ],
  ['10.3.39-MariaDB', 'SHOW SLAVE STATUS', 'SHOW MASTER STATUS', 'CHANGE MASTER TO', 'MASTER_POS_WAIT'],
  [
    '5.5.5-10.11.19-MariaDB-0+deb12u1-log',
    'SHOW SLAVE STATUS',
    'SHOW MASTER STATUS',
    'CHANGE MASTER TO',
    'MASTER_POS_WAIT',
  ],
])('%s is spoken to in its own words', (version, showReplica, showSource, change, wait) => {
  expect(wordsOf(parseVersion(version))).toMatchObject({ showReplica, showSource, change, wait });
});

test.each(['mysql-9.7', 'mariadb-10.11'])('%s: its replication status is read', (server) => {
  const output = fixture(`${server}-standby`);
  const replica = parseReplica(
    parseXml(output.slice(output.indexOf('@replica'), output.indexOf('@error')))[0],
  );
  expect(replica).toMatchObject({
    host: expect.stringMatching(/^10\.201\.\d+\.12$/),
    port: 3306,
    user: 'repl',
    io: 'Yes',
    sql: 'Yes',
    lagSeconds: 0,
    received: { file: 'mysql236-bin.000001' },
    databases: ['dbackup3'],
    isAutoPosition: false,
  });
  expect(replica && faultOf(replica)).toBeUndefined();
});

const running = parseReplica({
  Source_Host: 'a',
  Replica_IO_Running: 'Yes',
  Replica_SQL_Running: 'Yes',
  Last_IO_Errno: 0,
  Last_SQL_Errno: 0,
});

test.each([
  [
    { sql: 'No', sqlErrno: 1062, sqlError: 'Duplicate entry' },
    'applying stopped with error 1062: Duplicate entry',
  ],
  [{ io: 'Connecting', ioErrno: 2003, ioError: 'no route' }, 'receiving stopped with error 2003: no route'],
  [{ io: 'Connecting' }, 'the receiving thread is still connecting'],
  [{ io: 'No', sql: 'No' }, 'replication is stopped'],
  [{ sql: 'No' }, 'the applying thread is stopped'],
] as const)('%j is a fault', (difference, sentence) => {
  if (running === undefined) throw new Error('no status');
  expect(faultOf({ ...running, ...difference })).toBe(sentence);
});

test('positions are compared by the number of the file first', () => {
  expect(
    comparePositions({ file: 'bin.000009', position: 9 }, { file: 'bin.000010', position: 4 }),
  ).toBeLessThan(0);
  expect(
    comparePositions({ file: 'bin.1000000', position: 4 }, { file: 'bin.999999', position: 9 }),
  ).toBeGreaterThan(0);
  expect(comparePositions({ file: 'bin.1', position: 7 }, { file: 'bin.1', position: 7 })).toBe(0);
});

test('bytes between two positions count the logs between, where they are known', () => {
  const sizes = new Map([
    ['bin.1', 100],
    ['bin.2', 50],
    ['bin.3', 70],
  ]);
  const at = (file: string, position: number) => ({ file, position });
  expect(bytesBetween(at('bin.1', 90), at('bin.3', 20), sizes)).toBe(10 + 50 + 20);
  expect(bytesBetween(at('bin.2', 10), at('bin.2', 40), new Map())).toBe(30);
  expect(bytesBetween(at('bin.0', 10), at('bin.2', 40), sizes)).toBeUndefined();
});

test('a client’s XML keeps NULL, entities and empty texts apart', () => {
  const xml = `<?xml version="1.0"?>\n<resultset statement="x">\n  <row>\n\t<field name="a&amp;b">&lt;1&gt;\n2</field>\n\t<field name="n" xsi:nil="true" />\n\t<field name="e"></field>\n  </row>\n</resultset>\n`;
  expect(parseXml(xml)).toEqual([{ 'a&b': '<1>\n2', n: null, e: '' }]);
});
