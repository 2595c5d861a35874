import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  parseEvents,
  percentOf,
  resultOf,
  told,
  resourceName,
} from '../../../engine/modules/drbd/_status.ts';

/** As `drbdsetup events2 --now --statistics` of drbd-utils 9.22 said it of a kernel with DRBD 8.4.11. */
const said = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'fixtures', `${name}.txt`), 'utf8');

test.each([
  [
    'connecting',
    { role: 'Secondary', disk: 'Inconsistent', connection: 'Connecting', replication: 'Off' },
    0,
  ],
  [
    'syncing',
    { role: 'Primary', disk: 'UpToDate', peer_disk: 'Inconsistent', replication: 'SyncSource' },
    2.5,
  ],
  ['in-step', { role: 'Primary', disk: 'UpToDate', peer_disk: 'UpToDate', replication: 'Established' }, 100],
])('a resource that is %s', (name, state, percent) => {
  const [resource] = parseEvents(said(name));
  expect(resource).toBeDefined();
  if (resource === undefined) return;
  expect(resultOf(resource)).toMatchObject(state);
  expect(percentOf(resource)).toBeCloseTo(percent, 0);
});

test('what has several volumes is as good as its worst', () => {
  const text = said('in-step')
    .replace(/^(exists (?:peer-)?device .*)volume:0(.*)$/gm, '$1volume:0$2\n$1volume:1$2')
    .replace(/(volume:1 .*)disk:UpToDate/g, '$1disk:Failed');
  const [resource] = parseEvents(text);
  expect(resource?.volumes).toHaveLength(2);
  expect(resource && resultOf(resource).disk).toBe('Failed');
});

test('a resource in one line', () => {
  const [resource] = parseEvents(said('in-step'));
  expect(resource && told(resource)).toBe(
    'Primary, disk UpToDate; peer Connected, Secondary, disk UpToDate, Established',
  );
});

test('nothing that is up', () => {
  expect(parseEvents('exists -\n')).toEqual([]);
  expect(parseEvents('')).toEqual([]);
});

test.each(['-rf', '--help', '', 'a b', 'a\nb', 'x'.repeat(129)])('%j is no name of a resource', (name) => {
  expect(resourceName.safeParse(name).success).toBe(false);
});
