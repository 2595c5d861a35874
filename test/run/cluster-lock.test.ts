import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Happening } from '../../engine/core/event.ts';
import type { Cluster, Host, Transport } from '../../engine/core/host.ts';
import type { Inventory } from '../../engine/parse/inventory.ts';
import { clusterLocks } from '../../engine/run/cluster-lock.ts';
import type { ClusterLocks } from '../../engine/run/cluster-lock.ts';
import type { Connections } from '../../engine/run/connections.ts';
import type { Journal } from '../../engine/run/journal.ts';
import { startNode } from './_node.ts';
import type { Node } from './_node.ts';

const NAMES = ['n1', 'n2'];
let nodes: Node[] = [];

beforeAll(async () => {
  nodes = await Promise.all(NAMES.map(() => startNode()));
}, 60_000);
afterAll(async () => {
  await Promise.all(nodes.map(({ sshd }) => sshd.stop()));
});

const nodeOf = (name: string): Node => {
  const node = nodes[NAMES.indexOf(name)];
  if (!node) throw new Error(`no node ${name}`);
  return node;
};

const inventory = { hosts: new Map(NAMES.map((name) => [name, undefined])) } as unknown as Inventory;

/** An engine's side of it: a connection of its own to each node, and any number of runs. */
interface Engine {
  readonly transports: ReadonlyMap<string, Transport>;
  run(id: string, cluster: string, nodes?: readonly string[]): Run;
}

interface Run {
  readonly locks: ClusterLocks;
  readonly events: Happening[];
  /** True when it got the lock; false when it was told that somebody else has it. */
  take(): Promise<boolean>;
  release(): Promise<void>;
  /** What a step on the node would be told: its exit code, or why it may not run. */
  step(name: string): Promise<number | string>;
}

async function engine(from: string): Promise<Engine> {
  const hosts = new Map<string, Host>(NAMES.map((name) => [name, nodeOf(name).host(name)]));
  const transports = new Map<string, Transport>();
  for (const [name, host] of hosts) transports.set(name, await nodeOf(name).connect(host));
  const open = (name: string): Promise<Transport> => Promise.resolve(transports.get(name) as Transport);
  const connections = { get: ({ name }: Host) => open(name), opened: open } as Connections;
  return {
    transports,
    run(id, cluster, members = NAMES) {
      const events: Happening[] = [];
      const journal = { run: id, append: (event: Happening) => events.push(event) } as unknown as Journal;
      const own: Cluster = { name: cluster, stack: 'none', nodes: members, settings: {} };
      const locks = clusterLocks([own], { ...inventory, hosts }, { journal, operator: 'tester', from });
      return {
        locks,
        events,
        async take() {
          try {
            await locks.take(connections);
            return true;
          } catch (error) {
            expect(error).toMatchObject({ code: 'guard.lock' });
            return false;
          }
        },
        release: () => locks.release(connections),
        async step(name) {
          const host = hosts.get(name) as Host;
          try {
            const said = await (await open(name)).sh('exit 7', { guards: locks.guardsOf(host) });
            return said.code;
          } catch (error) {
            expect(error).toMatchObject({ code: 'guard.lock' });
            return (error as Error).message;
          }
        },
      };
    },
  };
}

test('of two or three engines one gets the lock, in each of 1,000 races, and what it holds is whole', async () => {
  const engines = [await engine('root@one'), await engine('root@two'), await engine('root@three')];
  const wins = engines.map(() => 0);
  for (let race = 0; race < 1000; race++) {
    const racers = engines
      .map((one, index) => ({ index, run: one.run(`r${race}-${index}`, 'race') }))
      .slice(0, race % 3 === 0 ? 3 : 2);
    if (race % 2 === 1) racers.reverse();
    const won = await Promise.all(racers.map(({ run }) => run.take()));
    expect(won.filter(Boolean), `race ${race}`).toHaveLength(1);
    for (const [at, { index, run }] of racers.entries()) {
      if (won[at] !== true) continue;
      wins[index] = (wins[index] ?? 0) + 1;
      if (race % 20 === 0) expect(await Promise.all(NAMES.map((name) => run.step(name)))).toEqual([7, 7]);
      await run.release();
    }
  }
  // A race that the same one always wins is none.
  expect(Math.min(...wins.slice(0, 2))).toBeGreaterThan(50);
  for (const name of NAMES) {
    const folder = nodeOf(name).path('/var/lib/drillbook/locks/race');
    expect(existsSync(`${folder}/log`)).toBe(true);
    expect(readFileSync(`${folder}/log`, 'utf8').split('\n').length).toBeLessThan(500);
  }
}, 180_000);
