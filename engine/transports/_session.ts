import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import { DrillbookError } from '../core/error.ts';
import type {
  Become,
  Guard,
  JobEnd,
  JobId,
  JobOptions,
  ShOptions,
  ShResult,
  Transport,
} from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { runDialogue } from './_dialogue.ts';
import { readFile, writeFile } from './_file.ts';
import { frame, newMarker, rawFrame, REFUSED, refusalMark } from './_frame.ts';
import { attachFrame, folderOf, isHomeless, isTaken, jobEnd, startFrame } from './_job.ts';
import { KILL_SCRIPT } from './_kill.ts';
import { makePool } from './_pool.ts';
import { openShell } from './_shell.ts';
import type { Exchange, Shell } from './_shell.ts';
import { stopped, within } from './_stop.ts';
import type { Carrier } from './_wire.ts';

/** Standard input up to this size travels inside the frame: no further channel, no further round trip. */
const INLINE_BYTES = 64 * 1024;
/** Below MaxSessions 10 of sshd, so that a kill and a dialogue find a channel too. */
const SHELLS = 6;
const KILLERS = 2;

export type RawOptions = Omit<ShOptions, 'onOutput'> & {
  readonly onBytes?: ((bytes: Buffer) => void) | undefined;
};

/** `sh` with bytes for output; what the rest of a transport is made of. */
export interface Session {
  readonly carrier: Carrier;
  readonly redactor: Redactor;
  exchange(script: string, options?: RawOptions): Promise<Exchange>;
  /** See `Transport.job`. */
  job(id: JobId, script: string, mode: JobOptions['mode'], options?: RawOptions): Promise<JobEnd<Exchange>>;
  /** See `Transport.boot`. */
  boot(become: Become | undefined): Promise<string>;
  /** Ends what the shell with that pid has started. */
  kill(pid: number, become: Become | undefined): Promise<void>;
}

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

type Opened = Session & { close(): void };

