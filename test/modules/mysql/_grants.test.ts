import { expect, test } from 'vitest';
import { parseGrants } from '../../../engine/modules/mysql/_grants.ts';

test.each([
  ["GRANT USAGE ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*8'", []],
  [
    'GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `u`@`h`',
    [['*.*', ['REPLICATION SLAVE', 'REPLICATION CLIENT'], false]],
  ],
  [
    'GRANT ALL PRIVILEGES ON `dbackup3`.* TO `u`@`h` WITH GRANT OPTION',
    [['dbackup3.*', ['ALL PRIVILEGES'], true]],
  ],
  [
    'GRANT SELECT (`a`, `b`), INSERT ON `d\\_x`.`t` TO `u`@`h`',
    [['d_x.t', ['SELECT (`A`, `B`)', 'INSERT'], false]],
  ],
  ['GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION', []],
] as const)('%s', (line, wanted) => {
  expect(
    parseGrants([line]).map(({ on, privileges, hasGrantOption }) => [on, [...privileges], hasGrantOption]),
  ).toEqual(wanted);
});

test('lines on the same object are one grant', () => {
  const lines = ['GRANT SELECT ON *.* TO `u`@`h`', 'GRANT BACKUP_ADMIN ON *.* TO `u`@`h` WITH GRANT OPTION'];
  const [grant, ...rest] = parseGrants(lines);
  expect(rest).toEqual([]);
  expect([...(grant?.privileges ?? [])]).toEqual(['SELECT', 'BACKUP_ADMIN']);
  expect(grant?.hasGrantOption).toBe(true);
});
