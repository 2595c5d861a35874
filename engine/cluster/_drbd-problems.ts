import type { ClusterProblem, HeartbeatStatus, NodeStatus, ReplicationStatus } from '../core/cluster.ts';
import { isInStep, told } from '../modules/drbd/_status.ts';
import type { Verdict } from '../modules/drbd/_verdict.ts';
import { failuresText } from '../modules/pacemaker/_status.ts';
import { guardProblems, isUnguarded } from './_drbd-guards.ts';
import type { Node, Reading } from './_drbd-read.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';

/** DRBD is promoted somewhere: Pacemaker has its resources. */
const isBuilt = (reading: Reading | undefined): reading is Reading =>
  reading?.words['pacemaker'] !== undefined && reading.words['pacemaker'] !== 'promoted nowhere';

interface Known {
  readonly all: readonly Node[];
  readonly nodes: readonly NodeStatus[];
  readonly replication: ReplicationStatus;
  readonly verdict: Verdict | undefined;
  readonly heartbeats: readonly HeartbeatStatus[];
  readonly holders: readonly string[];
  readonly settings: DrbdSettings;
  readonly shape: Shape;
}

const problem = (code: string, message: string, hint: string): ClusterProblem => ({ code, message, hint });

/** Why nodes do not see each other. */
function apart({ state, text }: Verdict): ClusterProblem {
  if (state === 'lost_connection')
    return problem(
      'drbd.disconnected',
      text,
      'mend the replication network; where a node is StandAlone, playbooks/drbd/reconnect.yml',
    );
  if (state === 'unrelated')
    return problem('drbd.unrelated', text, 'one of the disks has to be made anew, and synced from the other');
  return problem(
    'drbd.split_brain',
    text,
    'playbooks/drbd/split-brain.yml tells what each has, repair-split-brain.yml ends it with one of them saved and discarded',
  );
}

function ofDrbd({ replication: { state, percent }, verdict }: Known): readonly ClusterProblem[] {
  if (verdict) return [apart(verdict)];
  switch (state) {
    case 'broken':
      return [
        problem(
          'drbd.broken',
          'DRBD does not replicate',
          'a split brain where a node is StandAlone; see the witnesses',
        ),
      ];
    case 'stopped':
      return [
        problem(
          'drbd.disconnected',
          'the nodes do not replicate to each other',
          'is the other node up, and the replication network between them?',
        ),
      ];
    case 'syncing':
      return [
        problem(
          'drbd.syncing',
          `a sync is under way: ${(percent ?? 0).toFixed(1)} % in step`,
          'wait for its end',
        ),
      ];
    default:
      return [];
  }
}

/** It goes where the primary is too, whatever is there. */
function ofSecond({ all }: Known): readonly ClusterProblem[] {
  const amiss = all.flatMap(({ name, reading }) =>
    reading?.second && !isInStep(reading.second) ? [{ name, second: reading.second }] : [],
  );
  return amiss.slice(0, 1).map(({ name, second }) => {
    const hint = `playbooks/drbd/split-brain.yml with resource=${second.name} tells what each side has`;
    return problem('drbd.second', `${second.name} is not in step on ${name}: ${told(second)}`, hint);
  });
}

function ofPacemaker({ all, nodes, heartbeats, settings }: Known): readonly ClusterProblem[] {
  const problems: ClusterProblem[] = [];
  for (const { name, witnesses } of nodes) {
    if (witnesses['node'] === 'standby')
      problems.push(
        problem(
          'node-standby',
          `${name} is in standby and takes no resources`,
          `pacemaker.node: { name: ${name}, standby: false }`,
        ),
      );
    if (witnesses['node'] === 'offline')
      problems.push(
        problem(
          'not-in-cluster',
          `Pacemaker on ${name} is not in the cluster`,
          `journalctl -u corosync -u pacemaker on ${name}`,
        ),
      );
    if (witnesses['quorum'] === 'no')
      problems.push(
        problem('no-quorum', `${name} has no quorum`, 'the other node or the arbiter is not reached'),
      );
  }
  const clusters = all.flatMap(({ reading }) => reading?.cluster ?? []);
  for (const { name, reading } of all)
    if (reading !== undefined && reading.cluster === undefined && clusters.length > 0)
      problems.push(
        problem(
          'pacemaker-stopped',
          `Pacemaker does not run on ${name}`,
          'systemctl start corosync pacemaker',
        ),
      );
  const [first] = clusters;
  if (first !== undefined && first.failures.length > 0)
    problems.push(
      problem('resource-failed', failuresText(first.failures), 'mend the cause, then pacemaker.cleanup'),
    );
  // Where corosync-qdevice does not run nothing is told of a vote.
  const { arbitration } = settings;
  const isGuarded = arbitration !== 'none' && 'qnetd' in arbitration;
  for (const { name, reading } of all)
    if (reading?.hasVote === false || (isGuarded && reading?.cluster && reading.hasVote === undefined))
      problems.push(
        problem(
          'no-device',
          `${name} does not have the vote of the quorum device`,
          'is corosync-qnetd running on the arbiter, and reached?',
        ),
      );
  for (const { from, to, state } of heartbeats)
    if (state === 'failed')
      problems.push(
        problem('heartbeat-failed', `no heartbeat from ${from} to ${to}`, 'the network between them'),
      );
  return problems;
}

/** What is wrong with a pair of DRBD and Pacemaker, beside its roles. */
export function problemsOf(known: Known): readonly ClusterProblem[] {
  const { all, nodes, holders, settings, shape } = known;
  const problems: ClusterProblem[] = [];
  for (const { name, reading, silence } of all)
    if (reading === undefined)
      problems.push(
        problem(
          'node-offline',
          `${name} does not answer: ${silence ?? ''}`,
          'power, network, sshd of that node',
        ),
      );
  problems.push(...ofDrbd(known), ...ofSecond(known), ...ofPacemaker(known));
  const primaries = nodes.filter(({ role }) => role === 'primary');
  if (holders.length > 1)
    problems.push(
      problem(
        'vip-twice',
        `${settings.vip.address} is on ${holders.join(' and ')}`,
        'both serve: see roles and arbitration',
      ),
    );
  // A pair whose Pacemaker is not built yet has no address, and is guarded by nothing yet.
  const built = all.flatMap(({ reading }) => (isBuilt(reading) ? [reading] : []));
  const [guards] = built.flatMap((reading) => reading.guards ?? []);
  if (guards) problems.push(...guardProblems(settings, guards));
  if (built.length > 0 && primaries.length === 1 && holders.length === 0)
    problems.push(
      problem('vip-nowhere', `no node has ${settings.vip.address}`, 'pacemaker.status tells why'),
    );
  for (const { name, services } of built.length > 0 ? primaries : [])
    for (const unit of shape.units)
      if (services[unit] !== 'active')
        problems.push(problem('service-down', `${unit} does not run on ${name}`, `journalctl -u ${unit}`));
  if (isUnguarded(settings, guards))
    problems.push(
      problem(
        'unguarded',
        'nothing guards the pair against two primaries when the link between its nodes breaks',
        '`arbitration`: a quorum device (qnetd) or ping; `fencing`',
      ),
    );
  return problems;
}
