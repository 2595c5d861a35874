import type { Bend, ClusterStatus, HeartbeatStatus, NodeStatus, ReplicationStatus } from '../core/cluster.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { percentOf, resultOf, told } from '../modules/drbd/_status.ts';
import { judge } from '../modules/drbd/_verdict.ts';
import type { Verdict } from '../modules/drbd/_verdict.ts';
import { isOn } from '../modules/pacemaker/_status.ts';
import { protectionWith } from './_drbd-guards.ts';
import { problemsOf } from './_drbd-problems.ts';
import { readNode } from './_drbd-read.ts';
import type { Node } from './_drbd-read.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';
import { VOICES } from './_drbd-witnesses.ts';
import { agreedRole, recovered, roleProblems, see, stateOf, votesBy } from './model.ts';
import type { Votes } from './model.ts';

const votesOf = ({ reading }: Node): Votes => (reading === undefined ? {} : votesBy(VOICES, reading.words));

const isFree = (seen: Node): boolean =>
  seen.reading !== undefined &&
  seen.reading.resource === undefined &&
  Object.keys(votesOf(seen)).length === 0;

function nodeOf(seen: Node): NodeStatus {
  const { name, address, reading, silence } = seen;
  const base = { name, address, online: reading !== undefined };
  if (reading === undefined)
    return { ...base, role: 'unknown', witnesses: { connection: silence ?? 'none' }, services: {} };
  const { resource, words, cluster, units } = reading;
  const own = cluster?.nodes.find((node) => node.name === name);
  const member = own?.is_standby ? 'standby' : own?.is_online ? 'online' : 'offline';
  return {
    ...base,
    role: isFree(seen) ? 'free' : agreedRole(votesOf(seen)),
    witnesses: {
      ...words,
      drbd: resource === undefined ? 'down' : told(resource),
      node: cluster === undefined ? 'Pacemaker does not run' : member,
      ...(cluster === undefined ? {} : { quorum: cluster.has_quorum ? 'yes' : 'no' }),
    },
    services: units,
  };
}

/** What is to be thought of nodes that do not see each other; undefined where they do, or one of them says nothing. */
function verdictOf(all: readonly Node[], { filesystem }: DrbdSettings): Verdict | undefined {
  const sides = all.flatMap(({ name, reading }) => {
    if (reading?.resource === undefined || reading.generations.length === 0) return [];
    const { resource, generations, policies, words } = reading;
    const uses = words['mount'] === 'here' ? [`it is mounted at ${filesystem.directory}`] : [];
    return [{ name, resource, generations, policies, uses, hasVip: words['vip'] === 'here', log: [] }];
  });
  const [one, other] = sides;
  return one && other && judge([one, other]);
}

/** The worse of what both nodes say: one alone may know of a split brain. */
function replicationOf(all: readonly Node[], verdict: Verdict | undefined): ReplicationStatus {
  const up = all.flatMap(({ reading }) => reading?.resource ?? []);
  const base = { kind: 'drbd', lagSeconds: null, percent: null } as const;
  const [first] = up;
  if (first === undefined)
    return { ...base, state: all.some(({ reading }) => reading === undefined) ? 'unknown' : 'absent' };
  if (verdict) return { ...base, state: verdict.state === 'lost_connection' ? 'stopped' : 'broken' };
  const alone = up.find((one) => one.peers.some(({ connection }) => connection === 'StandAlone'));
  if (alone !== undefined) return { ...base, state: 'broken' };
  const { replication, connection, disk, peer_disk: peer } = resultOf(first);
  const percent = percentOf(first) ?? null;
  if (connection !== 'Connected') return { ...base, state: 'stopped', percent };
  if (/^(Paused)?Sync|^WF|^Starting/.test(replication)) return { ...base, state: 'syncing', percent };
  return { ...base, state: disk === 'UpToDate' && peer === 'UpToDate' ? 'normal' : 'broken', percent };
}

/** corosync numbers the nodes in the order of the inventory (templates/corosync.conf.hbs). */
const heartbeatsOf = (all: readonly Node[], { corosync }: DrbdSettings): readonly HeartbeatStatus[] =>
  all.flatMap(({ name, reading }) =>
    all.flatMap((peer, i) =>
      peer.name === name
        ? []
        : corosync.links.map((addresses, link): HeartbeatStatus => {
            const seen = reading?.links.find(
              (one) => one.nodeId === String(i + 1) && one.link === String(link),
            );
            return {
              from: addresses[name] ?? name,
              to: addresses[peer.name] ?? peer.name,
              state: seen === undefined ? 'untested' : seen.isUp ? 'ok' : 'failed',
            };
          }),
    ),
  );

/** Folds what the nodes said into the one model. Pure. */
export function foldReadings(
  cluster: Cluster,
  settings: DrbdSettings,
  shape: Shape,
  all: readonly Node[],
): ClusterStatus {
  const nodes = all.map(nodeOf);
  const verdict = verdictOf(all, settings);
  const replication = replicationOf(all, verdict);
  const heartbeats = heartbeatsOf(all, settings);
  const votes = new Map(all.filter((one) => !isFree(one)).map((seen) => [seen.name, votesOf(seen)]));
  const holders = all.filter(({ reading }) => reading?.words['vip'] === 'here').map(({ name }) => name);
  const problems = [
    ...roleProblems(nodes, votes),
    ...problemsOf({ all, nodes, replication, verdict, heartbeats, holders, settings, shape }),
  ];
  const guards = all.flatMap(({ reading }) => reading?.guards ?? []);
  const isLeftAlone =
    guards.length === 0 ? undefined : guards.some(({ properties }) => isOn(properties['maintenance-mode']));
  return {
    cluster: cluster.name,
    stack: cluster.stack,
    state: stateOf(nodes, problems, isLeftAlone === true ? false : undefined),
    nodes,
    replication,
    vips: [{ address: settings.vip.address, holders }],
    heartbeats,
    arbitration: {
      protection: protectionWith(settings, guards[0]),
      ...(isLeftAlone === undefined ? {} : { failover: isLeftAlone ? 'disabled' : 'enabled' }),
    },
    problems,
  };
}

/** Reads both nodes, each in one exchange, side by side. */
export const readPair = async (
  cluster: Cluster,
  settings: DrbdSettings,
  shape: Shape,
  contextOf: (node: string) => Context,
): Promise<ClusterStatus> => {
  const nodes = cluster.nodes.map((node) =>
    see(contextOf(node), settings.drbd.addresses[node], (context) => readNode(context, settings, shape)),
  );
  return foldReadings(cluster, settings, shape, await Promise.all(nodes));
};

/** What of the pair is bent, and what is seen not to be. */
export function drbdBends(status: ClusterStatus): readonly Bend[] {
  const { cluster, nodes, arbitration } = status;
  const failover = arbitration['failover'];
  const bends: Bend[] = [...recovered(status)];
  if (failover === 'enabled' || failover === 'disabled')
    bends.push({
      obligation: `maintenance@${cluster}`,
      isBent: failover === 'disabled',
      message: 'Pacemaker leaves all resources alone (maintenance-mode)',
    });
  for (const { name, witnesses } of nodes)
    if (['standby', 'online', 'offline'].includes(witnesses['node'] ?? ''))
      bends.push({
        obligation: `standby-${name}@${cluster}`,
        isBent: witnesses['node'] === 'standby',
        message: `${name} is in standby`,
      });
  return bends;
}
