import { z } from 'zod';
import type { ClusterStatus } from '../../core/cluster.ts';
import { query } from '../../core/module.ts';

const params = z.strictObject({
  expect: z
    .strictObject({
      state: z
        .union([z.string(), z.array(z.string())])
        .optional()
        .describe(
          'State of the pair, or a list of those that will do: running, stopped, degraded, error, unknown',
        ),
      roles: z
        .record(z.string(), z.enum(['primary', 'standby', 'free', 'unknown']))
        .optional()
        .describe('Node → role'),
      replication: z
        .string()
        .optional()
        .describe('State of the replication: normal, broken, stopped, absent, unknown'),
      vips: z.record(z.string(), z.string()).optional().describe('VIP → the one node that must have it'),
      no_problems: z
        .union([z.boolean(), z.array(z.string())])
        .optional()
        .describe('No problem at all, or none with these codes'),
    })
    .optional()
    .describe('Fails when the pair is otherwise'),
});
type Expected = NonNullable<z.output<typeof params>['expect']>;

/** In what the pair differs from what is expected, one clause each. */
export function differences(status: ClusterStatus, expected: Expected): readonly string[] {
  const found: string[] = [];
  const states = expected.state === undefined ? undefined : [expected.state].flat();
  if (states !== undefined && !states.includes(status.state))
    found.push(`it is ${status.state}, not ${states.join(' or ')}`);
  for (const [node, role] of Object.entries(expected.roles ?? {})) {
    const now = status.nodes.find(({ name }) => name === node)?.role;
    if (now !== role)
      found.push(now === undefined ? `${node} is none of its nodes` : `${node} is ${now}, not ${role}`);
  }
  if (expected.replication !== undefined && status.replication.state !== expected.replication)
    found.push(`replication is ${status.replication.state}, not ${expected.replication}`);
  for (const [address, node] of Object.entries(expected.vips ?? {})) {
    const holders = status.vips.find((vip) => vip.address === address)?.holders ?? [];
    if (holders.join() !== node)
      found.push(`VIP ${address} is on ${holders.join(' and ') || 'no node'}, not on ${node}`);
  }
  const forbidden = expected.no_problems;
  for (const { code, message } of status.problems) {
    if (forbidden === true || (Array.isArray(forbidden) && forbidden.includes(code))) found.push(message);
  }
  return found;
}

export default query({
  summary: "Reads the state of the host's pair on its nodes",
  params,
  examples: `
- name: The pair runs, and dbk1 is primary
  cluster.status:
    expect: { state: running, roles: { dbk1: primary, dbk2: standby }, replication: normal }
  register: pair
`,
  returns: {
    state: 'running, stopped, degraded, error or unknown',
    roles: 'Node → role',
    primary: 'Name of the one primary, or null',
    standby: 'Name of the one standby, or null',
    nodes: 'Name, address, online, role, witnesses and services of each node',
    replication: 'kind, state, lagSeconds, percent',
    vips: 'Each VIP with its holders',
    heartbeats: 'Each heartbeat with from, to, state',
    arbitration: 'Whether automatic failover is enabled',
    problems: 'Code, message and hint of all that is amiss',
  },
  read: async (ctx, { expect }) => {
    const status = await ctx.status();
    const only = (role: string): string | null => {
      const names = status.nodes.filter((node) => node.role === role).map(({ name }) => name);
      return names.length === 1 ? (names[0] ?? null) : null;
    };
    const roles = Object.fromEntries(status.nodes.map(({ name, role }) => [name, role]));
    const result = { ...status, roles, primary: only('primary'), standby: only('standby') };
    const wrong = expect === undefined ? [] : differences(status, expect);
    return wrong.length === 0
      ? { result }
      : { result, failed: `The pair ${status.cluster} is not as expected: ${wrong.join('; ')}` };
  },
});
