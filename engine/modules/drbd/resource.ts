import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { linesOf, succeeded } from '../_sh.ts';
import { ATTACHED, refuseOther } from './_attached.ts';
import { readResource, resourceName, resultOf, told, zResource } from './_status.ts';
import { waitFor } from './_wait.ts';

const params = z.strictObject({
  name: resourceName,
  state: z
    .enum(['up', 'connected', 'down'])
    .default('up')
    .describe('up as its file says; connected: to its peer as well; or down'),
  role: z.enum(['primary', 'secondary']).optional().describe('Role on this node (default: left as it is)'),
  wait: zDuration.default(60_000).describe('How long the connection may take'),
});
type Params = z.output<typeof params>;

/** Resource `$1`: `other ATTACHED DESCRIBED` of a disk that is not that of its file, else what `drbdadm adjust` would do (drbdadm(8)). */
const LACKING = `${ATTACHED}
resource=$1
disks=$(drbdadm sh-ll-dev "$resource") || exit
volume=0
for disk in $disks; do
  now=$(attached "$volume")
  [ -z "$now" ] || isOne "$now" "$disk" || { echo "other $now $disk"; exit; }
  volume=$((volume + 1))
done
drbdadm --dry-run adjust "$resource"
`;

/** The commands that would bring the resource in line with its file. */
async function lacking(ctx: Context, name: string): Promise<readonly string[]> {
  const said = await ctx.sh(LACKING, { args: [name], isLook: true });
  const lines = linesOf(succeeded(`How ${name} differs from its file cannot be told`, said));
  const [word, attached = '', described = ''] = lines[0]?.split(' ') ?? [];
  if (word === 'other') refuseOther(name, attached, described);
  return lines;
}

async function check(ctx: Context, { name, state: wanted, role }: Params): Promise<Checked> {
  const now = await readResource(ctx, name);
  const result = now && resultOf(now);
  const changes: Change[] = [];
  if (wanted === 'down') {
    if (now !== undefined) changes.push({ what: name, before: told(now), after: 'down' });
    return { changes, ...(result ? { result } : {}) };
  }
  const commands = now === undefined ? [] : await lacking(ctx, name);
  if (now === undefined) changes.push({ what: name, before: 'down', after: 'up' });
  else if (commands.length > 0)
    changes.push({ what: `${name} in the kernel`, before: 'not as its file', after: commands.join('\n') });
  if (wanted === 'connected' && result?.connection !== 'Connected')
    changes.push({ what: `connection of ${name}`, before: result?.connection ?? 'none', after: 'Connected' });
  if (role !== undefined && result?.role.toLowerCase() !== role)
    changes.push({ what: `role of ${name}`, before: result?.role ?? 'none', after: role });
  return { changes, ...(result ? { result } : {}) };
}

export default state({
  summary: 'A DRBD resource is up as its file says, connected, or down, and has its role',
  source: 'drbdadm(8), drbdsetup(8)',
  params,
  shorthand: 'name',
  examples: `
- name: The resource is up and sees its peer
  drbd.resource: { name: drbd3, state: connected }
`,
  returns: Object.fromEntries(Object.entries(zResource).map(([name, type]) => [name, type.optional()])),
  check,
  async apply(ctx, params) {
    const { name, state: wanted, role, wait } = params;
    const run = async (what: string, command: string): Promise<void> => {
      succeeded(what, await ctx.job(`drbdadm ${command} "$1"`, { args: [name] }));
    };
    if (wanted === 'down') {
      await run(`${name} cannot be taken down`, 'down');
      return undefined;
    }
    await run(`${name} cannot be brought up`, 'adjust');
    if (wanted === 'connected')
      await waitFor(ctx, name, wait, (now) => {
        const [peer] = now.peers;
        if (peer?.connection === 'StandAlone')
          throw new StepFailed(
            `${name} on ${ctx.host.name} is StandAlone: ${told(now)}`,
            { ...resultOf(now) },
            { hint: 'a split brain, or a connection that was given up: see both nodes (drbd.split_brain)' },
          );
        return peer?.connection === 'Connected';
      });
    if (role !== undefined) await run(`${name} cannot become ${role}`, role);
    return undefined;
  },
});
