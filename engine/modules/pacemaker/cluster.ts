import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { renderLocal } from '../_local.ts';
import { succeeded } from '../_sh.ts';
import { waitUntil } from '../_wait.ts';
import { epochIn } from './_cib.ts';
import { CONFIG, digestOf, identityOf, isRunning, KEYS, lookAt } from './_members.ts';
import type { Identity, KeyName, Member } from './_members.ts';
import { readStatus } from './_status.ts';

const params = z.strictObject({
  src: z
    .string()
    .default('corosync.conf.hbs')
    .describe('Handlebars template of corosync.conf on the jump host: beside the playbook or in templates/')
    .meta({ localFile: true, template: true }),
  state: z
    .enum(['started', 'stopped', 'absent'])
    .default('started')
    .describe(
      'started: built where it is not, and running on all nodes; stopped; absent: its configuration is gone',
    ),
  enabled: z.boolean().default(true).describe('Starts when a node boots'),
  overwrite: z
    .boolean()
    .default(false)
    .describe(
      'Also where a node is in another cluster, whose configuration is lost there; asks the operator',
    ),
  wait: zDuration.default(120_000).describe('How long the nodes may take to come together'),
});
type Params = z.output<typeof params>;

const same = (a: Identity | undefined, b: Identity | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

interface Look {
  readonly config: string;
  readonly wanted: Identity;
  readonly members: readonly Member[];
}

async function look(ctx: Context, { src, overwrite, state: goal }: Params): Promise<Look> {
  if (ctx.cluster === undefined)
    throw new StepFailed(
      `${ctx.host.name} is in no cluster of the inventory`,
      {},
      { hint: 'clusters: … nodes: [ … ]' },
    );
  const config = await renderLocal(ctx, src);
  const wanted = identityOf(config);
  const { nodes } = ctx.cluster;
  if (wanted === undefined || wanted.nodes.join() !== [...nodes].sort().join())
    throw new StepFailed(
      `${src} makes a cluster of ${wanted?.nodes.join(', ') || 'no nodes'}; the inventory has ${[...nodes].sort().join(', ')}`,
    );
  const members = await Promise.all(nodes.map((node) => lookAt(ctx, node)));
  const hasOurs = members.some((member) => isOurs(member, wanted));
  for (const member of members) {
    if (!member.isInstalled && goal !== 'absent')
      throw new StepFailed(`corosync and Pacemaker are not both installed on ${member.name}`);
    const isLost = hasOurs && member.active.length === 0 && hasLost(member, wanted);
    if (member.identity !== undefined && !isOurs(member, wanted) && !isLost && !overwrite)
      throw new StepFailed(
        `${member.name} is in another cluster: ${otherText(member, member.identity)}`,
        {},
        { hint: '`overwrite: true` takes it out of that one, whose configuration is lost on this node' },
      );
  }
  return { config, wanted, members };
}

const isOurs = ({ identity }: Member, wanted: Identity): boolean => same(identity, wanted);

/** Its corosync.conf is gone, and the resources that it knows are those of this cluster. */
const hasLost = ({ config, resourcesOf }: Member, { cluster }: Identity): boolean =>
  config === undefined && resourcesOf === cluster;

const otherText = ({ active, resourcesOf }: Member, { cluster, nodes }: Identity): string =>
  nodes.length > 0
    ? `${cluster} of ${nodes.join(', ')}`
    : `${cluster || resourcesOf || 'without a name'}, ${active.length > 0 ? 'which runs' : 'which has resources'}, and ${CONFIG} lists no nodes`;

/** The node whose keys the others get: one of the cluster that has them, best of all one that runs. */
function keeper(name: KeyName, { members, wanted }: Look): Member | undefined {
  const having = members.filter((member) => isOurs(member, wanted) && member.keys[name] !== undefined);
  const running = having.filter(isRunning);
  if (new Set(running.map(({ keys }) => keys[name])).size > 1)
    throw new StepFailed(
      `${running.map((one) => one.name).join(' and ')} run, and have different keys of ${name}`,
    );
  return running[0] ?? having[0];
}

const NAMES = Object.keys(KEYS) as readonly KeyName[];

function changesOf(seen: Look, { state: goal, enabled }: Params): readonly Change[] {
  const { members, wanted, config } = seen;
  const changes: Change[] = [];
  for (const member of members) {
    const { name, keys } = member;
    const units = isRunning(member) ? 'started' : 'stopped';
    if (goal === 'absent') {
      if (member.identity !== undefined)
        changes.push({
          what: `cluster on ${name}`,
          before: `${member.identity.cluster}, ${units}`,
          after: 'none',
        });
      continue;
    }
    if (member.config !== config)
      changes.push({ what: `${CONFIG} of ${name}`, before: member.config ?? '', after: config });
    for (const key of NAMES) {
      const from = keeper(key, seen);
      const isRight = isOurs(member, wanted) && keys[key] !== undefined && keys[key] === from?.keys[key];
      if (!isRight)
        changes.push({
          what: `key of ${key} on ${name}`,
          before: keys[key] === undefined ? 'none' : 'another',
          after: from === undefined ? 'new' : `as on ${from.name}`,
        });
    }
    if ((goal === 'started') !== isRunning(member) && (goal === 'started' || member.active.length > 0))
      changes.push({ what: `cluster on ${name}`, before: units, after: goal });
    const isEnabled = ['corosync', 'pacemaker'].every((unit) => member.enabled.includes(unit));
    if (isEnabled !== enabled)
      changes.push({
        what: `start at boot on ${name}`,
        before: isEnabled ? 'on' : 'off',
        after: enabled ? 'on' : 'off',
      });
  }
  return changes;
}

const each = async (
  ctx: Context,
  members: readonly Member[],
  what: string,
  script: string,
): Promise<void> => {
  await Promise.all(
    members.map(async ({ name }) => {
      const said = await ctx.on(name).job(script, { isRepeatable: true });
      succeeded(`${what} ${name}`, said);
    }),
  );
};

/** All of Pacemaker first: a node whose peer loses corosync in the midst of it would take the peer's resources. */
async function stop(ctx: Context, members: readonly Member[]): Promise<void> {
  await each(ctx, members, 'Pacemaker cannot be stopped on', 'systemctl stop pacemaker');
  await each(ctx, members, 'corosync cannot be stopped on', 'systemctl stop corosync');
}

/** As `pcs cluster destroy` does: a node that starts then knows nothing of what it was in. Whose it was goes last. */
const FORGET = `
rm -f /var/lib/pacemaker/cib/cib* /var/lib/pacemaker/pengine/pe-* /var/lib/corosync/ring* ${Object.values(KEYS).join(' ')} &&
rm -f ${CONFIG}`;
/** The files lie beside their places. */
const PLACE = `umask 077
for file in ${[CONFIG, ...Object.values(KEYS)].join(' ')}; do
  [ ! -e "$file.drillbook" ] || mv -f "$file.drillbook" "$file" || exit
done
chown root:haclient ${KEYS.pacemaker} && chmod 640 ${KEYS.pacemaker} && chmod 644 ${CONFIG}`;

async function build(ctx: Context, seen: Look): Promise<void> {
  const { members, wanted, config } = seen;
  const keys = await Promise.all(
    NAMES.map(async (name) => {
      const from = keeper(name, seen);
      return [name, from ? await ctx.on(from.name).get(KEYS[name]) : randomBytes(256)] as const;
    }),
  );
  const off = members.filter(
    (member) =>
      member.config !== config ||
      !isOurs(member, wanted) ||
      keys.some(([name, key]) => member.keys[name] !== digestOf(key)),
  );
  const strangers = off.filter((member) => !isOurs(member, wanted));
  await stop(ctx, strangers);
  await each(ctx, strangers, 'The former cluster cannot be removed from', FORGET);
  await Promise.all(
    off.map(async ({ name }) => {
      const there = ctx.on(name);
      for (const [key, content] of keys) await there.put(`${KEYS[key]}.drillbook`, content, 0o400);
      await there.put(`${CONFIG}.drillbook`, config, 0o644);
    }),
  );
  await each(ctx, off, 'The configuration cannot be put in place on', PLACE);
  const running = members.find((member) => isRunning(member) && isOurs(member, wanted));
  if (off.length > 0 && running)
    await each(ctx, [running], 'The configuration cannot be reloaded by', 'corosync-cfgtool -R');
}

/** Who is in the cluster as a node sees it, and which configuration it has; undefined before it has heard of one. */
async function viewOf(ctx: Context): Promise<{ online: ReadonlySet<string>; of: string | undefined }> {
  const status = await readStatus(ctx);
  const said = await ctx.sh('cibadmin --query', { isLook: true });
  const online = new Set(status?.nodes.flatMap(({ name, is_online }) => (is_online ? [name] : [])));
  const dc = status?.dc ?? undefined;
  return { online, of: dc === undefined || said.code !== 0 ? undefined : `${dc} ${epochIn(said.stdout)}` };
}

/** A node that has just come in counts as online for a moment before it has the configuration of the others. */
async function comeTogether(ctx: Context, members: readonly Member[], waitMs: number): Promise<void> {
  const names = members.map(({ name }) => name);
  const missing = await waitUntil(ctx.signal, waitMs, async () => {
    const views = await Promise.all(names.map((name) => viewOf(ctx.on(name))));
    const absent = names.filter((name) => !views.every(({ online }) => online.has(name)));
    const isOne = new Set(views.map(({ of }) => of)).size === 1 && views[0]?.of !== undefined;
    const value = absent.length > 0 || isOne ? absent : names;
    if (value.length > 0) ctx.progress(`${value.join(', ')}: not in the cluster yet`);
    return { value, isDone: value.length === 0 };
  });
  if (missing.length > 0)
    throw new StepFailed(
      `${missing.join(', ')} did not come into the cluster within ${durationText(waitMs)}`,
      {},
      { hint: 'see `journalctl -u corosync -u pacemaker` there; is UDP port 5405 open between the nodes?' },
    );
}

async function apply(ctx: Context, params: Params): Promise<undefined> {
  const seen = await look(ctx, params);
  const { members } = seen;
  if (params.state === 'absent') {
    await stop(ctx, members);
    await each(ctx, members, 'The cluster cannot be removed from', FORGET);
    return undefined;
  }
  await build(ctx, seen);
  const verb = params.enabled ? 'enable' : 'disable';
  await each(ctx, members, 'The start at boot cannot be set on', `systemctl -q ${verb} corosync pacemaker`);
  if (params.state === 'started') {
    await each(ctx, members, 'The cluster cannot be started on', 'systemctl start corosync pacemaker');
    await comeTogether(ctx, members, params.wait);
    return undefined;
  }
  await stop(ctx, members);
  return undefined;
}

export default state({
  summary:
    'A cluster of corosync and Pacemaker on all nodes of the pair: one configuration, one set of keys, started or stopped',
  source: 'corosync.conf(5), corosync-cfgtool(8)',
  params,
  examples: `
- name: The cluster
  pacemaker.cluster: { state: started }
  run_once: true
`,
  returns: {
    cluster: z.string().describe('Name of the cluster'),
    nodes: z.array(z.string()).describe('Its nodes'),
  },
  destroys: ({ state: goal, overwrite }) =>
    goal === 'absent'
      ? 'the cluster’s configuration with its resources'
      : overwrite
        ? 'the configuration of other clusters that these nodes are in'
        : undefined,
  obligation: ({ state: goal }) =>
    goal === 'stopped'
      ? { scope: 'cluster', isOwn: true, opens: 'cluster_stopped', message: 'the cluster is stopped' }
      : { scope: 'cluster', closes: 'cluster_stopped' },
  async check(ctx, params): Promise<Checked> {
    const seen = await look(ctx, params);
    return { changes: changesOf(seen, params), result: { ...seen.wanted } };
  },
  apply,
});
