import { setTimeout as pause } from 'node:timers/promises';
import { StepFailed } from '../../core/error.ts';
import type { ShResult } from '../../core/host.ts';
import type { Context } from '../../core/module.ts';
import { succeeded } from '../_sh.ts';
import { isInStep, percentOf, readResource, resultOf, told } from './_status.ts';
import type { Resource } from './_status.ts';

/**
 * Shell. Policies after a split brain may choose another side than the operator did, without a copy: for this connection
 * they are set aside, on both nodes alike, since DRBD connects no two that differ in them.
 */
export const RESOURCE = `
# One word; several where volumes differ. Nothing where it is down.
cstate() { drbdadm cstate "$resource" 2>/dev/null | sort -u; }
# Up without its connection, where it went down with its node, or has let go of its disk.
raise() {
  case $(cstate) in ''|*Unconfigured*)
    { drbdadm new-resource "$resource"; drbdadm new-minor "$resource"; drbdadm attach "$resource"; } >/dev/null 2>&1 ;;
  esac
  case $(cstate) in ''|*Unconfigured*) echo 'it is down, and cannot be attached' >&2; return 1 ;; esac
}
dstate() { drbdadm dstate "$resource" | cut -d/ -f1 | sort -u; }
# Nobody is parted who could not be joined again: connecting past the policies is an option of 8.4 alone (drbdsetup(8)).
part() {
  case $(drbdadm --version) in *DRBD_KERNEL_VERSION_CODE=0x08*) ;; *)
    echo 'its kernel has no DRBD 8.4; with another it is done by hand (drbdadm connect)' >&2; return 1 ;;
  esac
  case $(cstate) in StandAlone) ;; *) drbdadm disconnect "$resource" ;; esac
}
join() { drbdadm connect "$@" --after-sb-0pri=disconnect --after-sb-1pri=disconnect --after-sb-2pri=disconnect "$resource"; }
apart() { case $(cstate) in StandAlone|Connecting|WFConnection|Unconnected|Disconnecting|Timeout|BrokenPipe|NetworkFailure|ProtocolError|TearDown) ;; *) return 1 ;; esac; }
`;

const PART = `resource=$1\n${RESOURCE}\nraise || exit\nif apart; then part; fi`;
const JOIN = `resource=$1\n${RESOURCE}\nraise || exit\nif apart; then part && join; fi`;

/** Without the command lines that drbdadm quotes where they fail: the shared secret is on them. */
export const unquoted = (said: ShResult): ShResult => ({
  ...said,
  stderr: said.stderr
    .split('\n')
    .filter((line) => !line.startsWith("Command '"))
    .join('\n'),
});

const act = async (ctx: Context, what: string, script: string, resource: string): Promise<void> => {
  succeeded(
    `${resource} cannot be ${what} on ${ctx.host.name}`,
    unquoted(await ctx.job(script, { args: [resource], isRepeatable: true })),
  );
};

/** No longer looks for its peer; it serves on. A pair that has met already is left alone. */
export const part = (ctx: Context, resource: string): Promise<void> =>
  act(ctx, 'disconnected', PART, resource);
/** Looks for its peer again. */
export const join = (ctx: Context, resource: string): Promise<void> => act(ctx, 'connected', JOIN, resource);

/** Puts back what the file says of the connection. */
export const adjust = (ctx: Context, resource: string): Promise<void> =>
  act(ctx, 'put in line with its file', 'drbdadm adjust "$1"', resource);

async function seen(ctx: Context, name: string): Promise<Resource> {
  const now = await readResource(ctx, name);
  if (now === undefined) throw new StepFailed(`${name} is down on ${ctx.host.name}`);
  return now;
}

/** Follows two nodes that were told to connect until both are in step; percent of the data. */
export async function untilInStep(
  [source, target]: readonly [Context, Context],
  name: string,
  waitMs: number,
): Promise<Resource> {
  let end = Date.now() + waitMs;
  for (;;) {
    const [there, here] = await Promise.all([seen(source, name), seen(target, name)]);
    if (isInStep(there) && isInStep(here)) return there;
    for (const [ctx, now] of [
      [source, there],
      [target, here],
    ] as const)
      if (resultOf(now).connection === 'StandAlone')
        throw new StepFailed(
          `${name} on ${ctx.host.name} has given the connection up again: ${told(now)}`,
          { ...resultOf(now) },
          { hint: 'the kernel’s log tells why (drbd.divergence)' },
        );
    const isConnected = resultOf(here).connection === 'Connected';
    if (isConnected) end = Date.now() + waitMs;
    if (Date.now() > end)
      throw new StepFailed(
        `The nodes do not see each other after ${waitMs / 1000} s: ${told(here)}`,
        { ...resultOf(here) },
        { hint: 'mend the replication network; they connect as soon as it is' },
      );
    const percent = percentOf(here) ?? 0;
    source.progress(
      isConnected ? `${name}: ${percent.toFixed(1)} % in step` : `${name}: waiting for the connection`,
      isConnected ? percent : undefined,
    );
    await pause(500, undefined, { signal: source.signal });
  }
}
