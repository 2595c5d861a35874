import { spawn } from 'node:child_process';
import { DrillbookError } from '../core/error.ts';

export interface ProgramOptions {
  readonly stdin?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Whose failure `must` tells, where `file` only starts it. */
  readonly name?: string | undefined;
}

export interface ProgramResult {
  /** Exit code; 128 + n after signal n is not told apart from 255. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A user's PATH may lack the folders of `ip` and `bridge`; what is parsed must not be translated. */
export const environment = (extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
  LC_ALL: 'C.UTF-8',
  ...extra,
});

/** Runs a program of this machine to its end, in a session of its own so that a Ctrl-C reaches only us. */
export function execute(
  file: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  options.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { detached: true, env: environment(options.env), stdio: 'pipe' });
    const stop = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    options.signal?.addEventListener('abort', stop, { once: true });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
    child.on('error', (cause) => reject(notStarted(file, cause)));
    child.on('close', (code) => {
      options.signal?.removeEventListener('abort', stop);
      if (options.signal?.aborted === true) reject(options.signal.reason as Error);
      else resolve({ code: code ?? 255, stdout, stderr });
    });
  });
}

/** Standard output of a program that must end well; throws with the end of its standard error otherwise. */
export async function must(
  file: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await execute(file, args, options);
  if (code === 0) return stdout;
  const said = stderr.trim().split('\n').slice(-6).join('\n');
  throw new DrillbookError(
    'lab.program',
    `${options.name ?? file} ended with ${code}: ${said || 'it said nothing'}`,
  );
}

/** As `must`; namespaces take all mounts and processes of the program with them, however it ends, and setpriv ends it with us. */
export function guarded(program: readonly string[], options: ProgramOptions): Promise<string> {
  const guard = '--pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc'.split(' ');
  return must('setpriv', [...guard, ...program], { name: program[0], ...options });
}

/** Runs a POSIX shell script with `args` as $1, $2, … */
export const shell = (
  script: string,
  args: readonly string[] = [],
  options: ProgramOptions = {},
): Promise<string> => must('sh', ['-euc', script, 'sh', ...args], options);

const notStarted = (file: string, cause: Error): DrillbookError =>
  new DrillbookError('lab.program', `${file} cannot be started: ${cause.message}`, { cause });
