import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import type { Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { checkOptions, readAgent } from './_agents.ts';
import { applyCib, checkCib, zEpoch } from './_change.ts';
import type { Cib } from './_cib.ts';
import { constraintEdit } from './_constraints.ts';
import { together } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { zConstraint, zGroup, zOptions, zResource } from './_params.ts';
import { propertyEdit } from './_properties.ts';
import { groupEdit, resourceEdit } from './_resources.ts';

const params = z.strictObject({
  properties: zOptions.default({}).describe('Properties of the cluster; others are left as they are'),
  resource_defaults: zOptions.default({}).describe('Meta attributes of all resources'),
  operation_defaults: zOptions.default({}).describe('Attributes of all operations'),
  resources: z.array(zResource).default([]).describe('Resources; others are left as they are'),
  groups: z.array(zGroup).default([]).describe('Groups of them'),
  constraints: z.array(zConstraint).default([]).describe('Where and in which order they run'),
  wait: zDuration
    .default(120_000)
    .describe('How long the cluster may take to do what follows from it; 0: it is not waited for'),
});
type Params = z.output<typeof params>;

const wanting =
  (ctx: Context, params: Params) =>
  async ({ promotedWord }: Cib): Promise<Edit> => {
    const agents = await Promise.all(params.resources.map(({ agent }) => readAgent(ctx, agent)));
    const resources = params.resources.flatMap((resource, i) => {
      const agent = agents[i];
      if (agent === undefined) return [];
      checkOptions(resource.name, resource.agent, resource.options, agent);
      return [resourceEdit(resource, agent, promotedWord)];
    });
    return together([
      propertyEdit('cluster', params.properties),
      propertyEdit('resources', params.resource_defaults),
      propertyEdit('operations', params.operation_defaults),
      ...resources,
      ...params.groups.map(groupEdit),
      ...params.constraints.map((one) => constraintEdit(one, promotedWord)),
    ]);
  };

export default state({
  summary: 'Resources, groups, constraints and properties of a Pacemaker cluster, put in force all at once',
  source: 'cibadmin(8), pcs(8)',
  params,
  examples: `
- name: An address that follows the web server
  pacemaker.configuration:
    resources:
      - { name: web, agent: 'systemd:nginx' }
      - { name: vip, agent: 'ocf:heartbeat:IPaddr2', options: { ip: 10.0.0.9, cidr_netmask: 24 } }
    constraints:
      - colocation: { resource: vip, with: web }
`,
  returns: zEpoch,
  check: (ctx, params) => checkCib(ctx, wanting(ctx, params)),
  async apply(ctx, params) {
    const watched = params.resources.map(({ name }) => name);
    await applyCib(ctx, wanting(ctx, params), params.wait, watched);
    return undefined;
  },
});
