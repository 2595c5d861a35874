import type { Become } from '../core/host.ts';
import { Unreachable } from '../core/error.ts';
import type { Redactor } from '../core/secret.ts';
import {
  becomeCommand,
  becomeFailure,
  becomeTooLate,
  passwordMissing,
  passwordRefused,
  promptWatch,
} from './_become.ts';
import { cutter, newMarker } from './_frame.ts';
import type { Carrier, Ending, Wire } from './_wire.ts';

export interface Exchange {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** The shell ended in mid-exchange: the code is its own. */
  readonly isCut?: boolean;
  /** What the frame says beside the code. */
  readonly notes: readonly string[];
}

/** A `sh` that stays, as one user; one exchange at a time. */
export interface Shell {
  /** Its process on the host, once it has said so; undefined where it ended before. */
  readonly pid: Promise<number | undefined>;
  /** The kernel's identity of the host's boot (random(4)); empty where it has none, or the shell ended before. */
  readonly boot: Promise<string>;
  isAlive(): boolean;
  /** Sends `text` and collects both streams up to `marker` (see _frame.ts). */
  run(text: string, marker: string, onStdout?: (bytes: Buffer) => void): Promise<Exchange>;
  /** Its standard input, for what follows a raw frame. */
  readonly wire: Wire;
  close(): void;
}

/** PAM may wait some seconds after a wrong password, and a directory service may be slow; more is a hang. */
const BECOME_MS = 30_000;

interface Sink {
  stdout(piece: Buffer): void;
  stderr(piece: Buffer): void;
}

/** What an exchange throws whose connection, or shell, went away. */
export const lost = (host: string): Unreachable =>
  new Unreachable(host, 'lost', `the connection to ${host} was lost during an exchange`, {
    hint: 'whether the command ran to its end is not known',
  });

/** Starts the shell; with become, waits until it is let in. */
export async function openShell(
  carrier: Carrier,
  become: Become | undefined,
  redactor: Redactor,
): Promise<Shell> {
  const { host } = carrier;
  const hello = newMarker();
  const prompt = newMarker();
  const command = `read -r b 2>/dev/null </proc/sys/kernel/random/boot_id; printf '${hello}%d %s\\n' $$ "$b"; printf '${hello}' >&2; exec ${carrier.shell}`;
  const wire = await carrier.start(becomeCommand(become, carrier.shell, command, prompt));

  let pid: number | undefined;
  let greet: ((pid: number | undefined) => void) | undefined;
  const greeting = new Promise<number | undefined>((resolve) => (greet = resolve));
  let boot = '';
  let isAlive = true;
  let sink: Sink | undefined;
  let shown = '';
  let settle: ((failure?: Unreachable) => void) | undefined;
  const watch = become === undefined ? undefined : promptWatch(become, prompt);

  function answer(): void {
    if (become === undefined || watch === undefined) return;
    const asked = watch(shown.slice(seen));
    seen = shown.length;
    if (asked === undefined) return;
    if (asked === 'ask' && become.password !== undefined)
      return void wire.stdin.write(`${become.password}\n`);
    settle?.(asked === 'ask' ? passwordMissing(host, become) : passwordRefused(host, become));
  }
  let seen = 0;

  const greeted = { stdout: false, stderr: false };
  let line = '';
  const helloOut = cutter(hello, () => undefined);
  const helloErr = cutter(hello, (bytes) => {
    shown += bytes.toString();
    answer();
  });

  wire.stdout.on('data', (piece: Buffer) => {
    let rest: Buffer | undefined = piece;
    if (pid === undefined) {
      if (!greeted.stdout) {
        rest = helloOut.push(piece);
        if (rest === undefined) return;
        greeted.stdout = true;
      }
      // The line may come in two pieces.
      const end = rest.indexOf(10);
      line += rest.subarray(0, end < 0 ? rest.length : end).toString();
      if (end < 0) return;
      const [own, identity = ''] = line.split(' ');
      pid = Number(own);
      boot = identity;
      greet?.(pid);
      settle?.();
      rest = rest.subarray(end + 1);
    }
    // What a process left in the background says between two exchanges belongs to none.
    if (rest.length > 0) sink?.stdout(rest);
  });
  wire.stderr.on('data', (piece: Buffer) => {
    let rest: Buffer | undefined = piece;
    if (!greeted.stderr) {
      rest = helloErr.push(piece);
      if (rest === undefined) return;
      greeted.stderr = true;
    }
    if (rest.length > 0) sink?.stderr(rest);
  });
  // A write to a shell that just ended is told by `ended`; without a listener it would end the process.
  wire.stdin.on('error', () => undefined);
  void wire.ended.then((ending) => {
    isAlive = false;
    greet?.(undefined);
    if (pid === undefined) {
      settle?.(
        ending.isLost || become === undefined ? lost(host) : becomeFailure(host, become, shown, redactor),
      );
    }
  });

  async function run(text: string, marker: string, onStdout?: (bytes: Buffer) => void): Promise<Exchange> {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let isCut = false;
    let notes: readonly string[] = [];
    const ending = await new Promise<Ending>((resolve) => {
      const out = cutter(marker, (bytes) => {
        stdout.push(bytes);
        onStdout?.(bytes);
      });
      const err = cutter(marker, (bytes) => stderr.push(bytes));
      let code: string | undefined;
      let isErrDone = false;
      const check = (): void => {
        if (code?.endsWith('\n') !== true || !isErrDone) return;
        const [number, ...rest] = code.trim().split(' ');
        notes = rest;
        resolve({ code: Number(number), isLost: false });
      };
      sink = {
        stdout(piece) {
          if (code === undefined) code = out.push(piece)?.toString();
          else code += piece.toString();
          check();
        },
        stderr(piece) {
          if (!isErrDone) isErrDone = err.push(piece) !== undefined;
          check();
        },
      };
      // The script may have killed its shell: then the shell's own end is the script's.
      void wire.ended.then((end) => {
        isCut = true;
        resolve(end);
      });
      wire.stdin.write(text);
    });
    sink = undefined;
    if (ending.isLost || ending.code === undefined) throw lost(host);
    return { code: ending.code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), isCut, notes };
  }

  if (become !== undefined) {
    const timer = setTimeout(() => settle?.(becomeTooLate(host, become)), BECOME_MS);
    await new Promise<void>((resolve, reject) => {
      settle = (failure) => (failure === undefined ? resolve() : reject(failure));
      if (pid !== undefined) resolve();
    })
      .catch((failure: unknown) => {
        wire.destroy();
        throw failure;
      })
      .finally(() => clearTimeout(timer));
  }
  return {
    pid: greeting,
    boot: greeting.then(() => boot),
    isAlive: () => isAlive,
    run,
    wire,
    close() {
      isAlive = false;
      wire.destroy();
    },
  };
}
