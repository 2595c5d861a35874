import { Unreachable } from '../core/error.ts';
import type { Context } from '../core/module.ts';
import type { Bend, ClusterProblem, ClusterState, ClusterStatus, NodeStatus, Role } from '../core/cluster.ts';

/** A node and what it said, or why it could not be asked. */
export interface Seen<Reading> {
  readonly name: string;
  readonly address: string;
  readonly reading: Reading | undefined;
  readonly silence: string | undefined;
}

/** Asks a node; one that does not answer is part of the answer. */
export async function see<Reading>(
  context: Context,
  fallback: string | undefined,
  read: (context: Context) => Promise<Reading>,
): Promise<Seen<Reading>> {
  const { name, connection } = context.host;
  const address = connection.address ?? fallback ?? name;
  try {
    return { name, address, reading: await read(context), silence: undefined };
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return { name, address, reading: undefined, silence: error.message };
  }
}

/** What one witness makes of a node; a witness that cannot tell is left out. */
export type Votes = Readonly<Record<string, 'primary' | 'standby'>>;

/** What a stack's witnesses may say of a node: witness → word → the role it speaks for. Other words tell nothing. */
export type Voices = Readonly<Record<string, Readonly<Record<string, 'primary' | 'standby'>>>>;

/** The votes of witnesses by what they said. */
export function votesBy(voices: Voices, said: Readonly<Record<string, string>>): Votes {
  const votes: Record<string, 'primary' | 'standby'> = {};
  for (const [witness, word] of Object.entries(said)) {
    const role = voices[witness]?.[word];
    if (role !== undefined) votes[witness] = role;
  }
  return votes;
}

/** The role on which all witnesses agree; unknown where they disagree or there are none. */
export function agreedRole(votes: Votes): Role {
  const roles = new Set(Object.values(votes));
  const [role] = roles;
  return roles.size === 1 && role !== undefined ? role : 'unknown';
}

/** Problems that every stack has: witnesses at odds, no primary, or more than one. */
export function roleProblems(
  nodes: readonly NodeStatus[],
  votes: ReadonlyMap<string, Votes>,
): readonly ClusterProblem[] {
  const problems: ClusterProblem[] = [];
  for (const [node, said] of votes) {
    if (new Set(Object.values(said)).size < 2) continue;
    const text = Object.entries(said).map(([witness, role]) => `${witness} says ${role}`);
    problems.push({
      code: 'roles-disagree',
      message: `The role of ${node} is not clear: ${text.join(', ')}`,
      hint: 'a switch may be under way: look again; otherwise see which witness is wrong before anything else is done',
    });
  }
  const primaries = nodes.filter(({ role }) => role === 'primary').map(({ name }) => name);
  if (primaries.length > 1) {
    problems.push({
      code: 'two-primaries',
      message: `${primaries.join(' and ')} are both primary (split brain)`,
      hint: 'mend the heartbeat network, then demote the former primary (FAQ 5)',
    });
  }
  const isKnown = nodes.every(({ online, role }) => online && role !== 'unknown');
  if (primaries.length === 0 && isKnown && nodes.some(({ role }) => role === 'standby')) {
    problems.push({
      code: 'no-primary',
      message: 'No node is primary',
      hint: 'promote the node that was primary last',
    });
  }
  return problems;
}

/** Problems that leave the service as it is; they are told, and change no state. */
const REMARKS = new Set(['single-heartbeat', 'not-built', 'unguarded']);
const ERRORS = new Set([
  'two-primaries',
  'no-primary',
  'node-offline',
  'vip-nowhere',
  'vip-twice',
  'drbd.split_brain',
]);

/** The state of the pair by the words of section 5.3.2, with `degraded` for a service that runs with something amiss. */
export function stateOf(
  nodes: readonly NodeStatus[],
  problems: readonly ClusterProblem[],
  isFailoverOn: boolean | undefined,
): ClusterState {
  const codes = problems.map(({ code }) => code).filter((code) => !REMARKS.has(code));
  if (nodes.every(({ online }) => !online) || nodes.every(({ role }) => role === 'free')) return 'unknown';
  if (codes.some((code) => ERRORS.has(code))) return 'error';
  if (!nodes.some(({ role }) => role === 'primary')) return 'unknown';
  if (codes.length > 0) return 'degraded';
  return isFailoverOn === false ? 'stopped' : 'running';
}

/** Node → role, as a run records it. */
export const rolesOf = (status: ClusterStatus): Readonly<Record<string, Role>> =>
  Object.fromEntries(status.nodes.map(({ name, role }) => [name, role]));

/** Noted by playbooks of recovery, of a node that was away or of the pair. A whole pair shows that it is over; no other can tell. */
export function recovered({ cluster, state, nodes, replication }: ClusterStatus): readonly Bend[] {
  if ((state !== 'running' && state !== 'stopped') || replication.state !== 'normal') return [];
  return [cluster, ...nodes.map(({ name }) => name)].map((name) => ({
    obligation: `not-recovered@${name}`,
    isBent: false,
    message: `${name} is not put in order`,
  }));
}
