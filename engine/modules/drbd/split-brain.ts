import { z } from 'zod';
import { bytesText, zBytes } from '../../core/bytes.ts';
import { zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context, Outcome } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import { giveUp, save } from './_discard.ts';
import type { Saved } from './_discard.ts';
import { refuseVictim } from './_refuse-victim.ts';
import { adjust, join, part, untilInStep } from './_reunite.ts';
import { checkRoom, copyName, zCompress } from './_saved-copy.ts';
import { readResource, resourceName, resultOf, zResource } from './_status.ts';
import type { Resource } from './_status.ts';
import type { Divergence } from './divergence.ts';
import { readDivergence } from './divergence.ts';

const params = z
  .strictObject({
    resource: resourceName,
    victim: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Node that gives its data up. Without one the nodes are only connected again, and only where nothing is lost',
      ),
    at_most: zBytes
      .optional()
      .describe(
        'The most that may be lost of the victim (`loss` of drbd.divergence): bytes, 512 KiB, 1.5 GiB',
      ),
    save_to: z
      .string()
      .startsWith('/')
      .optional()
      .describe('Folder on the victim where its whole disk is saved first, as an image with its checksum'),
    compress: zCompress,
    overrule: z
      .boolean()
      .default(false)
      .describe('Also where the verdict speaks for the victim: its data is newer, or it alone has written'),
    vip: z
      .string()
      .optional()
      .describe('Virtual address whose holder is no victim (default: that of the settings of the pair)'),
    wait: zDuration.default(120_000).describe('How long the connection may take'),
  })
  .refine(
    ({ victim, at_most: most, save_to: folder }) =>
      victim === undefined
        ? most === undefined && folder === undefined
        : most !== undefined && folder !== undefined,
    { error: '`victim`, `at_most` and `save_to` go together' },
  );
type Params = z.output<typeof params>;

const peerOf = (ctx: Context, node: string): string => ctx.cluster?.nodes.find((name) => name !== node) ?? '';

/** As it is now; unlike a first look it waits for a node that does not answer. */
async function judgedAgain(ctx: Context, params: Params, nodes: readonly Context[]): Promise<Divergence> {
  for (const node of nodes) await readResource(node, params.resource);
  return readDivergence(ctx, params);
}

function refuseLoss({ verdict }: Divergence, left: string): void {
  if (verdict.state !== 'connected' && verdict.state !== 'lost_connection')
    throw new StepFailed(
      verdict.text,
      { state: verdict.state },
      { hint: verdict.state === 'unknown' ? left : `${left}; name a \`victim\`` },
    );
}

/** Connects nodes of which neither has anything to lose. */
async function reconnect(ctx: Context, params: Params, before: Divergence): Promise<Outcome> {
  const { resource, wait } = params;
  const { verdict, sides } = before;
  refuseLoss(before, 'nothing was changed');
  const nodes = [ctx.on(sides[0].name), ctx.on(sides[1].name)] as const;
  // Both let go first: one that looks for its peer by other policies than that has now would have both give up.
  for (const node of nodes) await part(node, resource);
  // What a node that was down has written is seen only now; and a resume may come long after the first look.
  refuseLoss(await judgedAgain(ctx, params, nodes), 'they were not connected, and nothing is lost');
  for (const node of nodes) await join(node, resource);
  const now = await untilInStep(nodes, resource, wait);
  for (const node of nodes) await adjust(node, resource);
  return {
    isChanged: verdict.state !== 'connected',
    result: { ...resultOf(now), verdict: verdict.text, saved: null, lost: 0 },
  };
}

const ROUNDS = 3;

async function hasForgotten(victim: Context, resource: string): Promise<boolean> {
  const now = await readResource(victim, resource);
  return now === undefined || resultOf(now).connection === 'StandAlone';
}

