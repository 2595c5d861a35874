import { setTimeout as pause } from 'node:timers/promises';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { readResource, resultOf, told } from './_status.ts';
import type { Resource } from './_status.ts';

/** Looks at a resource until it is so; fails with its state after `waitMs` milliseconds, or where it is down. */
export async function waitFor(
  ctx: Context,
  name: string,
  waitMs: number,
  isSo: (now: Resource) => boolean,
): Promise<Resource> {
  const end = Date.now() + waitMs;
  for (let delay = 200; ; delay = Math.min(delay * 1.5, 2000)) {
    const now = await readResource(ctx, name);
    if (now === undefined) throw new StepFailed(`${name} is down on ${ctx.host.name}`);
    if (isSo(now)) return now;
    if (Date.now() >= end)
      throw new StepFailed(
        `${name} on ${ctx.host.name} is not so far after ${waitMs / 1000} s: ${told(now)}`,
        {
          ...resultOf(now),
        },
      );
    ctx.progress(told(now));
    await pause(delay, undefined, { signal: ctx.signal });
  }
}
