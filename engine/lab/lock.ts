import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { environment } from './program.ts';

const FOLDER = '/run/lock/drillbook';

export interface LockOptions {
  /** Left out: a held lock is an error at once, with this sentence. */
  readonly busy?: string;
  readonly signal?: AbortSignal | undefined;
  readonly onWait?: () => void;
}

/**
 * Runs `work` while no other process on this machine holds lock `name`. The lock is the kernel's (flock), held
 * by a child that ends with us: a killed process leaves no lock behind.
 */
export async function withLock<T>(name: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  await mkdir(FOLDER, { recursive: true });
  const release = await take(join(FOLDER, name), options);
  try {
    return await work();
  } finally {
    await release();
  }
}

async function take(path: string, options: LockOptions): Promise<() => Promise<void>> {
  const release = await attempt(path, ['--nonblock'], options.signal);
  if (release !== undefined) return release;
  if (options.busy !== undefined) throw new DrillbookError('lab.busy', options.busy);
  options.onWait?.();
  const late = await attempt(path, [], options.signal);
  if (late === undefined) throw new DrillbookError('lab.lock', `the lock ${path} cannot be taken`);
  return late;
}

/** Resolves to the function that lets go of the lock, or to undefined when flock did not get it. */
function attempt(
  path: string,
  flags: readonly string[],
  signal: AbortSignal | undefined,
): Promise<(() => Promise<void>) | undefined> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn('flock', [...flags, path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
      detached: true,
      env: environment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const gone = new Promise<void>((end) => child.once('exit', () => end()));
    const stop = (): void => {
      child.stdin.destroy();
      child.kill('SIGKILL');
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', stop, { once: true });
    child.once('error', reject);
    child.once('exit', () => resolve(undefined));
    child.stdout.once('data', () => {
      signal?.removeEventListener('abort', stop);
      resolve(async () => {
        child.stdin.end();
        await gone;
      });
    });
  });
}
