import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { suggest } from '../../core/nearest.ts';
import { succeeded } from '../_sh.ts';
import { failuresBefore, refuseFailures, settled } from './_settle.ts';
import { statusOf } from './_status.ts';

const params = z.strictObject({
  name: z.string().min(1).describe('Node of the cluster'),
  standby: z.boolean().optional().describe('It runs no resources: what it runs goes to the other node'),
  maintenance: z
    .boolean()
    .optional()
    .describe('Its resources run on, and are neither watched nor started nor stopped'),
  wait: zDuration
    .default(120_000)
    .describe('How long the cluster may take to move what it has to; 0: no waiting'),
});
type Params = z.output<typeof params>;

const ATTRIBUTES = ['standby', 'maintenance'] as const;

async function check(ctx: Context, params: Params): Promise<Checked> {
  const { nodes, dc } = await statusOf(ctx);
  const node = nodes.find(({ name }) => name === params.name);
  if (node === undefined)
    throw new StepFailed(
      `The cluster has no node ${params.name}`,
      {},
      {
        hint: suggest(
          params.name,
          nodes.map(({ name }) => name),
        ),
      },
    );
  const now = { standby: node.is_standby, maintenance: node.is_maintenance };
  const changes: readonly Change[] = ATTRIBUTES.flatMap((attribute) => {
    const wanted = params[attribute];
    if (wanted === undefined || wanted === now[attribute]) return [];
    const word = (is: boolean): string => (is ? 'on' : 'off');
    return [{ what: `${attribute} of ${params.name}`, before: word(now[attribute]), after: word(wanted) }];
  });
  return { changes, result: { is_online: node.is_online, is_dc: dc === params.name } };
}

export default state({
  summary:
    'A node of a Pacemaker cluster is in standby or maintenance, or is not, and its resources have moved',
  source: 'crm_attribute(8)',
  params,
  examples: `
- name: The services go to the other node
  pacemaker.node: { name: '{{host.name}}', standby: true }
`,
  returns: {
    is_online: z.boolean().describe('The node is in the cluster'),
    is_dc: z.boolean().describe('It is the node that decides'),
  },
  obligation: ({ name, standby, maintenance }) => {
    if (standby !== undefined)
      return standby
        ? { scope: 'cluster', opens: `standby-${name}`, message: `${name} is in standby` }
        : { scope: 'cluster', closes: `standby-${name}` };
    if (maintenance === undefined) return undefined;
    return maintenance
      ? { scope: 'cluster', opens: `maintenance-${name}`, message: `Pacemaker leaves ${name} alone` }
      : { scope: 'cluster', closes: `maintenance-${name}` };
  },
  check,
  async apply(ctx, params) {
    const failed = await failuresBefore(ctx);
    for (const attribute of ATTRIBUTES) {
      const wanted = params[attribute];
      if (wanted === undefined) continue;
      const script = 'crm_attribute --type nodes --node "$1" --name "$2" --update "$3"';
      const args = [params.name, attribute, wanted ? 'on' : 'off'];
      succeeded(
        `${attribute} of ${params.name} cannot be set`,
        await ctx.job(script, { args, isRepeatable: true }),
      );
    }
    if (params.wait > 0) refuseFailures(await settled(ctx, params.wait), failed);
    return undefined;
  },
});
