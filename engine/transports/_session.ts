import { isUtf8 } from 'node:buffer';
import { DrillbookError } from '../core/error.ts';
import type { Become, Guard, ShOptions } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { frame, newMarker, rawFrame, REFUSED, refusalMark } from './_frame.ts';
import { KILL_SCRIPT } from './_kill.ts';
import { makePool } from './_pool.ts';
import { lost, openShell } from './_shell.ts';
import type { Exchange, Shell } from './_shell.ts';
import { stopped, within } from './_stop.ts';
import type { Carrier } from './_wire.ts';

/** Standard input up to this size travels inside the frame: no further channel, no further round trip. */
const INLINE_BYTES = 64 * 1024;
/**
 * Shells for what is asked; their own for what ends or answers it, since all may be busy with that; and for what follows
 * the output of a job. Together what sshd grants a connection (MaxSessions 10).
 */
const LANES = { main: 6, killer: 2, follower: 2 } as const;
type Lane = keyof typeof LANES;

export type RawOptions = Omit<ShOptions, 'onOutput'> & {
  readonly onBytes?: ((bytes: Buffer) => void) | undefined;
  readonly lane?: Lane | undefined;
};

export interface Performance extends Pick<RawOptions, 'become' | 'signal' | 'guards' | 'lane'> {
  /** Ends what was begun in the shell of that pid, if it has told its pid. */
  readonly kill?: ((shell: number | undefined) => Promise<void>) | undefined;
  /** Called at the end, before another gets the shell. */
  readonly end?: ((shell: Shell) => void) | undefined;
}

/** `sh` with bytes for output; what the rest of a transport is made of. */
export interface Session {
  readonly carrier: Carrier;
  readonly redactor: Redactor;
  exchange(script: string, options?: RawOptions): Promise<Exchange>;
  /** One exchange of any kind: `send` gives a shell its text, with a marker for the end. */
  perform(send: (shell: Shell, marker: string) => Promise<Exchange>, how: Performance): Promise<Exchange>;
  /** See `Transport.boot`. */
  boot(become: Become | undefined): Promise<string>;
  close(): void;
}

export const bytesOf = (stdin: string | Uint8Array = ''): Buffer =>
  typeof stdin === 'string'
    ? Buffer.from(stdin)
    : Buffer.from(stdin.buffer, stdin.byteOffset, stdin.byteLength);

/** True for an input that a frame can hold. */
export const isInline = (bytes: Buffer): boolean =>
  bytes.length <= INLINE_BYTES && isUtf8(bytes) && !bytes.includes(0);

