import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { checkOptions, readAgent } from './_agents.ts';
import { applyCib, checkCib, zEpoch } from './_change.ts';
import type { Wanting } from './_change.ts';
import { zResource, zWait } from './_params.ts';
import { removalEdit, resourceEdit, stopEdit } from './_resources.ts';

const params = zResource.partial({ agent: true }).extend({
  state: z
    .enum(['present', 'absent'])
    .default('present')
    .describe('absent: it is stopped first; constraints and groups lose it'),
  wait: zWait,
});
type Params = z.output<typeof params>;

const wanting = (ctx: Context, { state: goal, wait: _, agent: name, ...rest }: Params): Wanting => {
  if (goal === 'absent') return () => removalEdit(rest.name);
  return async ({ promotedWord }) => {
    if (name === undefined) throw new StepFailed(`resource ${rest.name}: \`agent\` is missing`);
    const agent = await readAgent(ctx, name);
    checkOptions(rest.name, name, rest.options, agent);
    return resourceEdit({ ...rest, agent: name }, agent, promotedWord);
  };
};

export default state({
  summary: 'A resource of a Pacemaker cluster is there as described, or is not there',
  source: 'cibadmin(8), crm_resource(8)',
  params,
  examples: `
- name: Virtual address
  pacemaker.resource:
    name: ClusterIP
    agent: 'ocf:heartbeat:IPaddr2'
    options: { ip: 10.0.0.9, cidr_netmask: 24 }
    operations: [{ name: monitor, interval: 30s }]
  run_once: true
`,
  returns: zEpoch,
  check: (ctx, params) => checkCib(ctx, wanting(ctx, params)),
  async apply(ctx, params) {
    if (params.state === 'absent') await applyCib(ctx, () => stopEdit(params.name), params.wait || 60_000);
    const watched = params.state === 'present' ? [params.name] : [];
    await applyCib(ctx, wanting(ctx, params), params.wait, watched);
    return undefined;
  },
});
