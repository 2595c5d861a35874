import { randomBytes } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { Unreachable } from '../core/error.ts';
import type { Cluster, Guard, Host, Transport } from '../core/host.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Connections } from './connections.ts';
import type { Journal } from './journal.ts';
import { folderName, oneLine, refusal, seenOf } from './lock-record.ts';
import type { LockSeen } from './lock-record.ts';
import { FENCE, HAS_ENDED, RELEASE, RENEW, TAKE } from './lock-scripts.ts';
import { within } from './waiting.ts';

const RENEW_MS = 20_000;
/** A node that is away at the end keeps its record: nobody waits long for it. */
const RELEASE_MS = 10_000;

/** The locks of a run on the nodes of the clusters it may touch. */
export interface ClusterLocks {
  /** To be called with each new connection before anything is done over it: locks a node that is reached late. */
  onConnect(host: Host, transport: Transport): Promise<void>;
  /** What every exchange on the host asks there first. */
  guardsOf(host: Host): readonly Guard[];
  /** Locks all nodes that can be reached, or none: throws `guard.lock`, telling who holds it. */
  take(connections: Connections): Promise<void>;
  /** Gives back what was taken. */
  release(connections: Connections): Promise<void>;
  /** No longer renews; what is taken stays taken. */
  stop(): void;
}

interface Held {
  readonly cluster: string;
  readonly seen: LockSeen;
}

/** `root@jump`: where a run comes from. */
export function whereFrom(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `${process.getuid?.() ?? '?'}@${hostname()}`; // A user id without a name, as containers have.
  }
}

/** `clusters`: those to be locked, see `lockable`. */
export function clusterLocks(
  clusters: readonly Cluster[],
  inventory: Inventory,
  { journal, operator, from = whereFrom() }: { journal: Journal; operator: string; from?: string },
): ClusterLocks {
  const me = randomBytes(8).toString('hex');
  const held = new Map<string, Held>();
  const renewing = new Set<string>();
  /** All that could be reached at first was locked: what comes now is told by itself. */
  let isBegun = false;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const sorted = clusters.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const clusterOf = (host: string): Cluster | undefined => sorted.find(({ nodes }) => nodes.includes(host));

  // In order of names, so that of two engines one gets all: first nodes one after the other, then the rest.
  const firsts = sorted.flatMap(({ nodes }) => nodes.toSorted().slice(0, 1));
  const rest = sorted.flatMap(({ nodes }) => nodes.toSorted().slice(1));
  const reached = new Map<string, Transport>();

  const args = ({ seen: { folder, token } }: Held): string[] => [
    ...[folder, String(token), me, String(token + 1)],
  ];

  function tell(cluster: string, hosts: readonly string[]): void {
    const tokens = Object.fromEntries(
      hosts.flatMap((name) => {
        const own = held.get(name);
        return own?.cluster === cluster ? [[name, own.seen.token]] : [];
      }),
    );
    if (Object.keys(tokens).length > 0) journal.append({ event: 'lock_taken', cluster, tokens });
  }

  /** A node that was away when the run ended that `seen` tells of: another node has its word that it did. */
  async function hasEnded(cluster: Cluster, seen: LockSeen): Promise<boolean> {
    const args = [folderName(cluster.name), seen.run, seen.since];
    const said = await Promise.allSettled(
      cluster.nodes
        .filter((name) => name !== seen.host)
        .map((name) => reached.get(name)?.sh(HAS_ENDED, { args, become: inventory.hosts.get(name)?.become })),
    );
    return said.some((one) => one.status === 'fulfilled' && one.value?.code === 0);
  }

  async function lock(host: Host, transport: Transport): Promise<void> {
    const cluster = clusterOf(host.name);
    if (!cluster) return;
    reached.set(host.name, transport);
    const known = held.get(host.name)?.seen.token;
    const ask = async (over: string): Promise<LockSeen> => {
      const words = [journal.run, operator, from, new Date().toISOString()].map(oneLine);
      const args = [folderName(cluster.name), me, ...words, String(known ?? ''), over];
      return seenOf(cluster.name, host.name, await transport.sh(TAKE, { args, become: host.become }));
    };
    let seen = await ask('');
    if (seen.word !== 'taken' && seen.state === 'held' && (await hasEnded(cluster, seen)))
      seen = await ask(seen.holder);
    if (seen.word !== 'taken') throw refusal(cluster.name, seen);
    held.set(host.name, { cluster: cluster.name, seen });
    if (isBegun && known !== seen.token) tell(cluster.name, [host.name]);
  }

  /** Locks a node, unless it is away: then it is locked when it is first reached. */
  async function lockIfThere(name: string): Promise<void> {
    const host = inventory.hosts.get(name);
    const transport = reached.get(name);
    if (!host || !transport) return;
    try {
      await lock(host, transport);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
  }

  async function reach(connections: Connections, name: string): Promise<void> {
    const host = inventory.hosts.get(name);
    if (!host) return;
    try {
      reached.set(name, await connections.get(host));
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
  }

  function renew(connections: Connections): void {
    for (const [name, own] of held) {
      const host = inventory.hosts.get(name);
      const open = connections.opened(name);
      if (!host || !open || renewing.has(name)) continue;
      renewing.add(name);
      // A renewal that fails is no failure of a step: the fence alone decides who may go on.
      open
        .then((transport) => transport.sh(RENEW, { args: args(own), become: host.become }))
        .catch(() => undefined)
        .finally(() => renewing.delete(name));
    }
  }

  async function release(connections: Connections): Promise<void> {
    clearInterval(timer);
    if (isOver) return;
    const at = new Date().toISOString();
    await Promise.allSettled(
      [...held].map(async ([name, own]) => {
        const host = inventory.hosts.get(name);
        if (!host) return;
        await within(RELEASE_MS, async (signal) => {
          const transport = await connections.get(host);
          return transport.sh(RELEASE, {
            args: [...args(own), journal.run, at],
            become: host.become,
            signal,
          });
        });
      }),
    );
    if (!isBegun) held.clear();
    for (const { name, nodes } of sorted)
      if (nodes.some((node) => held.has(node))) journal.append({ event: 'lock_released', cluster: name });
    isOver = true;
  }

  return {
    async onConnect(host, transport) {
      if (isBegun) await lock(host, transport);
    },
    guardsOf({ name }) {
      const own = held.get(name);
      if (!own) return [];
      const what = `the lock of cluster ${own.cluster} on ${name}`;
      return [{ code: 'guard.lock', script: FENCE, args: [...args(own), what] }];
    },
    async take(connections) {
      await Promise.all([...firsts, ...rest].map((name) => reach(connections, name)));
      try {
        for (const name of firsts) await lockIfThere(name);
        const others = await Promise.allSettled(rest.map(lockIfThere));
        for (const other of others) if (other.status === 'rejected') throw other.reason;
      } catch (error) {
        await release(connections);
        throw error;
      }
      for (const { name, nodes } of sorted) tell(name, nodes);
      isBegun = true;
      timer = setInterval(() => renew(connections), RENEW_MS).unref();
    },
    release,
    stop: () => clearInterval(timer),
  };
}
