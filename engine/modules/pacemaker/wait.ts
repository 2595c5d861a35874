import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { query } from '../../core/module.ts';
import { waitUntil } from '../_wait.ts';
import { resourceId } from './_params.ts';
import { settled } from './_settle.ts';
import { failuresText, statusOf, zStatus } from './_status.ts';
import type { Status } from './_status.ts';

const params = z.strictObject({
  resource: resourceId.optional().describe('It is to run (default: all resources that are to run)'),
  node: z.string().optional().describe('Where'),
  role: z.enum(['Started', 'Promoted', 'Unpromoted']).optional().describe('In this role'),
  wait: zDuration.default(120_000).describe('How long it may take'),
});
type Params = z.output<typeof params>;

type Instance = Status['instances'][number];

/** Starting and stopping is not running, nor is what has failed, whatever its role. */
const runs = ({ role, node, is_failed, is_blocked }: Instance): boolean =>
  node !== null && role !== 'Stopped' && !/ing$/.test(role) && !is_failed && !is_blocked;
const idOf = ({ id }: Instance): string => id.replace(/:\d+$/, '');

/** Resources of which no instance runs, though Pacemaker is to have one run; fencing is done by devices that do not, too. */
function idle(instances: readonly Instance[]): readonly string[] {
  const running = new Set(instances.filter(runs).map(idOf));
  const meant = instances
    .filter((one) => one.is_managed && !one.is_disabled && !one.agent.startsWith('stonith:'))
    .map(idOf);
  return [...new Set(meant)].filter((id) => !running.has(id));
}

/** What is not as wanted, in words; empty where all is. */
function lacking({ instances, failures }: Status, { resource, node, role }: Params): readonly string[] {
  const mine = instances.filter((one) => resource === undefined || idOf(one) === resource);
  if (resource !== undefined) {
    const there = mine.filter((one) => (node ?? one.node) === one.node && one.node !== null);
    const isSo = there.some((one) => runs(one) && (role ?? one.role) === one.role);
    const where = mine
      .map(
        (one) =>
          `${one.role}${one.is_failed || one.is_blocked ? ', failed,' : ''}${one.node === null ? '' : ` on ${one.node}`}`,
      )
      .join(', ');
    return isSo ? [] : [`${resource} is ${where || 'not there'}`];
  }
  const failed = instances
    .filter(({ is_failed, is_blocked }) => is_failed || is_blocked)
    .map(({ id }) => `${id} has failed`);
  const idling = idle(instances).map((id) => `${id} runs nowhere`);
  return [...failed, ...idling, ...(failures.length > 0 ? [failuresText(failures)] : [])];
}

export default query({
  summary: 'Waits until a Pacemaker cluster is at rest and its resources run where they are to',
  source: 'crm_resource(8), crm_mon(8)',
  params,
  examples: `
- name: The database runs on the other node
  pacemaker.wait: { resource: KaiwuDB, node: '{{peer.name}}' }
`,
  returns: zStatus,
  async read(ctx, params) {
    const began = Date.now();
    await settled(ctx, params.wait);
    const left = Math.max(0, params.wait - (Date.now() - began));
    const { status, off } = await waitUntil(ctx.signal, left, async () => {
      const now = await statusOf(ctx);
      const why = lacking(now, params);
      if (why.length > 0) ctx.progress(why.join('; '));
      return { value: { status: now, off: why }, isDone: why.length === 0 };
    });
    return {
      result: status,
      ...(off.length === 0 ? {} : { failed: `after ${durationText(params.wait)}: ${off.join('; ')}` }),
    };
  },
});
