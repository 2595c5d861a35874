import { randomBytes } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { Unreachable } from '../core/error.ts';
import type { Cluster, Guard, Host, Transport } from '../core/host.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Connections } from './connections.ts';
import type { Journal } from './journal.ts';
import { folderName, oneLine, refusal, seenOf } from './lock-record.ts';
import type { LockSeen } from './lock-record.ts';
import { FENCE, RELEASE, RENEW, TAKE } from './lock-scripts.ts';
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
  let refused: unknown;
  /** All that could be reached at first was locked: what comes now is told by itself. */
  let isBegun = false;
  let timer: NodeJS.Timeout | undefined;
  const sorted = clusters.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const clusterOf = (host: string): Cluster | undefined => sorted.find(({ nodes }) => nodes.includes(host));

  // In order of names, so that of two engines one gets all: first nodes one after the other, the rest after their first.
  const order = sorted.flatMap(({ nodes }) => nodes.toSorted().slice(0, 1));
  const rest = sorted.flatMap(({ nodes }) => nodes.toSorted().slice(1));
  const before = (host: string): string | undefined =>
    order.includes(host) ? order[order.indexOf(host) - 1] : clusterOf(host)?.nodes.toSorted()[0];
  const settled = new Map<string, Promise<unknown>>();

  const args = ({ seen }: Held): string[] => [
    ...[seen.folder, String(seen.token), me, String(seen.token + 1)],
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

  async function takeOn(cluster: Cluster, host: Host, transport: Transport): Promise<void> {
    const known = held.get(host.name)?.seen.token;
    const since = new Date().toISOString();
    const said = await transport.sh(TAKE, {
      args: [
        folderName(cluster.name),
        me,
        journal.run,
        oneLine(operator),
        oneLine(from),
        since,
        String(known ?? ''),
      ],
      become: host.become,
    });
    const seen = seenOf(cluster.name, host.name, said);
    if (seen.word !== 'taken') throw refusal(cluster.name, seen);
    held.set(host.name, { cluster: cluster.name, seen });
    if (isBegun && known !== seen.token) tell(cluster.name, [host.name]);
  }

  async function lock(host: Host, transport: Transport): Promise<void> {
    const cluster = clusterOf(host.name);
    if (!cluster) return;
    const earlier = before(host.name);
    if (earlier !== undefined) await settled.get(earlier);
    if (refused !== undefined) throw refused;
    await takeOn(cluster, host, transport);
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
    for (const cluster of new Set([...held.values()].map((own) => own.cluster)))
      journal.append({ event: 'lock_released', cluster });
    held.clear();
  }

  return {
    onConnect: lock,
    guardsOf({ name }) {
      const own = held.get(name);
      if (!own) return [];
      const what = `the lock of cluster ${own.cluster} on ${name}`;
      return [{ code: 'guard.lock', script: FENCE, args: [...args(own), what] }];
    },
    async take(connections) {
      for (const name of [...order, ...rest]) {
        const host = inventory.hosts.get(name);
        if (!host) continue;
        const taking = async (): Promise<void> => {
          try {
            const transport = await connections.get(host);
            if (!held.has(name)) await lock(host, transport);
          } catch (error) {
            // Who cannot be reached is locked when it first is.
            if (!(error instanceof Unreachable)) refused ??= error;
          }
        };
        settled.set(name, taking());
      }
      await Promise.all(settled.values());
      if (refused !== undefined) {
        await release(connections);
        throw refused;
      }
      for (const { name, nodes } of sorted) tell(name, nodes);
      isBegun = true;
      timer = setInterval(() => renew(connections), RENEW_MS).unref();
    },
    release,
    stop: () => clearInterval(timer),
  };
}
