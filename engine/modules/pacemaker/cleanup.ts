import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { action } from '../../core/module.ts';
import { succeeded } from '../_sh.ts';
import { resourceId } from './_params.ts';
import { settled } from './_settle.ts';
import { statusOf, zStatus } from './_status.ts';

export default action({
  summary: 'Forgets failures of a Pacemaker cluster’s resources, so that they are tried again',
  source: 'crm_resource(8)',
  params: z.strictObject({
    resource: resourceId.optional().describe('Only of this one (default: all)'),
    node: z.string().optional().describe('Only on this node (default: all)'),
    wait: zDuration
      .default(120_000)
      .describe('How long the cluster may take to do what follows from it; 0: no waiting'),
  }),
  examples: `
- name: What has failed is tried again
  pacemaker.cleanup: {}
`,
  returns: zStatus,
  isResumable: true,
  wouldChange: async (ctx) => (await statusOf(ctx)).failures.length > 0,
  async run(ctx, { resource, node, wait }) {
    const before = await ctx.keep('failures', async () => (await statusOf(ctx)).failures.length);
    const script = 'crm_resource --cleanup ${1:+--resource "$1"} ${2:+--node "$2"}';
    const args = [resource ?? '', node ?? ''];
    succeeded('Failures cannot be forgotten', await ctx.job(script, { args, isRepeatable: true }));
    const result = wait > 0 ? await settled(ctx, wait) : await statusOf(ctx);
    return { result, isChanged: before > 0 };
  },
});
