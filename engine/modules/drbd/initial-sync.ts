import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { durationText } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context, Outcome } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import { succeeded } from '../_sh.ts';
import { isNew } from './_generations.ts';
import type { Side } from './_side.ts';
import { isInStep, percentOf, readResource, resourceName, resultOf, told, zResource } from './_status.ts';
import type { Resource } from './_status.ts';
import { readDivergence } from './divergence.ts';

const params = z.strictObject({ resource: resourceName });

async function seen(ctx: Context, name: string): Promise<Resource> {
  const now = await readResource(ctx, name);
  if (now !== undefined) return now;
  throw new StepFailed(`${name} is down on ${ctx.host.name}`, {}, { hint: 'drbd.resource brings it up' });
}

const isSource = (now: Resource): boolean => resultOf(now).replication === 'SyncSource';

/** What is on a side's disk, where it is not known to be nothing. */
function contentOf({ name, silence, resource, generations }: Side): readonly string[] {
  if (silence !== undefined) return [`${name} does not tell: ${silence}`];
  if (generations.length === 0 || generations.length !== resource?.volumes.length)
    return [`${name} does not tell the generation of each of its volumes`];
  const used = generations.find((one) => !isNew(one));
  return used === undefined ? [] : [`${name} has data of generation ${used.current}`];
}

/** Only two disks that never held anything may be declared one: any other state has data that counts. */
async function mayBegin(ctx: Context, name: string, now: Resource): Promise<void> {
  const { disk, peer_disk: peer, connection, peer_role: role } = resultOf(now);
  if (!(
    disk === 'Inconsistent' &&
    peer === 'Inconsistent' &&
    connection === 'Connected' &&
    role === 'Secondary'
  ))
    throw new StepFailed(
      `${name} on ${ctx.host.name} is not two empty disks that see each other: ${told(now)}`,
      { ...resultOf(now) },
      {
        hint:
          connection === 'Connected'
            ? 'one of them has data: a resync goes by itself, a split brain is mended by drbd.split_brain'
            : 'both nodes have to be up and connected first (drbd.resource: connected)',
      },
    );
  // Two that are not whole may have been: each was being filled, or declared invalid.
  const { sides } = await readDivergence(ctx, { resource: name });
  const [content] = sides.flatMap(contentOf);
  if (content !== undefined)
    throw new StepFailed(
      `${name} is not two empty disks, though neither is whole: ${content}`,
      { ...resultOf(now) },
      {
        hint: 'nothing was changed; where nothing of it is wanted, make its metadata anew there (drbdadm down, drbdadm create-md)',
      },
    );
}

const BEGIN = `[ "$(drbdadm dstate "$1" | sort -u)" = Inconsistent/Inconsistent ] && [ "$(drbdadm cstate "$1" | sort -u)" = Connected ] &&
  [ "$(drbdadm get-gi "$1" | cut -d: -f1 | sort -u)" = 0000000000000004 ] ||
  { echo 'these are no longer two empty disks that see each other' >&2; exit 1; }
exec drbdadm primary --force "$1"`;

async function run(ctx: Context, { resource }: z.output<typeof params>): Promise<Outcome> {
  const began = await ctx.keep('began', () => Promise.resolve(Date.now()));
  const before = await ctx.keep('before', async () => {
    const now = await seen(ctx, resource);
    if (isInStep(now)) return 'in step';
    if (isSource(now)) return 'under way';
    await mayBegin(ctx, resource, now);
    return 'empty';
  });
  if (before === 'empty') {
    // A resume may come long after the first look; where the sync has begun, the disk counts as whole.
    const now = await seen(ctx, resource);
    if (resultOf(now).disk === 'Inconsistent') await mayBegin(ctx, resource, now);
    // 8.3 spelled it `-- --overwrite-data-of-peer primary` (drbdadm(8)).
    const said = await ctx.job(BEGIN, { args: [resource] });
    succeeded(`${resource} cannot become primary`, said);
  }
  const first = { at: Date.now(), percent: 0 };
  for (let now = await seen(ctx, resource); !isInStep(now); now = await seen(ctx, resource)) {
    const { connection } = resultOf(now);
    if (connection === 'StandAlone')
      throw new StepFailed(`The sync of ${resource} has stopped: ${told(now)}`, { ...resultOf(now) });
    const percent = percentOf(now) ?? 0;
    first.percent ||= percent;
    const left = ((100 - percent) * (Date.now() - first.at)) / (percent - first.percent);
    const time =
      Number.isFinite(left) && left > 0 ? `, ${durationText(Math.ceil(left / 1000) * 1000)} left` : '';
    ctx.progress(`${resource}: ${percent.toFixed(1)} % in step${time}`, percent);
    await pause(1000, undefined, { signal: ctx.signal });
  }
  const now = await seen(ctx, resource);
  return {
    isChanged: before !== 'in step',
    result: { ...resultOf(now), duration: before === 'in step' ? 0 : (Date.now() - began) / 1000 },
  };
}

export default action({
  summary:
    'The first sync of a DRBD resource: this node becomes primary and its disk is copied over its peer’s',
  source: 'drbdadm(8), drbdsetup(8)',
  params,
  shorthand: 'resource',
  examples: `
- name: First sync
  drbd.initial_sync: drbd3
  timeout: 6h
`,
  returns: { ...zResource, duration: z.number().describe('Seconds it took; 0 where both were in step') },
  destroys: ({ resource }) => `the peer’s copy of ${resource}`,
  isResumable: true,
  async wouldChange(ctx, { resource }) {
    const now = await readResource(ctx, resource);
    return now === undefined || !isInStep(now);
  },
  run,
});
