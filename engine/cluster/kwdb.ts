import type { Bend, ClusterProblem, ClusterStatus, NodeStatus, ReplicationStatus } from '../core/cluster.ts';
import { Unreachable } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { parseEvents, percentOf, resultOf, told } from '../modules/drbd/_status.ts';
import type { Resource } from '../modules/drbd/_status.ts';
import type { Settings } from './_kwdb-settings.ts';
import { settingsSchema } from './_kwdb-settings.ts';
import { VOICES } from './_kwdb-witnesses.ts';
import type { Votes } from './model.ts';
import { agreedRole, roleProblems, stateOf, votesBy } from './model.ts';

export { settingsSchema } from './_kwdb-settings.ts';
export { kwdbGuard as roleGuard } from './_kwdb-witnesses.ts';

/** What one node says of itself. */
export interface Reading {
  /** Undefined where the resource is down. */
  readonly resource: Resource | undefined;
  readonly isMounted: boolean;
  readonly hasVip: boolean;
  /** ActiveState of the database's unit; undefined where it is not installed. */
  readonly service: string | undefined;
}

/** A node and what it said, or why it could not be asked. */
export interface Seen {
  readonly name: string;
  readonly address: string;
  readonly reading: Reading | undefined;
  readonly silence?: string;
}

/** One exchange. `$1` device, `$2` directory, `$3` virtual address, `$4` unit. */
const SCRIPT = `
[ "$(findmnt -rno SOURCE "$2" 2>/dev/null)" != "$1" ] || echo mounted
if ip -o addr show | grep -qF " $3/"; then echo vip; fi
state=$(systemctl show -p LoadState -p ActiveState "$4" 2>/dev/null | sort -r | cut -d= -f2 | tr '\\n' ' ')
case $state in 'loaded '*) echo "service \${state#* }" ;; esac
[ ! -e /proc/drbd ] || drbdsetup events2 --now --statistics
exit 0
`;

export function parseReading(text: string, resource: string): Reading {
  const lines = text.split('\n').map((line) => line.trim());
  return {
    resource: parseEvents(text).find(({ name }) => name === resource),
    isMounted: lines.includes('mounted'),
    hasVip: lines.includes('vip'),
    service: lines.find((line) => line.startsWith('service '))?.slice('service '.length),
  };
}

async function see(context: Context, { drbd, filesystem, vip, service }: Settings): Promise<Seen> {
  const { name, connection } = context.host;
  const address = connection.address ?? drbd.addresses[name] ?? name;
  try {
    const args = [drbd.device, filesystem.directory, vip.address, service];
    const { stdout } = await context.sh(SCRIPT, { args, isLook: true });
    return { name, address, reading: parseReading(stdout, drbd.resource) };
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return { name, address, reading: undefined, silence: error.message };
  }
}

const votesOf = ({ reading }: Seen): Votes =>
  reading === undefined
    ? {}
    : votesBy(VOICES, {
        drbd: reading.resource?.role ?? 'down',
        mount: reading.isMounted ? 'here' : 'not here',
        vip: reading.hasVip ? 'here' : 'not here',
      });

function nodeOf(seen: Seen, { service }: Settings): NodeStatus {
  const { name, address, reading, silence } = seen;
  const base = { name, address, online: reading !== undefined };
  if (reading === undefined)
    return { ...base, role: 'unknown', witnesses: { connection: silence ?? 'none' }, services: {} };
  const { resource, isMounted, hasVip } = reading;
  return {
    ...base,
    role: resource === undefined && !isMounted && !hasVip ? 'free' : agreedRole(votesOf(seen)),
    witnesses: {
      drbd: resource === undefined ? 'down' : told(resource),
      mount: isMounted ? 'here' : 'not here',
      vip: hasVip ? 'here' : 'not here',
    },
    services: reading.service === undefined ? {} : { [service]: reading.service },
  };
}

/** The worse of what both nodes say: one alone may know of a split brain. */
function replicationOf(all: readonly Seen[]): ReplicationStatus {
  const up = all.flatMap(({ reading }) => reading?.resource ?? []);
  const base = { kind: 'drbd', lagSeconds: null, percent: null } as const;
  const [first] = up;
  if (first === undefined)
    return { ...base, state: all.some(({ reading }) => reading === undefined) ? 'unknown' : 'absent' };
  const alone = up.find((one) => one.peers.some(({ connection }) => connection === 'StandAlone'));
  if (alone !== undefined) return { ...base, state: 'broken' };
  const { replication, connection, disk, peer_disk: peer } = resultOf(first);
  const percent = percentOf(first) ?? null;
  if (connection !== 'Connected') return { ...base, state: 'stopped', percent };
  if (/^(Paused)?Sync|^WF|^Starting/.test(replication)) return { ...base, state: 'syncing', percent };
  return { ...base, state: disk === 'UpToDate' && peer === 'UpToDate' ? 'normal' : 'broken', percent };
}

function problemsOf(all: readonly Seen[], { state, percent }: ReplicationStatus): readonly ClusterProblem[] {
  const problem = (code: string, message: string, hint: string): ClusterProblem => ({ code, message, hint });
  const silent = all.filter(({ reading }) => reading === undefined);
  return [
    ...silent.map(({ name, silence }) =>
      problem('node.away', `${name} does not answer: ${silence ?? ''}`, 'power, network, sshd of that node'),
    ),
    ...(state === 'broken'
      ? [
          problem(
            'drbd.broken',
            'DRBD does not replicate',
            'a split brain where a node is StandAlone; see the witnesses',
          ),
        ]
      : []),
    ...(state === 'stopped'
      ? [
          problem(
            'drbd.disconnected',
            'the nodes do not see each other',
            'the replication network between them',
          ),
        ]
      : []),
    ...(state === 'syncing'
      ? [
          problem(
            'drbd.syncing',
            `a sync is under way: ${(percent ?? 0).toFixed(1)} % in step`,
            'wait for its end',
          ),
        ]
      : []),
  ];
}

/** Folds what the nodes said into the one model. Pure. */
export function foldReadings(cluster: Cluster, settings: Settings, all: readonly Seen[]): ClusterStatus {
  const nodes = all.map((seen) => nodeOf(seen, settings));
  const replication = replicationOf(all);
  const isFree = (name: string): boolean => nodes.find((node) => node.name === name)?.role === 'free';
  const votes = new Map(all.filter(({ name }) => !isFree(name)).map((seen) => [seen.name, votesOf(seen)]));
  const holders = all.filter(({ reading }) => reading?.hasVip).map(({ name }) => name);
  const problems = [...roleProblems(nodes, votes), ...problemsOf(all, replication)];
  return {
    cluster: cluster.name,
    stack: cluster.stack,
    state: stateOf(nodes, problems, undefined),
    nodes,
    replication,
    vips: [{ address: settings.vip.address, holders }],
    heartbeats: [],
    arbitration: {},
    problems,
  };
}

/** Reads both nodes, each in one exchange, side by side. */
export async function readStatus(
  cluster: Cluster,
  contextOf: (node: string) => Context,
): Promise<ClusterStatus> {
  const contexts = cluster.nodes.map(contextOf);
  const settings = settingsSchema.parse(contexts[0]?.cluster?.settings ?? cluster.settings);
  return foldReadings(
    cluster,
    settings,
    await Promise.all(contexts.map((context) => see(context, settings))),
  );
}

/** Nothing of such a pair is bent by the modules so far. */
export const bends = (): readonly Bend[] => [];
