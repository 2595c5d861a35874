import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { ClusterStatus } from '../../core/cluster.ts';
import { durationText, zDuration } from '../../core/duration.ts';
import { query } from '../../core/module.ts';
import type { Context } from '../../core/module.ts';

const zRole = z.enum(['primary', 'standby', 'free', 'unknown']);

const params = z.strictObject({
  expect: z
    .strictObject({
      state: z
        .union([z.string(), z.array(z.string())])
        .optional()
        .describe(
          'State of the pair, or a list of those that will do: running, stopped, degraded, error, unknown',
        ),
      roles: z.record(z.string(), zRole).optional().describe('Node → role'),
      replication: z
        .string()
        .optional()
        .describe('State of the replication: normal, broken, stopped, absent, unknown'),
      lag: zDuration.optional().describe('Most that the standby may be behind, as 5s'),
      vips: z.record(z.string(), z.string()).optional().describe('VIP → the one node that must have it'),
      no_problems: z
        .union([z.boolean(), z.array(z.string())])
        .optional()
        .describe('No problem at all, or none with these codes'),
    })
    .optional()
    .describe('Fails when the pair is otherwise'),
  holds: zDuration
    .default(0)
    .describe('How long what is expected has to hold without a break: a gate before the next step'),
  wait: zDuration.default(0).describe('How long the pair may take until what is expected begins to hold'),
  gives_up_at: z
    .array(z.string())
    .default([])
    .describe('Codes of problems: it is waited no longer once one of them has been there for a minute'),
});
type Params = z.output<typeof params>;
type Expected = NonNullable<Params['expect']>;

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
  const { lagSeconds } = status.replication;
  if (expected.lag !== undefined && lagSeconds !== null && lagSeconds * 1000 > expected.lag)
    found.push(`the standby is ${lagSeconds} s behind`);
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

const PAUSE_MS = 1000;
const GIVES_UP_MS = 60_000;

interface Look {
  readonly status: ClusterStatus;
  readonly wrong: readonly string[];
}

/** The last look: at what has held for long enough, or does not hold in time. */
async function gated(ctx: Context, { expect, holds, wait, gives_up_at: codes }: Params): Promise<Look> {
  const startedAt = performance.now();
  let since: number | undefined;
  let hopelessSince: number | undefined;
  for (;;) {
    const status = await ctx.status();
    const wrong = expect === undefined ? [] : differences(status, expect);
    const now = performance.now();
    since = wrong.length === 0 ? (since ?? now) : undefined;
    const isHopeless = status.problems.some(({ code }) => codes.includes(code));
    hopelessSince = isHopeless ? (hopelessSince ?? now) : undefined;
    const isOver =
      now - startedAt >= wait || (hopelessSince !== undefined && now - hopelessSince >= GIVES_UP_MS);
    const isHeld = since !== undefined && now - since >= holds;
    if (isHeld || (since === undefined && isOver)) return { status, wrong };
    const [why] = wrong;
    const seconds = Math.floor((now - (since ?? now)) / 1000);
    ctx.progress(why ?? `as expected for ${seconds} s of ${durationText(holds)}`);
    await pause(PAUSE_MS, undefined, { signal: ctx.signal });
  }
}

export default query({
  summary: "Reads the state of the host's pair on its nodes",
  source: 'docs/contract.md (status --output json)',
  params,
  examples: `
- name: The pair runs, and dbk1 is primary
  cluster.status:
    expect: { state: running, roles: { dbk1: primary, dbk2: standby }, replication: normal }
  register: pair
- name: Nothing has been amiss for half a minute
  cluster.status: { expect: { state: running, no_problems: true }, holds: 30s, wait: 2m }
`,
  returns: {
    cluster: z.string().describe('Name of the pair'),
    stack: z.string().describe('Kind of the pair'),
    state: z.enum(['running', 'stopped', 'degraded', 'error', 'unknown']).describe('State of the pair'),
    roles: z.record(z.string(), zRole).describe('Node → role'),
    primary: z.string().nullable().describe('Name of the one primary, or null'),
    standby: z.string().nullable().describe('Name of the one standby, or null'),
    nodes: z
      .array(
        z.object({
          name: z.string(),
          address: z.string(),
          online: z.boolean(),
          role: zRole,
          witnesses: z.record(z.string(), z.string()),
          services: z.record(z.string(), z.string()),
        }),
      )
      .describe('Each node, with what its witnesses say'),
    replication: z
      .object({
        kind: z.enum(['mysql', 'drbd']),
        state: z.string(),
        lagSeconds: z.number().nullable(),
        percent: z.number().nullable(),
      })
      .describe('State of the replication'),
    vips: z.array(z.object({ address: z.string(), holders: z.array(z.string()) })).describe('Each VIP'),
    heartbeats: z
      .array(z.object({ from: z.string(), to: z.string(), state: z.enum(['ok', 'failed', 'untested']) }))
      .describe('Each heartbeat'),
    arbitration: z.record(z.string(), z.unknown()).describe('Whether automatic failover is enabled'),
    obligations: z
      .array(z.string())
      .describe(
        'What runs kept here have bent of the pair and not put right, as `failover-disabled@PAIR`; without what is meant to stay',
      ),
    problems: z
      .array(z.object({ code: z.string(), message: z.string(), hint: z.string() }))
      .describe('All that is amiss'),
  },
  read: async (ctx, params) => {
    const { status, wrong } = await gated(ctx, params);
    const only = (role: string): string | null => {
      const names = status.nodes.filter((node) => node.role === role).map(({ name }) => name);
      return names.length === 1 ? (names[0] ?? null) : null;
    };
    const roles = Object.fromEntries(status.nodes.map(({ name, role }) => [name, role]));
    const obligations = ctx.obligations();
    const result = { ...status, roles, primary: only('primary'), standby: only('standby'), obligations };
    return wrong.length === 0
      ? { result }
      : { result, failed: `The pair ${status.cluster} is not as expected: ${wrong.join('; ')}` };
  },
});
