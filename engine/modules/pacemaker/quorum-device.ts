import { createHash } from 'node:crypto';
import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import { state } from '../../core/module.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { linesOf, must, succeeded } from '../_sh.ts';
import { waitUntil } from '../_wait.ts';
import { AUTHORITY, certify, FORGET, found, HELD } from './_device-certificates.ts';
import { lookAt } from './_members.ts';

const params = z.strictObject({
  host: z
    .string()
    .min(1)
    .optional()
    .describe('Host of the inventory that gives its vote (corosync-qnetd); for `present`'),
  state: z
    .enum(['present', 'absent'])
    .default('present')
    .describe(
      'present: the nodes have its certificates, and its vote; absent: they have neither, and corosync-qnetd is left as it is',
    ),
  wait: zDuration.default(60_000).describe('How long the vote may take'),
});
type Params = z.output<typeof params>;

const UNITS = `
for unit; do
  ! systemctl cat "$unit" >/dev/null 2>&1 || echo "there $unit"
  ! systemctl -q is-active "$unit" || echo "active $unit"
  ! systemctl -q is-enabled "$unit" 2>/dev/null || echo "enabled $unit"
done
`;
/** The flags of this node in the list of members: A, it is alive; V, it votes (corosync-quorumtool(8)). */
const VOTE = `corosync-quorumtool -s 2>/dev/null | sed -nE 's/^ +[0-9]+ +[0-9]+ +([A-Z,]+) .*\\(local\\)$/\\1/p'`;

/** systemd gives up on a daemon that ended often; what it says itself is the cause. */
const START = `
systemctl reset-failed corosync-qdevice 2>/dev/null
systemctl -q enable corosync-qdevice && systemctl start corosync-qdevice && exit
journalctl -q -u corosync-qdevice -t corosync-qdevice -n 2 -o cat >&2
exit 1
`;

interface Unit {
  readonly isThere: boolean;
  readonly isOn: boolean;
  readonly isEnabled: boolean;
}

const unitOf = (lines: readonly string[], name: string): Unit => {
  const is = (word: string): boolean => lines.includes(`${word} ${name}`);
  return { isThere: is('there'), isOn: is('active'), isEnabled: is('enabled') };
};

interface Node extends Unit {
  readonly ctx: Context;
  readonly cluster: string | undefined;
  readonly hasDevice: boolean;
  readonly isMember: boolean;
  readonly authority: string | undefined;
  readonly isCertified: boolean;
  readonly hasVote: boolean;
}

async function lookAtNode(ctx: Context, name: string): Promise<Node> {
  const there = ctx.on(name);
  const member = await lookAt(ctx, name);
  const cluster = member.identity?.cluster;
  const script = `${UNITS}\n(set -- "$1"; ${VOTE}) | sed 's/^/vote /'`;
  const [units, held] = await Promise.all([
    must(there, `${name} cannot be looked at`, script, { args: ['corosync-qdevice'], isLook: true }),
    must(there, `Certificates of ${name} cannot be looked at`, HELD, { args: [cluster ?? ''], isLook: true }),
  ]);
  const lines = [...linesOf(units), ...linesOf(held)];
  return {
    ...unitOf(lines, 'corosync-qdevice'),
    ctx: there,
    cluster,
    hasDevice: /^\s*model\s*:\s*net\s*$/m.test(member.config ?? ''),
    isMember: member.active.includes('corosync'),
    authority: /^authority (\w+)$/m.exec(held)?.[1],
    isCertified: lines.includes('ours'),
    hasVote: lines.some((line) => line.startsWith('vote A,V')),
  };
}

