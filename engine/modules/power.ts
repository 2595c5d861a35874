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
type Params = z.output<typeof params>;

/** The kernel's identity of this boot: another one after a reboot (random(4)). */
const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id';

// For one boot of the node ($2) alone. Detached and a moment late, so that the answer to this exchange still gets through.
const ORDER = `verb=$1
[ "$(cat /proc/sys/kernel/random/boot_id)" = "$2" ] || exit 75
if command -v systemctl >/dev/null 2>&1; then
  set -- systemctl --no-block "$verb"
elif [ "$verb" = reboot ]; then set -- shutdown -r now
else set -- shutdown -h now; fi
(sleep 1; exec "$@") </dev/null >/dev/null 2>&1 &`;

const bootId = async (ctx: Context): Promise<string> =>
  (await ctx.sh(BOOT_ID, { isLook: true })).stdout.trim();

/** What the node says of its boot, or why it says nothing. */
async function ask(ctx: Context): Promise<string | Unreachable> {
  try {
    return await bootId(ctx);
  } catch (error) {
    if (error instanceof Unreachable) return error;
    throw error;
  }
}

/**
 * The boot that the order was given to. Once it has been taken it is given no more; where the connection is lost over
 * it, what the node does then shows whether it was.
 */
async function order(ctx: Context, { state }: Params, boot: string): Promise<string | undefined> {
  const give = async (): Promise<string> => {
    const args = [state === 'off' ? 'poweroff' : 'reboot', boot];
    const { code, stderr } = await ctx.sh(ORDER, { args });
    if (code === 0) return boot;
    if (code === 75) throw new Unreachable(ctx.host.name, 'lost', `${ctx.host.name} has just been rebooted`);
    throw new StepFailed(`the shutdown was not accepted: ${stderr.trim()}`, { code });
  };
  try {
    return await ctx.keep('order', give);
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

/** A node that refuses logins, as one does that is going down or coming up, is neither down nor back. */
async function isDone(
  ctx: Context,
  params: Params,
  before: string,
  now: string | Unreachable,
): Promise<boolean> {
  const isOff = params.state === 'off';
  if (now instanceof Unreachable) return isOff && now.code === 'host.unreachable';
  if (!isOff && now !== before) return true;
  const ordered = await order(ctx, params, now);
  // It went down, and somebody has switched it on again.
  return isOff && ordered !== undefined && ordered !== now;
}

export default action({
  summary: 'Shuts the node down, or reboots it, and waits until that has happened',
  source: 'systemctl(1), shutdown(8), random(4)',
  params,
  shorthand: 'state',
  examples: `
- name: Standby off
  power: off
- power: { state: rebooted, wait: 10m }
`,
  returns: { boot_id: z.string().describe('Identity of the boot that runs now; empty after power off') },
  destroys: ({ state }) => (state === 'off' ? 'the node is shut down' : 'the node is rebooted'),
  isResumable: true,
  async run(ctx, params) {
    const { state, wait } = params;
    const before = await ctx.keep('boot', () => bootId(ctx));
    const end = performance.now() + wait;
    for (;;) {
      const now = await ask(ctx);
      if (await isDone(ctx, params, before, now)) return { result: { boot_id: state === 'off' ? '' : now } };
      const goal = state === 'off' ? 'down' : 'back';
      if (performance.now() > end) {
        const why = now instanceof Unreachable ? `: ${now.message}` : '';
        throw new StepFailed(`${ctx.host.name} is not ${goal} after ${Math.round(wait / 1000)} s${why}`);
      }
      ctx.progress(`waiting until ${ctx.host.name} is ${goal}`);
      await delay(1000, undefined, { signal: ctx.signal });
    }
  },
});
