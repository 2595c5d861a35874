import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import { state } from '../../core/module.ts';
import { applyCib, checkCib, zEpoch } from './_change.ts';
import type { Wanting } from './_change.ts';
import { constraintEdit } from './_constraints.ts';
import { zColocation, zLocation, zOrder, zWait } from './_params.ts';
import type { WantedConstraint } from './_params.ts';

const params = z.strictObject({
  colocation: zColocation.optional().describe('Where a resource runs depends on where another does'),
  order: zOrder.optional().describe('A resource starts after another, and stops before it'),
  location: zLocation.optional().describe('Where a resource runs'),
  state: z.enum(['present', 'absent']).default('present').describe('There, or not'),
  wait: zWait,
});
type Params = z.output<typeof params>;

function wanting({ colocation, order, location, state: goal }: Params): Wanting {
  const all: readonly WantedConstraint[] = [
    ...(colocation ? [{ colocation }] : []),
    ...(order ? [{ order }] : []),
    ...(location ? [{ location }] : []),
  ];
  const [one] = all;
  if (one === undefined || all.length > 1)
    throw new StepFailed('one of `colocation`, `order` and `location` is wanted');
  return ({ promotedWord }) => constraintEdit(one, promotedWord, goal === 'absent');
}

export default state({
  summary: 'A constraint of a Pacemaker cluster: resources together, one after the other, or on some nodes',
  source: 'cibadmin(8), pcs(8)',
  params,
  examples: `
- name: The address is where the database is
  pacemaker.constraint: { colocation: { resource: ClusterIP, with: KaiwuDBGrp } }
  run_once: true
`,
  returns: zEpoch,
  check: (ctx, params) => checkCib(ctx, wanting(params)),
  async apply(ctx, params) {
    await applyCib(ctx, wanting(params), params.wait);
    return undefined;
  },
});
