import type {
  ClusterProblem,
  ClusterStatus,
  HeartbeatStatus,
  NodeStatus,
  ReplicationStatus,
  Role,
  VipStatus,
} from '../core/cluster.ts';
import { Unreachable } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { faultOf } from '../modules/mysql/_server.ts';
import type { Errant } from './_dbackup-errant.ts';
import { errantFrom, lackingFrom } from './_dbackup-errant.ts';
import { dbackupProblems } from './_dbackup-problems.ts';
import type { Reading } from './_dbackup-read.ts';
import { readNode } from './_dbackup-read.ts';
import { VOICES } from './_dbackup-witnesses.ts';
import { type Settings, settingsSchema } from './_dbackup-settings.ts';
import type { Seen as Node, Votes } from './model.ts';
import { agreedRole, roleProblems, see, stateOf, votesBy } from './model.ts';

export { bends } from './_dbackup-bends.ts';
export { settingsSchema } from './_dbackup-settings.ts';
export { dbackupWatch as watch } from './_dbackup-watch.ts';
export { dbackupGuard as roleGuard } from './_dbackup-witnesses.ts';

export type Seen = Node<Reading>;

/** What each witness says of the node, in the words of `VOICES`. Only what tells the two nodes apart is a witness. */
function wordsOf(node: Seen, all: readonly Seen[], settings: Settings): Readonly<Record<string, string>> {
  const { reading } = node;
  if (reading === undefined) return {};
  const { database, hactl } = reading;
  const others = all.filter((other) => other !== node).flatMap((other) => other.reading ?? []);
  const holds = (one: Reading): boolean =>
    settings.vips.some(({ address }) => one.addresses.includes(address));
  const isReplica = database?.replica !== undefined;
  const peer = others[0]?.database;
  const isOneWay = database !== undefined && peer !== undefined && isReplica !== (peer.replica !== undefined);
  return {
    read_only: database === undefined ? 'unknown' : database.isReadOnly ? 'on' : 'off',
    vip: holds(reading) ? 'here' : others.some(holds) ? 'elsewhere' : 'nowhere',
    replication: !isOneWay ? 'no telling' : isReplica ? 'from the peer alone' : 'to the peer alone',
    hactl: hactl?.role ?? 'not installed',
  };
}

/** What each witness makes of the node. */
const votesOf = (node: Seen, all: readonly Seen[], settings: Settings): Votes =>
  votesBy(VOICES, wordsOf(node, all, settings));

/** Belongs to no cluster (yet, or any more): hactl knows of none, or without hactl nothing was ever set up. */
function isFree({ reading }: Seen, votes: Votes): boolean {
  if (reading === undefined) return false;
  if (reading.hactl !== undefined) return !reading.hactl.isInCluster;
  return (
    votes['vip'] === undefined &&
    votes['replication'] === undefined &&
    reading.database?.replica === undefined
  );
}

function witnessesOf({ reading, silence }: Seen, settings: Settings): Readonly<Record<string, string>> {
  if (reading === undefined) return { connection: silence ?? 'none' };
  const { database, hactl } = reading;
  const held = settings.vips
    .map(({ address }) => address)
    .filter((address) => reading.addresses.includes(address));
  const replica = database?.replica;
  return {
    read_only: database === undefined ? 'unknown' : database.isReadOnly ? 'on' : 'off',
    replication:
      database === undefined
        ? 'unknown'
        : replica === undefined
          ? 'no source'
          : `from ${replica.host}: ${faultOf(replica) ?? 'running'}`,
    vip: held.join(', ') || 'none',
    keepalived: reading.isKeepalivedRunning ? 'running' : 'stopped',
    hactl:
      hactl === undefined
        ? 'not installed'
        : !hactl.isInCluster
          ? 'no cluster'
          : `${hactl.role}, failover ${hactl.failover}`,
  };
}

const nodeOf = (seen: Seen, votes: Votes, settings: Settings): NodeStatus => ({
  name: seen.name,
  address: seen.address,
  online: seen.reading !== undefined,
  role: isFree(seen, votes) ? 'free' : agreedRole(votes),
  witnesses: witnessesOf(seen, settings),
  services: {
    ...(seen.reading === undefined
      ? {}
      : { [settings.database.service]: seen.reading.database === undefined ? 'not answering' : 'answering' }),
    ...seen.reading?.services,
  },
});