/** Rejects as soon as `signal` is aborted, after `stop` has cleaned up. */
async function until<T>(
  work: Promise<T>,
  host: string,
  signal: AbortSignal | undefined,
  stop: () => Promise<void>,
): Promise<T> {
  if (signal === undefined) return work;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = (): void => {
      void stop().finally(() => reject(stopped(host, signal)));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // The command's own end, when it was killed, must not count as its result.
  const finished = work.then(
    (value) => (signal.aborted ? aborted : value),
    (error: unknown) => {
      if (signal.aborted) return aborted;
      throw error;
    },
  );
  try {
    return await Promise.race([finished, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}

/** A guard's refusal, told apart from a script's own words by the marker of the exchange. */
function throwRefusal({ code, stderr }: Exchange, marker: string, guards: readonly Guard[] = []): void {
  if (code !== REFUSED) return;
  for (const guard of guards) {
    const mark = refusalMark(marker, guard.code);
    const said = stderr.toString();
    const at = said.lastIndexOf(mark);
    if (at >= 0) throw new DrillbookError(guard.code, said.slice(at + mark.length));
  }
}

export function makeSession(carrier: Carrier, redactor: Redactor): Session {
  const { host } = carrier;
  // Becoming whom we are costs a process and needs sudo for nothing.
  const real = (become: Become | undefined): Become | undefined =>
    become?.user === carrier.user ? undefined : become;
  const open = (become: Become | undefined): Promise<Shell> => {
    if (become?.password !== undefined) redactor.add(become.password);
    return openShell(carrier, become, redactor);
  };
  const pools = {
    main: makePool(LANES.main, open),
    killer: makePool(LANES.killer, open),
    follower: makePool(LANES.follower, open),
  };

  async function killBelow(pid: number, become: Become | undefined): Promise<void> {
    await exchange(KILL_SCRIPT, { args: [String(pid)], become, lane: 'killer' });
  }

  /** Kills what runs in the shell; if even that does not free it, the shell goes. */
  async function stop(
    shell: Shell | undefined,
    work: Promise<unknown>,
    kill: NonNullable<Performance['kill']>,
  ): Promise<void> {
    // The script may run already although its shell's greeting is still on its way.
    let pid: number | undefined;
    if (shell !== undefined) {
      await within(
        5000,
        shell.pid.then((known) => (pid = known)),
      );
    }
    await within(10_000, kill(pid));
    let isFree = false;
    await within(
      1000,
      work.finally(() => (isFree = true)),
    );
    if (!isFree) shell?.close();
  }

  async function perform(
    send: (shell: Shell, marker: string) => Promise<Exchange>,
    { signal, guards, lane = 'main', ...how }: Performance,
  ): Promise<Exchange> {
    const become = real(how.become);
    if (signal?.aborted === true) {
      // It may have been begun before.
      if (how.kill !== undefined) await within(10_000, how.kill(undefined));
      throw stopped(host, signal);
    }
    const marker = newMarker();
    let shell: Shell | undefined;
    const work = (async (): Promise<Exchange> => {
      const own = await pools[lane].take(become);
      shell = own;
      try {
        if (signal?.aborted === true) throw stopped(host, signal);
        const ended = await send(own, marker);
        throwRefusal(ended, marker, guards);
        return ended;
      } finally {
        how.end?.(own);
        pools[lane].give(own);
      }
    })();
    work.catch(() => undefined);
    const kill =
      how.kill ??
      ((pid: number | undefined) => (pid === undefined ? Promise.resolve() : killBelow(pid, become)));
    return until(work, host, signal, () => stop(shell, work, kill));
  }

  function exchange(script: string, options: RawOptions = {}): Promise<Exchange> {
    const { signal, onBytes, guards, args, env } = options;
    const bytes = bytesOf(options.stdin);
    const parts = { guards, script, args, env };
    if (isInline(bytes)) {
      const input = bytes.toString();
      return perform((shell, marker) => shell.run(frame(parts, input, marker), marker, onBytes), options);
    }
    const ready = newMarker();
    return perform(
      (shell, marker) =>
        runRaw(shell, rawFrame(parts, bytes.length, marker, ready), marker, ready, bytes, onBytes),
      {
        ...options,
        end(shell) {
          // What is left of an input on its way would be taken for commands.
          if (signal?.aborted === true) shell.close();
        },
      },
    );
  }

  async function boot(become: Become | undefined): Promise<string> {
    const shell = await pools.main.take(real(become));
    try {
      if ((await shell.pid) === undefined) throw lost(host);
      return await shell.boot;
    } finally {
      pools.main.give(shell);
    }
  }

  function close(): void {
    for (const pool of Object.values(pools)) pool.close();
  }
  return { carrier, redactor, exchange, perform, boot, close };
}

/** Sends the input only when the shell has read the whole script, since some shells read ahead. */
async function runRaw(
  shell: Shell,
  text: string,
  marker: string,
  ready: string,
  input: Buffer,
  onBytes: ((bytes: Buffer) => void) | undefined,
): Promise<Exchange> {
  const greeting = Buffer.from(`${ready}\n`);
  let head: Buffer = Buffer.alloc(0);
  let isReady = false;
  const result = await shell.run(text, marker, (piece) => {
    if (isReady) return onBytes?.(piece);
    head = Buffer.concat([head, piece]);
    if (head.length < greeting.length) return;
    isReady = true;
    shell.wire.stdin.write(input);
    const rest = head.subarray(greeting.length);
    if (rest.length > 0) onBytes?.(rest);
  });
  return { ...result, stdout: result.stdout.subarray(greeting.length) };
}
