import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { query } from '../../core/module.ts';
import type { Side } from './_side.ts';
import { readSide } from './_side.ts';
import { resourceName, resultOf } from './_status.ts';
import type { Verdict } from './_verdict.ts';
import { judge, serves } from './_verdict.ts';

const params = z.strictObject({
  resource: resourceName,
  vip: z
    .string()
    .optional()
    .describe('Virtual address whose holder serves (default: that of the settings of the pair)'),
});

export interface Divergence {
  readonly sides: readonly [Side, Side];
  readonly verdict: Verdict;
}

/** Both nodes of the host's pair, side by side: a split brain can show on one alone. */
export async function readDivergence(
  ctx: Context,
  { resource, vip }: z.output<typeof params>,
): Promise<Divergence> {
  const [one, other] = ctx.cluster?.nodes ?? [];
  if (one === undefined || other === undefined)
    throw new StepFailed(
      `${ctx.host.name} belongs to no pair`,
      {},
      { hint: 'its two nodes are named in `clusters` of the inventory' },
    );
  const set = ctx.cluster?.settings['vip'];
  const own =
    typeof set === 'object' && set !== null && 'address' in set && typeof set.address === 'string'
      ? set.address
      : '';
  const sides = await Promise.all([
    readSide(ctx.on(one), resource, vip ?? own),
    readSide(ctx.on(other), resource, vip ?? own),
  ]);
  return { sides, verdict: judge(sides) };
}

const stamp = (ago: number | undefined): string | null =>
  ago === undefined ? null : new Date(Date.now() - ago * 1000).toISOString().replace(/\.\d+/, '');

export const nodeOf = (side: Side, { loss }: Verdict) => ({
  is_known: side.silence === undefined,
  ...(side.resource === undefined
    ? { role: 'down', disk: 'none', connection: 'none' }
    : (({ role, disk, connection }) => ({ role, disk, connection }))(resultOf(side.resource))),
  generation: side.generations[0]?.current ?? null,
  loss: loss[side.name] ?? null,
  serves: serves(side),
  uses: side.uses,
  last_written: stamp(side.writtenAgo),
  last_mounted: stamp(side.mountedAgo),
  log: side.log,
});

export default query({
  source: 'drbdadm(8), drbdmeta(8), drbdsetup-events2(8); DRBD 8.4 user’s guide, generation identifiers',
  summary:
    'What each node of a pair has of a DRBD resource that the other has not, and whether it is a split brain',
  params,
  shorthand: 'resource',
  examples: `
- name: What each side has
  drbd.divergence: drbd3
  register: split
`,
  returns: {
    state: z
      .enum(['connected', 'lost_connection', 'split_brain', 'unrelated', 'unknown'])
      .describe(
        'lost_connection: they would come into step by themselves; unrelated: no past in common; unknown: a node does not tell, or not before it is up',
      ),
    verdict: z.string().describe('The same in plain words'),
    candidate: z
      .string()
      .nullable()
      .describe('Node that could be discarded with the least loss; null where the operator has to decide'),
    last_primary: z.string().nullable().describe('Node that was primary last, where that can be told'),
    nodes: z
      .record(
        z.string(),
        z.object({
          is_known: z.boolean(),
          role: z.string(),
          disk: z.string(),
          connection: z.string(),
          generation: z.string().nullable(),
          loss: z.number().nullable(),
          serves: z.boolean(),
          uses: z.array(z.string()),
          last_written: z.string().nullable(),
          last_mounted: z.string().nullable(),
          log: z.array(z.string()),
        }),
      )
      .describe(
        'Node → its state; `loss`: bytes that it alone has, as DRBD’s bitmap counts them in steps of 4 KiB; `serves`: its device is in use or it has the VIP; times as an ext4 file system tells them; `log`: the kernel’s words, a hint',
      ),
  },
  async read(ctx, params) {
    const { sides, verdict } = await readDivergence(ctx, params);
    return {
      result: {
        state: verdict.state,
        verdict: verdict.text,
        candidate: verdict.candidate,
        last_primary: verdict.lastPrimary,
        nodes: Object.fromEntries(sides.map((side) => [side.name, nodeOf(side, verdict)])),
      },
    };
  },
});
