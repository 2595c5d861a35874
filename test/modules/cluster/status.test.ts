import { expect, onTestFinished, test, vi } from 'vitest';
import type { ClusterStatus } from '../../../engine/core/cluster.ts';
import type { Context } from '../../../engine/core/module.ts';
import { default as module, differences } from '../../../engine/modules/cluster/status.ts';

const node = (name: string, role: 'primary' | 'standby') => ({
  name,
  address: name,
  online: true,
  role,
  witnesses: {},
  services: {},
});
const STATUS: ClusterStatus = {
  cluster: 'dbk',
  stack: 'dbackup',
  state: 'degraded',
  nodes: [node('dbk1', 'primary'), node('dbk2', 'standby')],
  replication: { kind: 'mysql', state: 'broken', lagSeconds: null, percent: null },
  vips: [{ address: '10.0.0.120', holders: ['dbk1'] }],
  heartbeats: [],
  arbitration: {},
  problems: [{ code: 'replication-broken', message: 'Replication is broken', hint: 'resync' }],
};

test.each([
  [{}, []],
  [{ state: 'degraded', roles: { dbk1: 'primary' }, vips: { '10.0.0.120': 'dbk1' } }, []],
  [{ state: ['running', 'stopped'] }, ['it is degraded, not running or stopped']],
  [
    { roles: { dbk1: 'standby', dbk3: 'primary' } },
    ['dbk1 is primary, not standby', 'dbk3 is none of its nodes'],
  ],
  [{ replication: 'normal' }, ['replication is broken, not normal']],
  [
    { vips: { '10.0.0.120': 'dbk2', '10.0.1.120': 'dbk1' } },
    ['VIP 10.0.0.120 is on dbk1, not on dbk2', 'VIP 10.0.1.120 is on no node, not on dbk1'],
  ],
  [{ no_problems: true }, ['Replication is broken']],
  [{ no_problems: ['vip-twice'] }, []],
] as const)('%j', (expected, sentences) => {
  expect(differences(STATUS, structuredClone(expected) as Parameters<typeof differences>[1])).toEqual(
    sentences,
  );
});

/** Reads a pair that is in these states one look after the other, and stays in the last. */
async function gate(
  states: readonly ClusterStatus['state'][],
  params: object,
  looked: () => void = () => undefined,
): Promise<[number, unknown]> {
  let looks = 0;
  const ctx = {
    status: () => {
      looked();
      return Promise.resolve({ ...STATUS, state: states[Math.min(looks++, states.length - 1)] });
    },
    obligations: () => [],
    progress: () => undefined,
    signal: new AbortController().signal,
  };
  if (module.kind !== 'query') throw new Error('no query');
  const given = module.params.parse({ expect: { state: 'running' }, ...params });
  const { failed } = await module.read(ctx as unknown as Context, given);
  return [looks, failed];
}

test('a gate opens when what is expected has held for long enough, counted anew after a break', async () => {
  expect(await gate(['degraded'], {})).toEqual([1, expect.stringContaining('it is degraded')]);
  expect(await gate(['running', 'degraded', 'running'], { holds: '1s', wait: '5s' })).toEqual([4, undefined]);
  expect(await gate(['degraded'], { holds: '1s', wait: '1s' })).toEqual([
    2,
    expect.stringContaining('degraded'),
  ]);
});

test.each([
  ['replication-broken', 3],
  ['node-offline', 4],
])('two minutes in looks of 30 s, with a problem, giving up at %s: %d looks', async (code, wanted) => {
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const [looks, failed] = await gate(
    ['degraded'],
    { wait: '2m', gives_up_at: [code] },
    () => (now += 30_000),
  );
  expect([looks, failed]).toEqual([wanted, expect.stringContaining('degraded')]);
});