function makeSession(carrier: Carrier, redactor: Redactor): Opened {
  const { host } = carrier;
  // Becoming whom we are costs a process and needs sudo for nothing.
  const real = (become: Become | undefined): Become | undefined =>
    become?.user === carrier.user ? undefined : become;
  const open = (become: Become | undefined): Promise<Shell> => {
    if (become?.password !== undefined) redactor.add(become.password);
    return openShell(carrier, become, redactor);
  };
  const pool = makePool(SHELLS, open);
  // Their own: all shells of the pool may be busy with what is to be killed.
  const killers = makePool(KILLERS, open);

  async function kill(pid: number, become: Become | undefined): Promise<void> {
    const user = real(become);
    const killer = await killers.take(user);
    const marker = newMarker();
    try {
      await killer.run(frame({ script: KILL_SCRIPT, args: [String(pid)] }, '', marker), marker);
    } finally {
      killers.give(killer);
    }
  }

  /** Kills what runs in the shell; if even that does not free it, the shell goes. */
  async function stop(
    shell: Shell | undefined,
    work: Promise<unknown>,
    become: Become | undefined,
  ): Promise<void> {
    // The script may run already although its shell's greeting is still on its way.
    let pid: number | undefined;
    if (shell !== undefined)
      await within(
        5000,
        shell.pid.then((known) => (pid = known)),
      );
    if (pid !== undefined) await within(10_000, kill(pid, become));
    let isFree = false;
    await within(
      1000,
      work.finally(() => (isFree = true)),
    );
    if (!isFree) shell?.close();
  }

  const bytesOf = (stdin: string | Uint8Array = ''): Buffer =>
    typeof stdin === 'string'
      ? Buffer.from(stdin)
      : Buffer.from(stdin.buffer, stdin.byteOffset, stdin.byteLength);
  const isInline = (bytes: Buffer): boolean =>
    bytes.length <= INLINE_BYTES && isUtf8(bytes) && !bytes.includes(0);

  /** One exchange in a shell of the pool; `send` gives the shell its text. */
  async function perform(
    send: (shell: Shell, marker: string) => Promise<Exchange>,
    options: RawOptions,
    end: (shell: Shell) => void = () => undefined,
  ): Promise<Exchange> {
    const { signal } = options;
    const become = real(options.become);
    if (signal?.aborted === true) throw stopped(host, signal);
    const marker = newMarker();
    let shell: Shell | undefined;
    const work = (async (): Promise<Exchange> => {
      const own = await pool.take(become);
      shell = own;
      try {
        if (signal?.aborted === true) throw stopped(host, signal);
        const ended = await send(own, marker);
        throwRefusal(ended, marker, options.guards);
        return ended;
      } finally {
        end(own);
        pool.give(own);
      }
    })();
    work.catch(() => undefined);
    return until(work, host, signal, () => stop(shell, work, become));
  }

  function exchange(script: string, options: RawOptions = {}): Promise<Exchange> {
    const { signal, onBytes, guards, args, env } = options;
    const bytes = bytesOf(options.stdin);
    const parts = { guards, script, args, env };
    if (isInline(bytes)) {
      return perform(
        (shell, marker) => shell.run(frame(parts, bytes.toString(), marker), marker, onBytes),
        options,
      );
    }
    const ready = newMarker();
    return perform(
      (shell, marker) =>
        runRaw(shell, rawFrame(parts, bytes.length, marker, ready), marker, ready, bytes, onBytes),
      options,
      (shell) => {
        // What is left of an input on its way would be taken for commands.
        if (signal?.aborted === true) shell.close();
      },
    );
  }

  /** The folder of jobs that a shell has found. */
  const folders = new WeakMap<Shell, string>();

  async function job(
    id: JobId,
    script: string,
    mode: JobOptions['mode'],
    options: RawOptions = {},
  ): Promise<JobEnd<Exchange>> {
    const { onBytes, guards, args, env } = options;
    const bytes = bytesOf(options.stdin);
    const parts = { guards, script, args, env };
    const attach = (): Promise<Exchange> =>
      perform((shell, marker) => shell.run(attachFrame(id, marker), marker, onBytes), options);
    if (mode === 'attach') return jobEnd(host, await attach());
    const folder = folderOf(id);
    const start = (): Promise<Exchange> =>
      perform(async (shell, marker) => {
        const isKnown = folders.get(shell) === folder;
        folders.set(shell, folder);
        const run = (known: boolean): Promise<Exchange> =>
          shell.run(startFrame(id, parts, bytes.toString(), known, marker), marker, onBytes);
        const begun = await run(isKnown);
        if (!isHomeless(begun)) return begun;
        folders.delete(shell);
        return isKnown ? run(false) : begun;
      }, options);
    const begun = await start();
    return jobEnd(host, isTaken(begun) ? await attach() : begun);
  }

  const close = (): void => {
    pool.close();
    killers.close();
  };
  async function boot(become: Become | undefined): Promise<string> {
    const shell = await pool.take(real(become));
    try {
      return await shell.boot;
    } finally {
      pool.give(shell);
    }
  }
  return { carrier, redactor, exchange, job, boot, kill, close };
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

const resultOf = ({ code, stdout, stderr }: Exchange): ShResult => ({
  code,
  stdout: stdout.toString(),
  stderr: stderr.toString(),
});

function rawOptions({ onOutput, ...rest }: ShOptions): RawOptions {
  const decoder = new StringDecoder('utf8');
  return { ...rest, onBytes: onOutput && ((bytes: Buffer) => onOutput(decoder.write(bytes))) };
}

/** The transport over a carrier, which `connect` gives; after a loss the next call connects anew. */
export function makeTransport(connect: () => Promise<Carrier>, redactor: Redactor): Transport {
  let current: Promise<Opened> | undefined;
  let opened: Opened | undefined;

  function session(): Promise<Opened> {
    if (current !== undefined && opened?.carrier.isGone() !== true) return current;
    opened = undefined;
    const opening = connect().then((carrier) => (opened = makeSession(carrier, redactor)));
    current = opening;
    opening.catch(() => {
      if (current === opening) current = undefined;
    });
    return opening;
  }

  return {
    async open() {
      await session();
    },
    async boot(become) {
      return (await session()).boot(become);
    },
    async sh(script, options = {}) {
      return resultOf(await (await session()).exchange(script, rawOptions(options)));
    },
    async job(id, script, options) {
      const end = await (await session()).job(id, script, options.mode, rawOptions(options));
      return end.kind === 'ended' ? { ...end, result: resultOf(end.result) } : end;
    },
    async dialogue(command, answers, options) {
      return runDialogue(await session(), command, answers, options);
    },
    async put(path, content, options) {
      await writeFile(await session(), path, content, options);
    },
    async get(path, options) {
      return readFile(await session(), path, options?.become);
    },
    async dial(endpoint) {
      return (await session()).carrier.dial(endpoint);
    },
    async close() {
      const last = await current?.catch(() => undefined);
      current = undefined;
      last?.close();
      await last?.carrier.close();
    },
  };
}
