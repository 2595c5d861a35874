import { durationText } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { failuresText, statusOf } from './_status.ts';
import type { Status } from './_status.ts';

const SLICE_S = 5;

/** A resource on its way has one of these roles, or a role with nothing said of where. */
const pending = ({ instances }: Status): string =>
  instances
    .filter(({ role, is_failed }) => /ing$/.test(role) || is_failed)
    .map(({ id, role, node }) => `${id} ${role}${node === null ? '' : ` on ${node}`}`)
    .join(', ');

/** Waits until Pacemaker has nothing more to do (crm_resource(8), --wait); gives the cluster as it is then. */
export async function settled(ctx: Context, limitMs: number): Promise<Status> {
  const end = Date.now() + limitMs;
  for (;;) {
    const left = Math.max(1, Math.min(SLICE_S, Math.ceil((end - Date.now()) / 1000)));
    const said = await ctx.sh('crm_resource --wait --timeout="$1"', { args: [`${left}s`], isLook: true });
    const status = await statusOf(ctx);
    if (said.code === 0) return status;
    const doing = pending(status);
    if (Date.now() >= end)
      throw new StepFailed(
        `The cluster is still at work after ${durationText(limitMs)}${doing === '' ? '' : `: ${doing}`}`,
        { ...status },
      );
    ctx.progress(doing === '' ? 'the cluster is at work' : doing);
  }
}

type Failures = Status['failures'];

/** What has failed before a change, also where the change is taken up again. */
export const failuresBefore = (ctx: Context): Promise<Failures> =>
  ctx.keep('failures', async () => (await statusOf(ctx)).failures);

/** Fails where operations of these resources have failed since; of any where none are named. */
export function refuseFailures(status: Status, before: Failures, resources?: ReadonlySet<string>): void {
  const old = new Set(before.map((one) => JSON.stringify(one)));
  const failures = status.failures.filter(
    (one) => !old.has(JSON.stringify(one)) && (resources?.has(one.resource.replace(/:\d+$/, '')) ?? true),
  );
  if (failures.length > 0)
    throw new StepFailed(
      `The cluster tells of failures: ${failuresText(failures)}`,
      { ...status },
      { hint: 'when the cause is mended, pacemaker.cleanup makes the cluster try again' },
    );
}
