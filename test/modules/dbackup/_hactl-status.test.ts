import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseHactl } from '../../../engine/modules/dbackup/_hactl-status.ts';

test('the status of a primary is read line by line', () => {
  const text = readFileSync(new URL('../../cluster/fixtures/mysql-9.7-primary.txt', import.meta.url), 'utf8');
  const hactl = parseHactl(text.slice(text.indexOf('@hactl')));
  expect(hactl).toMatchObject({ isInCluster: true, role: 'primary', failover: 'enabled', problems: [] });
  expect(hactl.fields).toMatchObject({
    backupd: 'running',
    database: 'writable',
    'vip 10.201.13.100': 'mounted',
    'heartbeat 10.201.13.12-10.201.13.11': 'ok',
    'peer role': 'Standby',
  });
});

test('problems are all kept, and words that are no known role are unknown', () => {
  const hactl = parseHactl('role: Master\nfailover: maybe\nproblem: split brain\nproblem: lag: 7 s\n');
  expect(hactl).toMatchObject({
    role: 'unknown',
    failover: 'unknown',
    problems: ['split brain', 'lag: 7 s'],
  });
});

test('a node without a cluster is no member', () => {
  expect(parseHactl('hactl: no cluster: /var/opt/ha.info not found\n').isInCluster).toBe(false);
});
