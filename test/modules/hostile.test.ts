import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Context } from '../../engine/core/module.ts';
import { moduleNames } from '../../engine/modules/registry.ts';
import { openBench } from './_context.ts';
import type { Bench } from './_context.ts';
import { gapsIn, hostileWrongs } from './_hostile.ts';
import type { Where } from './_hostile.ts';
import { nodeSettings } from './_node-hostile.ts';
import {
  diskSettings,
  drbdSettings,
  pacemakerSettings,
  pairSettings,
  systemSettings,
} from './_pair-hostile.ts';
import { scene } from './_scene.ts';
import { localSettings, REFUSING } from './_settings.ts';
import type { Settings } from './_settings.ts';

const STATUS: ClusterStatus = {
  ...{
    cluster: 'pair',
    stack: 'dbackup',
    state: 'degraded',
    nodes: [],
    vips: [],
    heartbeats: [],
    arbitration: {},
  },
  replication: { kind: 'mysql', state: 'broken', lagSeconds: null, percent: null },
  problems: [{ code: 'replication-broken', message: 'Replication is broken', hint: 'resync' }],
};

let bench: Bench;
let at: Where;
beforeAll(async () => {
  bench = await openBench({ status: STATUS });
  at = await scene(bench.dir);
});
afterAll(() => bench.close());

/** A node of a pair that no exchange may reach. */
const aloof = (): Bench => {
  const cluster = { name: 'pair', stack: 'dbackup', nodes: ['dbk1', 'dbk2'], settings: {} };
  const host = { name: 'dbk1', groups: [], vars: {}, connection: { transport: 'local' as const } };
  const ctx = new Proxy({ host, cluster } as unknown as Context, {
    get: (of, key) => Reflect.get(of, key) ?? nobody,
  });
  return { ...bench, ctx };
};

const local = localSettings('');
const nobody = (): never => {
  throw new Error('nobody is asked');
};
const ALL: readonly Settings[] = [
  ...[local, REFUSING, nodeSettings(nobody), systemSettings],
  ...[pairSettings(nobody), drbdSettings(nobody), pacemakerSettings(nobody)],
  diskSettings(() => '/dev/none', nobody),
];

test('every text of every module is tried, in one place', async () => {
  const places = ALL.flatMap((settings) => Object.keys(settings));
  expect([...places].sort()).toEqual(moduleNames());
  const gaps = ALL.flatMap((settings) => Object.entries(settings)).map(
    async ([name, own]) => [name, await gapsIn(name, own)] as const,
  );
  expect((await Promise.all(gaps)).filter(([, missing]) => missing.length > 0)).toEqual([]);
});

test.each(Object.keys(local))(
  '%s: whatever is in a text, nothing of it is run, and it arrives or is refused',
  async (name) => {
    expect(await hostileWrongs(bench, name, localSettings(bench.dir)[name] ?? [], at)).toEqual([]);
  },
  180_000,
);

test.each(Object.entries(REFUSING))(
  '%s: whatever is in a text, it is refused before the node',
  async (name, own) => {
    expect(await hostileWrongs(aloof(), name, own, { dir: '', isRefused: true })).toEqual([]);
  },
);
