import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { zDuration } from '../core/duration.ts';
import { StepFailed, Unreachable } from '../core/error.ts';
import { action } from '../core/module.ts';
import type { Context } from '../core/module.ts';

const params = z.strictObject({
  state: z.enum(['off', 'rebooted']).describe('Shut down cleanly, or shut down and start again.'),
  wait: zDuration.default(300_000).describe('How long to wait until the node is down (or back).'),
});

/** The kernel's identity of this boot: another one after a reboot (random(4)). */
const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id';

// Detached and a moment late, so that the answer to this exchange still gets through.
const ORDER = `verb=$1
if command -v systemctl >/dev/null 2>&1; then
  set -- systemctl --no-block "$verb"
elif [ "$verb" = reboot ]; then set -- shutdown -r now
else set -- shutdown -h now; fi
(sleep 1; exec "$@") </dev/null >/dev/null 2>&1 &`;

async function bootId(ctx: Context): Promise<string | undefined> {
  try {
    return (await ctx.sh(BOOT_ID)).stdout.trim();
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

/** Asks the node every second until `isDone`; fails after `waitMs`. */
async function until(
  ctx: Context,
  waitMs: number,
  what: string,
  isDone: (id: string | undefined) => boolean,
): Promise<void> {
  const end = performance.now() + waitMs;
  while (!isDone(await bootId(ctx))) {
    if (performance.now() > end)
      throw new StepFailed(`${ctx.host.name} is not ${what} after ${Math.round(waitMs / 1000)} s`);
    ctx.progress(`waiting until ${ctx.host.name} is ${what}`);
    await delay(1000, undefined, { signal: ctx.signal });
  }
}

export default action({
  summary: 'Shuts the node down, or reboots it, and waits until that has happened',
  params,
  shorthand: 'state',
  examples: `
- name: Standby off
  power: off
- power: { state: rebooted, wait: 10m }
`,
  returns: { boot_id: 'Identity of the boot that runs now; empty after power off' },
  destroys: ({ state }) => (state === 'off' ? 'the node is shut down' : 'the node is rebooted'),
  async run(ctx, { state, wait }) {
    const before = await bootId(ctx);
    const { code, stderr } = await ctx.sh(ORDER, { args: [state === 'off' ? 'poweroff' : 'reboot'] });
    if (code !== 0) throw new StepFailed(`the shutdown was not accepted: ${stderr.trim()}`, { code });
    if (state === 'off') {
      await until(ctx, wait, 'down', (id) => id === undefined);
      return { result: { boot_id: '' } };
    }
    let now = before;
    await until(ctx, wait, 'back', (id) => {
      now = id;
      return id !== undefined && id !== before;
    });
    return { result: { boot_id: now } };
  },
});
