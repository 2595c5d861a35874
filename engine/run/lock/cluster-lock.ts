import { randomBytes } from 'node:crypto';
import { DrillbookError, Unreachable } from '../../core/error.ts';
import type { Cluster, Guard, Host, Transport } from '../../core/host.ts';
import type { Inventory } from '../../parse/inventory.ts';
import type { Connections } from '../connections.ts';
import type { Journal } from '../journal/journal.ts';
import { refusal } from './record.ts';
import type { LockSeen } from './record.ts';
import { barredBy, fenceOf, hasEndedOn, releaseOn, renewOn, takeOn, whereFrom } from './node-lock.ts';
import type { Held, Taker } from './node-lock.ts';
import { atMost } from '../waiting.ts';

const RENEW_MS = 20_000;
/** A run does not wait longer for a node that may be down once the others are there. */
const PATIENCE_MS = 3_000;
const RELEASE_MS = 5_000;

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

export interface Locking {
  readonly journal: Pick<Journal, 'run' | 'append'>;
  readonly operator: string;
  readonly from?: string;
  /** True for a run of this machine that gave its locks back, though a node that was away has not heard of it. */
  readonly hasReleased?: ((run: string) => boolean) | undefined;
}

/** `clusters`: those to be locked, see `lockable`. */
export function clusterLocks(
  clusters: readonly Cluster[],
  { hosts }: Pick<Inventory, 'hosts'>,
  { journal, operator, from = whereFrom(), hasReleased }: Locking,
): ClusterLocks {
  const taker: Taker = { id: randomBytes(8).toString('hex'), run: journal.run, operator, from };
  // In order of names, so that of two engines one gets all: first nodes one after the other, then the rest.
  const sorted = clusters.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const firsts = sorted.flatMap(({ nodes }) => nodes.toSorted().slice(0, 1));
  const rest = sorted.flatMap(({ nodes }) => nodes.toSorted().slice(1));
  const clusterOf = (host: string): Cluster | undefined => sorted.find(({ nodes }) => nodes.includes(host));

  const reached = new Map<string, Transport>();
  const held = new Map<string, Held>();
  const renewing = new Set<string>();
  /** Undefined while nodes are gathered that will be locked together. */
  let taken: Promise<void> | undefined;
  /** What was told when a node that was reached late refused: nothing goes on anywhere. */
  let barred: string | undefined;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;

  function tell(cluster: Cluster, names: readonly string[]): void {
    const tokens = names.flatMap((name) => {
      const own = held.get(name);
      return own ? [[name, own.seen.token] as const] : [];
    });
    if (tokens.length > 0)
      journal.append({ event: 'lock_taken', cluster: cluster.name, tokens: Object.fromEntries(tokens) });
  }

  /** A node that was away when a run ended does not know it; another may. */
  async function hasEnded(cluster: Cluster, seen: LockSeen): Promise<boolean> {
    if (hasReleased?.(seen.run) === true) return true;
    const asked = cluster.nodes.map(async (name) => {
      const [transport, host] = [reached.get(name), hosts.get(name)];
      return name !== seen.host && transport && host && hasEndedOn(transport, cluster, host, seen);
    });
    return (await Promise.allSettled(asked)).some((one) => one.status === 'fulfilled' && one.value === true);
  }

  async function lock(cluster: Cluster, host: Host, transport: Transport): Promise<void> {
    const known = held.get(host.name)?.seen.token;
    let seen = await takeOn(cluster, host, transport, taker, { known });
    if (seen.word !== 'taken' && seen.state === 'held' && (await hasEnded(cluster, seen)))
      seen = await takeOn(cluster, host, transport, taker, { known, over: seen.holder });
    if (seen.word !== 'taken') throw refusal(cluster.name, seen);
    held.set(host.name, { cluster: cluster.name, host, seen });
  }

  async function lockLate(cluster: Cluster, host: Host, transport: Transport): Promise<void> {
    const before = held.get(host.name)?.seen.token;
    try {
      await lock(cluster, host, transport);
    } catch (error) {
      if (error instanceof DrillbookError && error.code === 'guard.lock') barred ??= error.message;
      throw error;
    }
    if (before !== held.get(host.name)?.seen.token) tell(cluster, [host.name]);
  }

  /** Who is not there is locked when it is first reached. */
  async function lockIfThere(name: string, connections: Connections): Promise<void> {
    const [host, transport, cluster] = [hosts.get(name), reached.get(name), clusterOf(name)];
    if (!host || !transport || !cluster) return;
    try {
      await lock(cluster, host, transport);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      connections.drop(host, transport);
    }
  }

  /** Connects to all; those that are slow are left behind once another is there. */
  async function gather(connections: Connections): Promise<void> {
    let isFirst: (() => void) | undefined;
    const first = new Promise<void>((resolve) => (isFirst = resolve));
    const all = [...firsts, ...rest].map(async (name) => {
      const host = hosts.get(name);
      if (!host) return;
      try {
        const transport = await connections.get(host);
        if (taken === undefined) reached.set(name, transport);
        isFirst?.();
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
      }
    });
    const complete = Promise.all(all);
    await Promise.race([complete, first.then(() => atMost(PATIENCE_MS, complete))]);
  }

  async function takeAll(connections: Connections): Promise<void> {
    try {
      for (const name of firsts) await lockIfThere(name, connections);
      const others = await Promise.allSettled(rest.map((name) => lockIfThere(name, connections)));
      for (const other of others) if (other.status === 'rejected') throw other.reason;
    } catch (error) {
      await giveBack(connections);
      held.clear();
      throw error;
    }
  }

  function renew(connections: Connections): void {
    for (const [name, own] of held) {
      const open = connections.opened(name);
      if (!open || renewing.has(name)) continue;
      renewing.add(name);
      // A renewal that fails is no failure of a step: the fence alone decides who may go on.
      open
        .then((transport) => renewOn(transport, own, taker))
        .catch(() => undefined)
        .finally(() => renewing.delete(name));
    }
  }

  async function giveBack(connections: Connections): Promise<void> {
    const work = [...held.values()].map(async (own) => {
      await releaseOn(await connections.get(own.host), own, taker);
    });
    await atMost(RELEASE_MS, Promise.allSettled(work));
  }

  return {
    async onConnect(host, transport) {
      const cluster = clusterOf(host.name);
      if (!cluster) return;
      reached.set(host.name, transport);
      if (taken === undefined) return;
      await taken;
      await lockLate(cluster, host, transport);
    },
    guardsOf({ name }) {
      const cluster = clusterOf(name);
      if (!cluster) return [];
      const own = held.get(name);
      if (barred !== undefined) return [barredBy(barred)];
      return [own ? fenceOf(own, taker) : barredBy(`cluster ${cluster.name} is not locked on ${name}`)];
    },
    async take(connections) {
      await gather(connections);
      taken = takeAll(connections);
      await taken;
      for (const cluster of sorted) tell(cluster, cluster.nodes);
      timer = setInterval(() => renew(connections), RENEW_MS).unref();
    },
    async release(connections) {
      clearInterval(timer);
      if (isOver) return;
      isOver = true;
      await giveBack(connections);
      for (const { name, nodes } of sorted)
        if (nodes.some((node) => held.has(node))) journal.append({ event: 'lock_released', cluster: name });
    },
    stop: () => clearInterval(timer),
  };
}
