import { expect, onTestFinished } from 'vitest';
import { Unreachable } from '../../engine/core/error.ts';
import type { Happening, RunEvent } from '../../engine/core/event.ts';
import type { Become, Cluster, Host, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { clusterLocks } from '../../engine/run/lock/cluster-lock.ts';
import type { ClusterLocks } from '../../engine/run/lock/cluster-lock.ts';
import type { Connections } from '../../engine/run/connections.ts';
import { openTransport } from '../../engine/transports/open.ts';

/** An engine's side of the locks: a connection of its own to each node, and any number of runs. */
export interface Engine {
  readonly hosts: ReadonlyMap<string, Host>;
  /** Makes a node as if it could not be reached, or did not answer, or reachable again. */
  setAway(name: string, away: boolean | 'silent'): void;
  run(id: string, cluster: string): Run;
}

export interface Run {
  readonly locks: ClusterLocks;
  readonly events: Happening[];
  /** Undefined when it got the lock, else what it was told. */
  take(): Promise<string | undefined>;
  release(): Promise<void>;
  /** As a connection made anew: undefined, or what it was told. */
  connect(name: string): Promise<string | undefined>;
  /** What a step on the node is told: its exit code, or why it may not run. */
  step(name: string, become?: Become): Promise<number | string>;
}

async function refusalOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: 'guard.lock' });
    return `${(error as Error).message} — ${String((error as { hint?: string }).hint)}`;
  }
}

export async function lockEngine(
  from: string,
  hosts: readonly Host[],
  open: (host: Host) => Transport = (host) => openTransport(host, { redactor: new Redactor() }),
): Promise<Engine> {
  const away = new Map<string, boolean | 'silent'>();
  const transports = new Map<string, Transport>();
  for (const host of hosts) {
    const transport = open(host);
    onTestFinished(() => transport.close());
    await transport.open();
    transports.set(host.name, transport);
  }
  const get = async (name: string): Promise<Transport> => {
    const transport = transports.get(name);
    if (away.get(name) === 'silent') return new Promise(() => undefined);
    if (!transport || away.get(name) === true) throw new Unreachable(name, 'away', `${name} is away`);
    return Promise.resolve(transport);
  };
  const byName = new Map(hosts.map((host) => [host.name, host]));
  const hostOf = (name: string): Host => {
    const host = byName.get(name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  };
  const connections = {
    get: ({ name }: Host) => get(name),
    opened: get,
    drop: () => undefined,
  } as unknown as Connections;
  return {
    hosts: byName,
    setAway: (name, how) => void away.set(name, how),
    run(id, cluster) {
      const events: Happening[] = [];
      const append = (event: Happening): RunEvent => {
        events.push(event);
        return { ...event, run: id, seq: events.length, at: '' };
      };
      const own: Cluster = { name: cluster, stack: 'none', nodes: [...byName.keys()], settings: {} };
      const journal = { run: id, append };
      const locks = clusterLocks([own], { hosts: byName }, { journal, operator: 'tester', from });
      onTestFinished(() => locks.stop());
      return {
        locks,
        events,
        take: () => refusalOf(locks.take(connections)),
        release: () => locks.release(connections),
        connect: (name) => refusalOf(get(name).then((transport) => locks.onConnect(hostOf(name), transport))),
        async step(name, become) {
          const transport = await get(name);
          const guards = locks.guardsOf(hostOf(name));
          let code: number | undefined;
          const refused = await refusalOf(
            transport.sh('exit 7', { guards, become }).then((said) => (code = said.code)),
          );
          return code ?? refused ?? '';
        },
      };
    },
  };
}
