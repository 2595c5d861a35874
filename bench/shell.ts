import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Runs a program to its end; throws with what it said when it fails. */
export function must(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

export const has = (program: string): boolean =>
  spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0;

/** Puts Debian packages on this machine; false where that is not possible. */
export function install(...packages: readonly string[]): boolean {
  if (!has('apt-get') || process.getuid?.() !== 0) return false;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: readonly string[]): boolean =>
    spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    }).status === 0;
  const get = (): boolean => apt('install', '-y', '--no-install-recommends', ...packages);
  return get() || (apt('update') && get());
}

export interface Measured {
  readonly seconds: number;
  readonly output: string;
}

const running = new Set<number>();

/** Ends what `timed` started and is still running, with all its children. */
export function stopRunning(): void {
  for (const pid of running) process.kill(-pid, 'SIGKILL');
}

export interface Side {
  readonly command: readonly [string, ...string[]];
  /** How it is to end; 0 when left out. */
  readonly exitCode?: number;
  /** The time ends with this in the output, rather than with the process. */
  readonly until?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** One whole process, from its start to the end of its output; it must end as it is to. */
export function timed({
  command: [program, ...args],
  env,
  cwd,
  exitCode = 0,
  until,
}: Side): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Its own group, so that it can be ended with its children.
      detached: true,
    });
    const { pid } = child;
    if (pid !== undefined) running.add(pid);
    const pieces: Buffer[] = [];
    let seenAt: number | undefined;
    child.stdout.on('data', (piece: Buffer) => {
      pieces.push(piece);
      if (until !== undefined && piece.includes(until)) seenAt ??= performance.now();
    });
    child.stderr.on('data', (piece: Buffer) => pieces.push(piece));
    child.once('error', reject);
    child.once('exit', (code) => {
      const seconds = ((seenAt ?? performance.now()) - start) / 1000;
      if (pid !== undefined) running.delete(pid);
      // Not `close`: a ControlPersist master keeps the pipe open after Ansible has ended.
      child.stdout.destroy();
      child.stderr.destroy();
      const output = Buffer.concat(pieces).toString();
      if (code === exitCode && (until === undefined || seenAt !== undefined)) resolve({ seconds, output });
      else reject(new Error(`${program} ${args.join(' ')}: exit code ${code}\n${output.slice(-4000)}`));
    });
  });
}

/** Resident megabytes of a process and all below it, now. */
function residentMb(root: number): number {
  const parents = new Map<number, number>();
  const pages = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      parents.set(Number(entry), Number(stat[1]));
      pages.set(Number(entry), Number(stat[21]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === root || isBelow(parents.get(pid)));
  return [...pages].reduce((sum, [pid, count]) => (isBelow(pid) ? sum + count * 4096 : sum), 0) / 1e6;
}

/** The most memory that the process tree had, looked at every 25 ms: for a run that is not timed. */
export async function peakMb(side: Side): Promise<number> {
  let most = 0;
  const timer = setInterval(() => {
    for (const pid of running) most = Math.max(most, residentMb(pid));
  }, 25);
  try {
    await timed(side);
  } finally {
    clearInterval(timer);
  }
  return most;
}