interface Server extends Unit {
  readonly ctx: Context;
  /** SHA256 of its authority's certificate. */
  readonly authority: string | undefined;
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

async function lookAtServer(ctx: Context, host: string): Promise<Server> {
  const there = ctx.on(host);
  const what = `${host} cannot be looked at`;
  const lines = linesOf(await must(there, what, UNITS, { args: ['corosync-qnetd'], isLook: true }));
  const unit = unitOf(lines, 'corosync-qnetd');
  if (!unit.isThere)
    throw new StepFailed(
      `corosync-qnetd is not installed on ${host}`,
      {},
      { hint: 'package: corosync-qnetd' },
    );
  const text = await must(there, what, AUTHORITY, { isLook: true });
  return { ...unit, ctx: there, authority: text === '' ? undefined : digest(text) };
}

interface Look {
  readonly nodes: readonly Node[];
  readonly server: Server | undefined;
}

async function look(ctx: Context, { host, state: goal }: Params): Promise<Look> {
  if (ctx.cluster === undefined) throw new StepFailed(`${ctx.host.name} is in no cluster of the inventory`);
  const nodes = await Promise.all(ctx.cluster.nodes.map((name) => lookAtNode(ctx, name)));
  if (goal === 'absent') return { nodes, server: undefined };
  if (host === undefined) throw new StepFailed('`host` is missing: who gives the vote');
  for (const { ctx: at, isThere, hasDevice, isMember } of nodes) {
    const { name } = at.host;
    if (!isThere)
      throw new StepFailed(
        `corosync-qdevice is not installed on ${name}`,
        {},
        { hint: 'package: corosync-qdevice' },
      );
    if (!hasDevice || !isMember)
      throw new StepFailed(
        hasDevice ? `corosync does not run on ${name}` : `corosync.conf of ${name} names no quorum device`,
        {},
        {
          hint: 'pacemaker.cluster builds and starts the cluster; its template takes the device from the settings',
        },
      );
  }
  return { nodes, server: await lookAtServer(ctx, host) };
}

const hasItsCertificate = ({ isCertified, authority }: Node, server: Server): boolean =>
  isCertified && authority !== undefined && authority === server.authority;

const unitChanges = (name: string, host: string, { isOn, isEnabled }: Unit, wanted: boolean): Change[] => [
  ...(isOn === wanted
    ? []
    : [
        {
          what: `${name} on ${host}`,
          before: isOn ? 'started' : 'stopped',
          after: wanted ? 'started' : 'stopped',
        },
      ]),
  ...(isEnabled === wanted
    ? []
    : [
        {
          what: `start of ${name} at boot on ${host}`,
          before: isEnabled ? 'on' : 'off',
          after: wanted ? 'on' : 'off',
        },
      ]),
];

function changesOf({ nodes, server }: Look): readonly Change[] {
  const changes: Change[] = [];
  if (server !== undefined) {
    const { name } = server.ctx.host;
    if (server.authority === undefined)
      changes.push({ what: `authority for certificates on ${name}`, before: 'none', after: 'new' });
    changes.push(...unitChanges('corosync-qnetd', name, server, true));
  }
  for (const node of nodes) {
    const { name } = node.ctx.host;
    const before = node.authority === undefined ? 'none' : 'another';
    if (server === undefined && node.authority !== undefined)
      changes.push({ what: `certificate of ${name} for the quorum device`, before: 'there', after: 'none' });
    if (server !== undefined && !hasItsCertificate(node, server))
      changes.push({
        what: `certificate of ${name} for the quorum device`,
        before,
        after: `of ${server.ctx.host.name}`,
      });
    changes.push(...unitChanges('corosync-qdevice', name, node, server !== undefined));
    if (server !== undefined && node.isOn && !node.hasVote)
      changes.push({ what: `vote of the quorum device for ${name}`, before: 'none', after: 'cast' });
  }
  return changes;
}

const order = async (ctx: Context, what: string, script: string): Promise<void> => {
  succeeded(`${what} ${ctx.host.name}`, await ctx.job(script, { isRepeatable: true }));
};

async function vote(ctx: Context, nodes: readonly Node[], server: Server, waitMs: number): Promise<void> {
  const missing = await waitUntil(ctx.signal, waitMs, async () => {
    const said = await Promise.all(
      nodes.map(async (node) => ({ node, text: (await node.ctx.sh(VOTE, { isLook: true })).stdout })),
    );
    const value = said.filter(({ text }) => !text.startsWith('A,V')).map(({ node }) => node.ctx.host.name);
    if (value.length > 0) ctx.progress(`${value.join(', ')}: without the vote of the quorum device yet`);
    return { value, isDone: value.length === 0 };
  });
  if (missing.length > 0)
    throw new StepFailed(
      `${missing.join(', ')} did not get the vote of ${server.ctx.host.name} within ${durationText(waitMs)}`,
      {},
      {
        hint: 'see `journalctl -u corosync-qdevice` there; is TCP port 5403 of the quorum device open to the nodes?',
      },
    );
}

async function apply(ctx: Context, params: Params): Promise<undefined> {
  const { nodes, server } = await look(ctx, params);
  if (server === undefined) {
    const script = `systemctl -q disable --now corosync-qdevice 2>/dev/null || ! systemctl cat corosync-qdevice >/dev/null 2>&1 || exit
${FORGET}`;
    for (const node of nodes) await order(node.ctx, 'The quorum device cannot be forgotten by', script);
    return undefined;
  }
  const text = await found(server.ctx);
  await order(server.ctx, 'corosync-qnetd cannot be started on', 'systemctl -q enable --now corosync-qnetd');
  const now = { ...server, authority: digest(text) };
  const keeper = nodes.find((node) => hasItsCertificate(node, now));
  const off = nodes.filter((node) => !hasItsCertificate(node, now));
  const [{ cluster } = { cluster: undefined }] = nodes;
  await certify(
    server.ctx,
    text,
    cluster ?? '',
    off.map((node) => node.ctx),
    keeper?.ctx,
  );
  for (const node of nodes) await order(node.ctx, 'corosync-qdevice cannot be started on', START);
  await vote(ctx, nodes, server, params.wait);
  return undefined;
}

export default state({
  summary:
    'A third host gives its vote to the nodes of the pair (corosync-qnetd), with certificates that they know each other by; or does not',
  source:
    'corosync-qdevice(8), corosync-qnetd(8), corosync-qnetd-certutil(8), corosync-qdevice-net-certutil(8)',
  params,
  examples: `
- name: The arbiter has a vote
  pacemaker.quorum_device: { host: arbiter }
  run_once: true
`,
  returns: {
    votes: z.boolean().describe('All nodes have its vote, as far as was seen before a change'),
  },
  async check(ctx, params): Promise<Checked> {
    const seen = await look(ctx, params);
    return { changes: changesOf(seen), result: { votes: seen.nodes.every(({ hasVote }) => hasVote) } };
  },
  apply,
});
