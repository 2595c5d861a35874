import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { state } from '../../core/module.ts';
import { applyCib, checkCib, zEpoch } from './_change.ts';
import { zValue } from './_params.ts';
import { propertyEdit } from './_properties.ts';
import { isOn } from './_status.ts';

const params = z.strictObject({
  properties: z
    .record(z.string().regex(/^[\w.#:-]+$/, 'the name of a property'), zValue.nullable())
    .describe('Name → value, or null for one that is not to be set; others are left as they are'),
  of: z
    .enum(['cluster', 'resources', 'operations'])
    .default('cluster')
    .describe('Properties of the cluster, or defaults of all resources or operations'),
  wait: zDuration
    .default(60_000)
    .describe('How long the cluster may take to do what follows from it; 0: no waiting'),
});

export default state({
  summary: 'Properties of a Pacemaker cluster, or defaults of its resources, have these values',
  source: 'cibadmin(8), pacemaker-schedulerd(7), pacemaker-controld(7)',
  params,
  shorthand: 'properties',
  examples: `
- name: Resources are left alone for the time of the upgrade
  pacemaker.property: { properties: { maintenance-mode: true } }
  run_once: true
`,
  returns: zEpoch,
  obligation: ({ of, properties: { 'maintenance-mode': mode } }) => {
    if (of !== 'cluster' || mode === undefined) return undefined;
    return isOn(mode)
      ? {
          scope: 'cluster',
          opens: 'maintenance',
          message: 'Pacemaker leaves all resources alone (maintenance-mode)',
        }
      : { scope: 'cluster', closes: 'maintenance' };
  },
  check: (ctx, { of, properties }) => checkCib(ctx, () => propertyEdit(of, properties)),
  async apply(ctx, { of, properties, wait }) {
    await applyCib(ctx, () => propertyEdit(of, properties), wait);
    return undefined;
  },
});
