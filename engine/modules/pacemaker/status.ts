import { z } from 'zod';
import { query } from '../../core/module.ts';
import { statusOf, zStatus } from './_status.ts';

export default query({
  summary: 'Nodes, resources and failures of a Pacemaker cluster, as this node sees them',
  source: 'crm_mon(8)',
  params: z.strictObject({}),
  examples: `
- name: The cluster
  pacemaker.status: {}
  register: seen
`,
  returns: zStatus,
  read: async (ctx) => ({ result: await statusOf(ctx) }),
});
