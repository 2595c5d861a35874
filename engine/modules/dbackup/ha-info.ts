import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { StepFailed, Unreachable } from '../../core/error.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { shortened } from '../../core/text.ts';
import { AGENT } from './_paths.ts';

const params = z.strictObject({
  state: z
    .enum(['present', 'absent'])
    .default('present')
    .describe('`absent`: with what the agent left in standby/ (FAQ 4)'),
  primary: z
    .string()
    .optional()
    .describe("Node that is primary when the cluster is new (default: as it is, or the pair's first)"),
  uuid: z
    .uuid()
    .optional()
    .describe('Identity of the cluster (default: as either node has it, or a new one)'),
});
type Params = z.output<typeof params>;

const settingsSchema = z.object({
  heartbeats: z
    .array(z.object({ addresses: z.record(z.string(), z.string()), interval: zDuration.default(1000) }))
    .min(1),
  vips: z.array(
    z.object({
      address: z.string(),
      prefix: z.int().default(24),
      interfaces: z.record(z.string(), z.string()),
    }),
  ),
});

const FILE = `${AGENT}/ha.info`;

/** ha.info, then one line for each file in standby/: its name and the beginning of its text. */
const LOOK = `[ ! -e "$1/ha.info" ] || cat "$1/ha.info"
echo; echo @standby
for file in "$1"/standby/*; do
  [ ! -f "$file" ] || printf '%s\\t%s\\n' "\${file##*/}" "$(head -c 400 "$file" | tr '\\n\\t' '  ')"
done`;

interface Look {
  readonly text: string | undefined;
  readonly info: Readonly<Record<string, unknown>> | undefined;
  readonly standby: readonly { readonly name: string; readonly text: string }[];
}

async function look(ctx: Context): Promise<Look> {
  const { stdout } = await ctx.sh(LOOK, { args: [AGENT] });
  const [text = '', files = ''] = stdout.split(/^@standby\n/m);
  const standby = files
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ name: line.split('\t')[0] ?? '', text: line.split('\t')[1] ?? '' }));
  return { text: text.trim() === '' ? undefined : text.trim(), info: parse(text), standby };
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** One identity for both nodes of one run, without either having to wait for the other. */
function newUuid(ctx: Context): string {
  const run = String(ctx.evaluate('run.id'));
  const hex = createHash('sha256')
    .update(`${ctx.cluster?.name ?? ''} ${run}`)
    .digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function peerInfo(ctx: Context): Promise<Look['info']> {
  const peer = ctx.cluster?.nodes.find((name) => name !== ctx.host.name);
  if (peer === undefined) return undefined;
  try {
    return (await look(ctx.on(peer))).info;
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

async function wantedOf(ctx: Context, params: Params, now: Look): Promise<Readonly<Record<string, unknown>>> {
  const { cluster } = ctx;
  if (cluster === undefined) throw new StepFailed(`${ctx.host.name} belongs to no cluster of the inventory`);
  const { heartbeats, vips } = settingsSchema.parse(cluster.settings);
  const known = now.info?.['uuid'] === undefined ? await peerInfo(ctx) : now.info;
  return {
    uuid: params.uuid ?? known?.['uuid'] ?? newUuid(ctx),
    name: cluster.name,
    node: ctx.host.name,
    primary: params.primary ?? known?.['primary'] ?? cluster.nodes[0],
    nodes: cluster.nodes.map((name) => ({
      name,
      heartbeats: heartbeats.map(({ addresses }) => addresses[name]),
    })),
    heartbeat_interval: Math.min(...heartbeats.map(({ interval }) => interval)) / 1000,
    vips: vips.map(({ address, prefix, interfaces }) => ({
      address,
      prefix,
      interface: interfaces[ctx.host.name],
    })),
  };
}

/** FAQ 4: files named by the uuid of ha.info; where that is gone, those of a standby's backupd. */
function remains({ info, standby }: Look): readonly string[] {
  const uuid = info?.['uuid'];
  const isOurs =
    typeof uuid === 'string'
      ? ({ name }: { name: string }) => name.includes(uuid)
      : ({ text }: { text: string }) => /\bagent["']?\s*[=:]\s*["']?standby\.backupd/.test(text);
  return standby.filter(isOurs).map(({ name }) => `${AGENT}/standby/${name}`);
}

const textOf = (info: Readonly<Record<string, unknown>>): string => `${JSON.stringify(info, undefined, 2)}\n`;

/** Another name would make a cluster whose primary is neither of its nodes. */
function mustBeNode({ cluster }: Context, { primary }: Params): void {
  if (primary === undefined || cluster === undefined || cluster.nodes.includes(primary)) return;
  throw new StepFailed(
    `\`primary\` is none of the nodes of ${cluster.name}: ${shortened(primary)}`,
    {},
    { hint: `its nodes are ${cluster.nodes.join(' and ')}` },
  );
}

async function check(ctx: Context, params: Params): Promise<Checked> {
  mustBeNode(ctx, params);
  const now = await look(ctx);
  const files = remains(now);
  const result = { uuid: now.info?.['uuid'] ?? null, primary: now.info?.['primary'] ?? null, remains: files };
  const changes: Change[] = [];
  if (params.state === 'absent') {
    if (now.text !== undefined) changes.push({ what: FILE, before: `${now.text}\n`, after: 'absent' });
    for (const file of files) changes.push({ what: file, before: 'present', after: 'absent' });
    return { changes, result };
  }
  const wanted = await wantedOf(ctx, params, now);
  // Key order and layout mean nothing.
  if (!isDeepStrictEqual(now.info, JSON.parse(textOf(wanted)))) {
    const before = now.info === undefined ? (now.text ?? '') : textOf(now.info);
    changes.push({ what: FILE, before, after: textOf(wanted) });
  }
  return { changes, result: { ...result, uuid: wanted['uuid'], primary: wanted['primary'] } };
}

export default state({
  summary:
    "The node's description of its cluster (ha.info) is as the inventory says, or gone with its remains",
  source: 'DBackup HA guide V8.0-9, 5.2 and FAQ 4',
  params,
  shorthand: 'state',
  examples: `
- name: Both nodes know of the cluster
  dbackup.ha_info: { primary: dbk1 }
  notify: restart agent
- name: Nothing of a deleted cluster is left
  dbackup.ha_info: absent
`,
  returns: {
    uuid: z.string().nullable().describe('Identity of the cluster, or null'),
    primary: z.string().nullable().describe('Primary when the cluster was new, or null'),
    remains: z.array(z.string()).describe('Files that its agent left in standby/'),
  },
  destroys: ({ state: wanted }) =>
    wanted === 'absent' ? "the cluster's description (ha.info) and its remains on this node" : undefined,
  check,
  async apply(ctx, params, found) {
    if (params.state === 'present') {
      await ctx.put(FILE, found.changes[0]?.after ?? '', 0o600);
      return undefined;
    }
    const { code, stderr } = await ctx.sh('rm -f -- "$@"', { args: found.changes.map(({ what }) => what) });
    if (code !== 0)
      throw new StepFailed(`The description of the cluster could not be removed: ${stderr.trim()}`, { code });
    return undefined;
  },
});