async function repair(
  ctx: Context,
  params: Params & { victim: string; save_to: string },
  before: Divergence,
): Promise<Outcome> {
  const { resource, victim, save_to: folder, compress, wait } = params;
  const [there, here] = [ctx.on(peerOf(ctx, victim)), ctx.on(victim)];
  const { side, loss, isForced, generation, bytes } = refuseVictim(before, params);
  await ctx.keep('room', async () => {
    await checkRoom(here, { folder, resource, bytes, compress });
    return true;
  });
  await part(there, resource);
  const name = copyName(resource, victim, generation, compress);
  const given = { resource, generation, folder, name, compress, bytes, isForced };
  const again = async (round: number): Promise<{ saved: Saved; now: Resource }> => {
    const { saved, copied } = await save(here, given);
    if (copied === undefined)
      refuseLoss(await judgedAgain(ctx, params, [there, here]), `${victim} was saved, and not connected`);
    // Hours may have passed, and the survivor's disk may be gone: what would be refused now is not discarded.
    const isUpStill =
      copied === undefined ||
      (await ctx.keep(`up still ${round}`, async () => {
        const now = await judgedAgain(ctx, params, [there, here]);
        if (now.sides.some((one) => one.name === victim && one.silence === undefined && !one.resource))
          return false;
        refuseVictim(
          now,
          params,
          `${victim} was saved and not discarded; both no longer look for each other`,
        );
        return true;
      }));
    // A victim that lost power before they met has forgotten what it was told: it is saved and told anew.
    if (!isUpStill || !(await giveUp(here, given, copied))) {
      if (round < ROUNDS) return again(round + 1);
      throw new StepFailed(`${victim} was rebooted ${ROUNDS} times before its data was discarded`);
    }
    await join(there, resource);
    try {
      return { saved, now: await untilInStep([there, here], resource, wait) };
    } catch (error) {
      if (round < ROUNDS && error instanceof StepFailed && (await hasForgotten(here, resource)))
        return again(round + 1);
      throw error;
    }
  };
  const { saved, now } = await again(1);
  for (const node of [there, here]) await adjust(node, resource);
  return {
    result: {
      ...resultOf(now),
      verdict: before.verdict.text,
      saved: { node: side.name, path: `${folder}/${name}`, bytes, ...saved },
      lost: loss,
    },
  };
}

async function run(ctx: Context, params: Params): Promise<Outcome> {
  const before = await ctx.keep('before', () => readDivergence(ctx, params));
  const { victim, save_to: folder } = params;
  return victim === undefined || folder === undefined
    ? reconnect(ctx, params, before)
    : repair(ctx, { ...params, victim, save_to: folder.replace(/(?<=.)\/+$/, '') }, before);
}

export default action({
  source: 'drbdadm(8), drbdsetup(8), dd(1); DRBD 8.4 user’s guide, manual split brain recovery',
  summary:
    'Ends a split brain of DRBD: saves all that the victim has, then makes it a copy of the other node again',
  params,
  examples: `
- name: dbk2 gives up what it wrote while it was alone
  drbd.split_brain: { resource: drbd3, victim: dbk2, at_most: 20 MiB, save_to: /var/backups }
  timeout: 6h
- name: Nothing was lost, they only have to meet again
  drbd.split_brain: { resource: drbd3 }
`,
  returns: {
    ...zResource,
    verdict: z.string().describe('How it was before, in words'),
    saved: z
      .object({
        node: z.string(),
        path: z.string(),
        bytes: z.number(),
        sha256: z.string(),
        holds: z.string(),
        mounts: z.boolean(),
      })
      .nullable()
      .describe(
        'The saved image: where, of how many bytes of the device, checksum of these, its file system and whether it mounts; null without a victim',
      ),
    lost: z.number().describe('Bytes that the victim had and its peer had not'),
  },
  destroys: ({ resource, victim, at_most: most }) =>
    victim === undefined
      ? undefined
      : `what ${victim} has of ${resource} and its peer has not, ${typeof most === 'number' ? bytesText(most) : String(most)} at most; an image is saved first`,
  isResumable: true,
  async wouldChange(ctx, params) {
    const before = await readDivergence(ctx, params);
    if (params.victim !== undefined) refuseVictim(before, { ...params, victim: params.victim });
    return before.verdict.state !== 'connected';
  },
  run,
});
