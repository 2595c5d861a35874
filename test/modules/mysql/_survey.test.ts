import { expect, test } from 'vitest';
import { parseVersion } from '../../../engine/modules/mysql/_connect.ts';
import type { Row, Server } from '../../../engine/modules/mysql/_connect.ts';
import { closedOf } from '../../../engine/modules/mysql/_survey.ts';

const DATA = ['/var/lib/mysql', '/srv/db/mysql'];
const INSIDE: Row = {
  log_bin_basename: '/var/lib/mysql/mysql234-bin',
  innodb_undo_directory: './',
  innodb_log_group_home_dir: '/srv/db/mysql/',
  innodb_data_home_dir: null,
};
function server(
  version: string,
  places: Row,
  { schema = 1, table }: { schema?: number; table?: Row } = {},
): Server {
  const rows = (sql: string): Promise<readonly Row[]> => {
    if (sql.includes('information_schema.tables')) return Promise.resolve(table === undefined ? [] : [table]);
    return Promise.resolve([
      sql.includes('@@performance_schema') ? { is_on: schema } : { ...INSIDE, ...places },
    ]);
  };
  return { version: parseVersion(version), rows, script: () => Promise.resolve([]) };
}
const MARIADB = '10.11.6-MariaDB';

test('what lies in the data directory, by either name, is no obstacle, nor a log that is off', async () => {
  expect(await closedOf(server(MARIADB, {}), DATA)).toBeUndefined();
  expect(await closedOf(server(MARIADB, { log_bin_basename: null }), DATA)).toBeUndefined();
  expect(await closedOf(server('8.0.36', {}), DATA)).toBeUndefined();
});

test.each([
  ['log_bin_basename', '/var/log/mysql/mysql-bin'],
  ['log_bin_basename', '/var/lib/mysql-log/bin'],
  ['innodb_undo_directory', '/srv/undo'],
  ['innodb_log_group_home_dir', '../redo'],
  ['innodb_data_home_dir', '/srv/ib'],
])('%s at %s is one', async (name, value) => {
  const why = `${name} is ${value}, outside the data directory`;
  expect(await closedOf(server(MARIADB, { [name]: value }), DATA)).toBe(why);
});

test('for a clone so are tables that it would empty, and a server that does not tell how it went', async () => {
  const table = { db: 'shop', name: 'old', kind: 'MyISAM' };
  expect(await closedOf(server('8.0.36', {}, { table }), DATA)).toBe(
    'the table shop.old is MyISAM, and a clone copies InnoDB alone',
  );
  expect(await closedOf(server('8.0.36', {}, { schema: 0 }), DATA)).toBe('performance_schema is off');
  expect(await closedOf(server(MARIADB, {}, { table, schema: 0 }), DATA)).toBeUndefined();
});
