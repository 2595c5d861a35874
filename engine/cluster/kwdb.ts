import type { Bend, ClusterProblem, ClusterStatus, NodeStatus, ReplicationStatus } from '../core/cluster.ts';
import { Unreachable } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import type { Generations } from '../modules/drbd/_generations.ts';
import { parseGenerations } from '../modules/drbd/_generations.ts';
import { parseEvents, percentOf, resultOf, told } from '../modules/drbd/_status.ts';
import type { Resource } from '../modules/drbd/_status.ts';
import type { Verdict } from '../modules/drbd/_verdict.ts';
import { judge } from '../modules/drbd/_verdict.ts';
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
  /** Volume by volume; none while it is connected. */
  readonly generations: readonly Generations[];
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

/** One exchange. `$1` device, `$2` directory, `$3` virtual address, `$4` unit, `$5` resource. */
const SCRIPT = `
[ "$(findmnt -rno SOURCE "$2" 2>/dev/null)" != "$1" ] || echo mounted
if ip -o addr show | grep -qF " $3/"; then echo vip; fi
state=$(systemctl show -p LoadState -p ActiveState "$4" 2>/dev/null | sort -r | cut -d= -f2 | tr '\\n' ' ')
case $state in 'loaded '*) echo "service \${state#* }" ;; esac
[ ! -e /proc/drbd ] || drbdsetup events2 --now --statistics
case $(drbdadm cstate "$5" 2>/dev/null) in
  ''|StandAlone|WFConnection|Connecting|Unconnected) drbdadm get-gi "$5" 2>/dev/null | sed 's/^/gi /' ;;
esac
exit 0
`;

export function parseReading(text: string, resource: string): Reading {
  const lines = text.split('\n').map((line) => line.trim());
  return {
    resource: parseEvents(text).find(({ name }) => name === resource),
    generations: lines
      .filter((line) => line.startsWith('gi '))
      .flatMap((line) => parseGenerations(line.slice('gi '.length)) ?? []),
    isMounted: lines.includes('mounted'),
    hasVip: lines.includes('vip'),
    service: lines.find((line) => line.startsWith('service '))?.slice('service '.length),
  };
}

async function see(context: Context, { drbd, filesystem, vip, service }: Settings): Promise<Seen> {
  const { name, connection } = context.host;
  const address = connection.address ?? drbd.addresses[name] ?? name;
  try {
    const args = [drbd.device, filesystem.directory, vip.address, service, drbd.resource];
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

/** What is to be thought of nodes that do not see each other; undefined where they do, or one of them says nothing. */
function verdictOf(all: readonly Seen[], { filesystem }: Settings): Verdict | undefined {
  const sides = all.flatMap(({ name, reading }) => {
    if (reading?.resource === undefined || reading.generations.length === 0) return [];
    const { resource, generations, isMounted, hasVip } = reading;
    const uses = isMounted ? [`it is mounted at ${filesystem.directory}`] : [];
    return [{ name, resource, generations, uses, hasVip, log: [] }];
  });
  const [one, other] = sides;
  return one && other && judge([one, other]);
}

/** The worse of what both nodes say: one alone may know of a split brain. */
function replicationOf(all: readonly Seen[], verdict: Verdict | undefined): ReplicationStatus {
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

const problem = (code: string, message: string, hint: string): ClusterProblem => ({ code, message, hint });

/** Why nodes do not see each other. */
function apart({ state, text }: Verdict): ClusterProblem {
  if (state === 'lost_connection')
    return problem(
      'drbd.disconnected',
      text,
      'mend the replication network; where a node is StandAlone, playbooks/kwdb/drbd-reconnect.yml',
    );
  if (state === 'unrelated')
    return problem('drbd.unrelated', text, 'one of the disks has to be made anew, and synced from the other');
  return problem(
    'drbd.split_brain',
    text,
    'playbooks/kwdb/split-brain.yml tells what each has, repair-split-brain.yml ends it with one of them saved and discarded',
  );
}

function problemsOf(
  all: readonly Seen[],
  { state, percent }: ReplicationStatus,
  verdict: Verdict | undefined,
): readonly ClusterProblem[] {
  const silent = all.filter(({ reading }) => reading === undefined);
  return [
    ...silent.map(({ name, silence }) =>
      problem('node.away', `${name} does not answer: ${silence ?? ''}`, 'power, network, sshd of that node'),
    ),
    ...(verdict ? [apart(verdict)] : []),
    ...(state === 'broken' && !verdict
      ? [
          problem(
            'drbd.broken',
            'DRBD does not replicate',
            'a split brain where a node is StandAlone; see the witnesses',
          ),
        ]
      : []),
    ...(state === 'stopped' && !verdict
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
  const verdict = verdictOf(all, settings);
  const replication = replicationOf(all, verdict);
  const isFree = (name: string): boolean => nodes.find((node) => node.name === name)?.role === 'free';
  const votes = new Map(all.filter(({ name }) => !isFree(name)).map((seen) => [seen.name, votesOf(seen)]));
  const holders = all.filter(({ reading }) => reading?.hasVip).map(({ name }) => name);
  const problems = [...roleProblems(nodes, votes), ...problemsOf(all, replication, verdict)];
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
