import { state } from '../../core/module.ts';
import { applyCib, checkCib, zEpoch } from './_change.ts';
import { zGroup, zWait } from './_params.ts';
import { groupEdit } from './_resources.ts';

export default state({
  summary: 'Resources of a Pacemaker cluster form a group: on one node, started in this order',
  source: 'cibadmin(8), pcs(8)',
  params: zGroup.extend({
    wait: zWait,
  }),
  examples: `
- name: The file system comes before the database
  pacemaker.group: { name: KaiwuDBGrp, resources: [KaiwuFS, KaiwuDB] }
  run_once: true
`,
  returns: zEpoch,
  check: (ctx, params) => checkCib(ctx, () => groupEdit(params)),
  async apply(ctx, params) {
    await applyCib(ctx, () => groupEdit(params), params.wait);
    return undefined;
  },
});
