import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { waitUntil } from '../_wait.ts';
import { readResource, resultOf, told } from './_status.ts';
import type { Resource } from './_status.ts';

/** Looks at a resource until it is so; fails with its state after `waitMs` milliseconds, or where it is down. */
export async function waitFor(
  ctx: Context,
  name: string,
  waitMs: number,
  isSo: (now: Resource) => boolean,
): Promise<Resource> {
  const { now, isDone } = await waitUntil(ctx.signal, waitMs, async () => {
    const seen = await readResource(ctx, name);
    if (seen === undefined) throw new StepFailed(`${name} is down on ${ctx.host.name}`);
    const value = { now: seen, isDone: isSo(seen) };
    if (!value.isDone) ctx.progress(told(seen));
    return { value, isDone: value.isDone };
  });
  if (isDone) return now;
  throw new StepFailed(`${name} on ${ctx.host.name} is not so far after ${waitMs / 1000} s: ${told(now)}`, {
    ...resultOf(now),
  });
}