/** The direction that counts, primary to standby; while the roles are unknown, the worse of both. */
function replicationOf(all: readonly Seen[], roleOf: (node: string) => Role): ReplicationStatus {
  const standbys = all.filter(({ name }) => roleOf(name) === 'standby');
  const states = (standbys.length > 0 ? standbys : all).map(({ reading }): ReplicationStatus => {
    const kind = 'mysql';
    const replica = reading?.database?.replica;
    if (reading?.database === undefined) return { kind, state: 'unknown', lagSeconds: null, percent: null };
    if (replica === undefined) return { kind, state: 'absent', lagSeconds: null, percent: null };
    const fault = faultOf(replica);
    const state = fault === undefined ? 'normal' : fault === 'replication is stopped' ? 'stopped' : 'broken';
    return { kind, state, lagSeconds: replica.lagSeconds, percent: null };
  });
  const worst = ['broken', 'stopped', 'unknown', 'absent', 'normal'];
  const [first] = states.toSorted((a, b) => worst.indexOf(a.state) - worst.indexOf(b.state));
  return first ?? { kind: 'mysql', state: 'unknown', lagSeconds: null, percent: null };
}

const vipsOf = (all: readonly Seen[], settings: Settings): readonly VipStatus[] =>
  settings.vips.map(({ address }) => ({
    address,
    holders: all.filter(({ reading }) => reading?.addresses.includes(address)).map(({ name }) => name),
  }));

function heartbeatsOf(all: readonly Seen[], settings: Settings): readonly HeartbeatStatus[] {
  return settings.heartbeats.flatMap(({ addresses }) =>
    all.flatMap(({ name, reading }) =>
      all
        .filter((other) => other.name !== name)
        .map((other): HeartbeatStatus => {
          const [from, to] = [addresses[name] ?? name, addresses[other.name] ?? other.name];
          const isOk = reading?.heartbeats.get(to);
          return { from, to, state: isOk === undefined ? 'untested' : isOk ? 'ok' : 'failed' };
        }),
    ),
  );
}

/** Folds what the nodes said into the one model. Pure. */
export function foldReadings(
  cluster: Cluster,
  settings: Settings,
  all: readonly Seen[],
  errant?: Errant,
): ClusterStatus {
  const votes = new Map(all.map((node) => [node.name, votesOf(node, all, settings)] as const));
  const nodes = all.map((node) => nodeOf(node, votes.get(node.name) ?? {}, settings));
  const roleOf = (name: string): Role => nodes.find((node) => node.name === name)?.role ?? 'unknown';
  const replication = replicationOf(all, roleOf);
  const vips = vipsOf(all, settings);
  const heartbeats = heartbeatsOf(all, settings);
  const said = all.flatMap(({ reading }) => reading?.hactl ?? []).filter(({ isInCluster }) => isInCluster);
  const failovers = new Set(said.map(({ failover }) => failover));
  const failover = failovers.size === 1 ? ([...failovers][0] ?? 'unknown') : 'unknown';
  const ofMembers = new Map([...votes].filter(([name]) => roleOf(name) !== 'free'));
  const problems: readonly ClusterProblem[] = [
    ...roleProblems(nodes, ofMembers),
    ...dbackupProblems({ all, nodes, replication, vips, heartbeats, settings, errant }),
  ];
  return {
    cluster: cluster.name,
    stack: cluster.stack,
    state: stateOf(nodes, problems, failover === 'unknown' ? undefined : failover === 'enabled'),
    nodes,
    replication,
    vips,
    heartbeats,
    arbitration: { failover },
    problems,
  };
}

/** What the standby has written and the primary has not: looked for where the primary does not follow. */
async function errantIn(
  { nodes }: ClusterStatus,
  settings: Settings,
  all: readonly Seen[],
  contextOf: (node: string) => Context,
): Promise<Errant | undefined> {
  const seenAs = (role: Role): Seen | undefined =>
    all.find(({ name }) => name === nodes.find((node) => node.role === role)?.name);
  const [primary, standby] = [seenAs('primary'), seenAs('standby')];
  const from = lackingFrom(primary?.reading?.database?.replica);
  const { database } = standby?.reading ?? {};
  if (!primary || !standby || !from || !database) return undefined;
  try {
    const count = await errantFrom(contextOf(standby.name), settings, from, database.serverId);
    return count > 0 ? { node: standby.name, peer: primary.name, count } : undefined;
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

/** Reads both nodes, each in one exchange, side by side; the standby once more where the primary does not follow it. */
export async function readStatus(
  cluster: Cluster,
  contextOf: (node: string) => Context,
): Promise<ClusterStatus> {
  const contexts = cluster.nodes.map(contextOf);
  const settings = settingsSchema.parse(contexts[0]?.cluster?.settings ?? cluster.settings);
  const all = await Promise.all(
    contexts.map((context) => {
      const { name } = context.host;
      const peer = cluster.nodes.find((node) => node !== name);
      const fallback = settings.heartbeats[0]?.addresses[name];
      return see(context, fallback, () => readNode(context, settings, name, peer));
    }),
  );
  const status = foldReadings(cluster, settings, all);
  const errant = await errantIn(status, settings, all, contextOf);
  return errant === undefined ? status : foldReadings(cluster, settings, all, errant);
}
