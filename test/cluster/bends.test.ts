import { expect, test } from 'vitest';
import { bends } from '../../engine/cluster/_dbackup-bends.ts';
import { drbdBends } from '../../engine/cluster/_drbd-pair.ts';
import type { ClusterStatus, NodeStatus } from '../../engine/core/cluster.ts';

const node = (name: string, more: Partial<NodeStatus>): NodeStatus => ({
  name,
  address: name,
  online: true,
  role: name === 'a' ? 'primary' : 'standby',
  ...more,
  services: {
    'dbackup3-keepalived': 'active',
    'dbackup3-backupd': name === 'a' ? 'active' : 'inactive',
    ...more.services,
  },
  witnesses: { read_only: name === 'a' ? 'off' : 'on', ...more.witnesses },
});

interface Picture {
  readonly a?: Partial<NodeStatus>;
  readonly b?: Partial<NodeStatus>;
  readonly failover?: string;
}

const status = ({ a = {}, b = {}, failover = 'enabled' }: Picture): ClusterStatus => ({
  cluster: 'pair',
  stack: 'dbackup',
  state: 'running',
  nodes: [node('a', a), node('b', b)],
  replication: { kind: 'mysql', state: 'normal', lagSeconds: 0, percent: null },
  vips: [],
  heartbeats: [],
  arbitration: { failover },
  problems: [],
});

const STOPPED = { services: { 'dbackup3-keepalived': 'inactive' } } as const;
const FREE = { role: 'free', ...STOPPED } as const;

const table: readonly (readonly [string, Picture, readonly string[]])[] = [
  ['a whole pair', {}, []],
  ['failover off', { failover: 'disabled' }, ['failover-disabled@pair']],
  ['a primary that takes no writes', { a: { witnesses: { read_only: 'on' } } }, ['read-only@a']],
  [
    'a primary by the word of hactl that takes no writes',
    { a: { role: 'unknown', witnesses: { read_only: 'on', hactl: 'primary, failover enabled' } } },
    ['read-only@a'],
  ],
  [
    'no primary, since neither takes writes',
    { a: { role: 'unknown', witnesses: { read_only: 'on' } } },
    ['read-only@a', 'read-only@b'],
  ],
  ['keepalived stopped on the standby', { b: STOPPED }, ['service-stopped:dbackup3-keepalived@b']],
  [
    'backupd stopped on the primary',
    { a: { services: { 'dbackup3-backupd': 'inactive' } } },
    ['service-stopped:dbackup3-backupd@a'],
  ],
  ['a pair that was dissolved', { a: FREE, b: FREE, failover: 'unknown' }, []],
];

test.each(table)('%s', (_, picture, expected) => {
  const bent = bends(status(picture)).filter(({ isBent }) => isBent);
  expect(bent.map(({ obligation }) => obligation)).toEqual(expected);
});

test('a standby that takes no writes is as it should be, and seen to be', () => {
  const seen = bends(status({})).find(({ obligation }) => obligation === 'read-only@b');
  expect(seen?.isBent).toBe(false);
});

test('a whole pair shows that a node that was away is in order again', () => {
  const seen = bends(status({})).filter(({ obligation }) => obligation.startsWith('not-recovered'));
  expect(seen.map(({ obligation, isBent }) => [obligation, isBent])).toEqual([
    ['not-recovered@pair', false],
    ['not-recovered@a', false],
    ['not-recovered@b', false],
  ]);
});

test('what cannot be told is told neither way', () => {
  const away = { online: false, role: 'unknown', witnesses: { read_only: 'unknown' } } as const;
  const alone = { ...status({ b: away, failover: 'unknown' }), state: 'error' } as const;
  const seen = bends(alone).map(({ obligation }) => obligation);
  expect(seen).toEqual([
    'read-only@a',
    'service-stopped:dbackup3-keepalived@a',
    'service-stopped:dbackup3-backupd@a',
  ]);
});

test('a pair of DRBD tells whose node is in standby, whether it is left alone, and that all is in order again', () => {
  const whole = status({ a: { witnesses: { node: 'online' } }, b: { witnesses: { node: 'standby' } } });
  const told = (one: ClusterStatus): unknown =>
    drbdBends(one).map(({ obligation, isBent }) => [obligation, isBent]);
  expect(told(whole)).toEqual([
    ['not-recovered@pair', false],
    ['not-recovered@a', false],
    ['not-recovered@b', false],
    ['maintenance@pair', false],
    ['standby-a@pair', false],
    ['standby-b@pair', true],
  ]);
  expect(told({ ...whole, state: 'degraded' })).toHaveLength(3);
});
