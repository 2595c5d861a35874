import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { readJournal, runIds } from '../../engine/run/journal/journal.ts';
import type { Sshd } from '../transports/_sshd.ts';
import { isFull } from '../_full.ts';
import { project } from './_engine.ts';
import type { Project } from './_engine.ts';

const MAIN = join(import.meta.dirname, '../../engine/cli/drillbook.js');
const MORTAL = join(import.meta.dirname, '_mortal.ts');
const BOOK = join(import.meta.dirname, 'constructs');
const FILES = ['part.yml', 'mark.sh', 'page.hbs', 'registered.hbs'];
const HOSTS = ['a', 'b'];
export const TOKEN = 'q7-token-r4';

/** A line of an inventory's connection: by ssh, to the server's port or to what stands before it. */
export function bySsh({ directory, port, identityFile, knownHosts }: Sshd, at = port): string {
  // A key that is known without its port is taken for any. Written once: runs under way read it.
  const known = join(directory, 'known');
  if (!existsSync(known))
    writeFileSync(known, readFileSync(knownHosts, 'utf8').replace(/\[(.*)\]:\d+/, '$1'));
  return `{ address: 127.0.0.1, port: ${at}, user: root, identity_file: ${identityFile}, known_hosts: ${known}, ssh_config: /dev/null }`;
}
export const byLocal = '{ transport: local }';

/** The playbook of every construct on two hosts, each a folder of its own. */
export function constructs(connection: string): Project {
  const read = (name: string): string => readFileSync(join(BOOK, name), 'utf8');
  const book = project(read('book.yml'), {
    files: Object.fromEntries([
      ...FILES.map((name) => [name, read(name)]),
      ['secrets.yml', `token: ${TOKEN}\n`],
    ]),
  });
  chmodSync(book.dir, 0o755);
  const rows = HOSTS.map((name, i) => {
    const dir = join(book.dir, name);
    mkdirSync(join(dir, 'open'), { recursive: true });
    chmodSync(join(dir, 'open'), 0o777);
    book.write(`${name}/talk.sh`, read('talk.sh'));
    const buddy = HOSTS[1 - i] ?? '';
    return `  ${name}: { vars: { dir: '${dir}', buddy: ${buddy}, other: '${join(book.dir, buddy)}' } }`;
  });
  book.write('inventory.yml', `connection: ${connection}\nhosts:\n${rows.join('\n')}\n`);
  return book;
}

/** All that the runs of a playbook have left on its hosts: path → content. */
export function world(book: Project): Record<string, string> {
  return Object.fromEntries(
    HOSTS.flatMap((host) =>
      readdirSync(join(book.dir, host), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .toSorted()
        .map((path) => [
          path.slice(book.dir.length + 1),
          readFileSync(path, 'utf8').replaceAll(book.dir, 'DIR'),
        ]),
    ),
  );
}

/** The journal of the last run as it is on the disk: what a resume knows. */
export function kept(state: string): readonly RunEvent[] {
  const run = runIds(state).at(-1);
  if (run === undefined || !existsSync(join(state, 'runs', run, 'journal.sqlite'))) return [];
  try {
    const journal = readJournal(state, run);
    try {
      return [...journal.events()];
    } finally {
      journal.close();
    }
  } catch {
    return []; // Dead before its first event was written.
  }
}

export interface Died {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly events: readonly RunEvent[];
  /** Milliseconds from the command to the first sign of work. */
  readonly readyMs: number;
}

export interface Way {
  /** See `_mortal-journal.ts`. */
  readonly dies?: string;
  /** Killed from outside after so many milliseconds. */
  readonly afterMs?: number;
  /** Killed when it is aborted. */
  readonly death?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
}

const WORK = ['play_started', 'step_started', 'step_progress', 'step_finished'];

/** The program in a process of its own, which may die on its way. */
export function program(args: readonly string[], { dies, afterMs, death, onEvent }: Way = {}): Promise<Died> {
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [...(dies === undefined ? [] : ['--import', MORTAL]), MAIN, ...args, '--output', 'jsonl'],
    { env: { ...process.env, NO_COLOR: '1', DRILLBOOK_DIES: dies ?? '' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const timer = afterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), afterMs);
  death?.addEventListener('abort', () => child.kill('SIGKILL'));
  const events: RunEvent[] = [];
  let readyMs = Number.POSITIVE_INFINITY;
  let stderr = '';
  let rest = '';
  child.stdout.on('data', (piece: Buffer) => {
    const lines = (rest + piece.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as RunEvent;
      if (WORK.includes(event.event)) readyMs = Math.min(readyMs, performance.now() - startedAt);
      events.push(event);
      onEvent?.(event);
    }
  });
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stderr, events, readyMs });
    });
  });
}

/**
 * Runs a playbook that dies again and again, each part in its `way`, until it comes to its end, which is to be a good one.
 * Gives the number of its deaths.
 */
export async function dying(
  args: readonly string[],
  state: string,
  way: (part: number) => Way,
): Promise<number> {
  const isBegun = (): boolean => kept(state).length > 0;
  for (let deaths = 0; ; deaths++) {
    const command = isBegun() ? ['resume', runIds(state).at(-1) ?? ''] : ['run', ...args];
    const last = await program([...command, '--state', state], way(deaths));
    const events = kept(state);
    const end = events.at(-1);
    const hasEnded = end?.event === 'run_finished';
    // What dies after its last event has nothing to go on with.
    if (last.signal === 'SIGKILL' && !hasEnded) continue;
    const code = last.signal === 'SIGKILL' && hasEnded ? end.exitCode : last.code;
    expect([code, last.stderr, code === 0 ? [] : shown(events)]).toEqual([0, '', []]);
    return last.signal === 'SIGKILL' ? deaths + 1 : deaths;
  }
}

export const begin = (book: Project, way?: Way): Promise<Died> => {
  const secrets = join(book.dir, 'secrets.yml');
  const given = existsSync(secrets) ? ['-e', `@${secrets}`] : [];
  return program(['run', book.playbook, '-i', book.inventory, ...given, '--state', book.state], way);
};

export const resume = (book: Project, way?: Way): Promise<Died> => {
  const [run = ''] = runIds(book.state);
  return program(['resume', run, '--state', book.state], way);
};

export interface Goal {
  readonly world: Readonly<Record<string, string>>;
  readonly events: readonly RunEvent[];
  readonly ms: number;
}

/** A run that nothing befalls. */
export async function straight(connection: string): Promise<Goal> {
  const book = constructs(connection);
  const startedAt = performance.now();
  const { code, events, stderr } = await begin(book);
  expect([code, stderr]).toEqual([0, '']);
  return { world: world(book), events, ms: performance.now() - startedAt };
}

const shown = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) =>
    event.event === 'step_finished' &&
    ['failed', 'in_doubt', 'unreachable', 'not_run'].includes(event.outcome)
      ? [`${event.name}@${event.host} ${event.outcome}: ${event.reason}`]
      : event.event === 'run_finished'
        ? [`${event.outcome}: ${event.reason ?? ''}`]
        : [],
  );

const differences = (
  is: Readonly<Record<string, string>>,
  goal: Readonly<Record<string, string>>,
): string[] =>
  Object.keys({ ...is, ...goal }).flatMap((file) => {
    if (is[file] === goal[file]) return [];
    const [now = [], then = []] = [is[file], goal[file]].map((text) => text?.split('\n'));
    const at = then.findIndex((line, i) => line !== now[i]);
    return [`${file}: ${now.length} lines for ${then.length}; ${now[at] ?? '-'} for ${then[at] ?? '-'}`];
  });

/** What tells a run that died and was taken up again from one that nothing befell. */
export function wrongs(book: Project, { code, stderr }: Pick<Died, 'code' | 'stderr'>, goal: Goal): string[] {
  const known = kept(book.state);
  if (code !== 0) return [`exit ${code}: ${stderr}`, ...shown(known)];
  return [
    ...differences(world(book), goal.world),
    ...(known.at(-1)?.event === 'run_finished' ? [] : ['its journal has no end']),
  ];
}

/** Works on all of them, some side by side. */
export async function sideBySide<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const queue = Iterator.from(items);
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all([worker(), worker(), worker()]);
}

/** Numbers from 0 to 1 that are the same in every run of the test (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The processes of the connections that a server has. */
export const sessionsOf = ({ process: { pid } }: Sshd): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

/** Ends the connections of a server as `pkill` does; it goes on. */
export function endSessions(server: Sshd): void {
  for (const pid of sessionsOf(server)) process.kill(pid, 'SIGKILL');
}

/** Resolves when it is so. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(20);
}

/** The middle of some numbers. */
export const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

/** What `npm run matrix` tells on its way: it takes long. */
export function report(figure: string): void {
  if (isFull) writeSync(2, `${figure}\n`);
}

const JOBS = ['/var/lib/drillbook/jobs', '/var/tmp/drillbook-65534/jobs'];

/** Removes what a run has left on this machine, and its own folder. */
export function forget(book: Project): void {
  for (const run of runIds(book.state))
    for (const jobs of JOBS) rmSync(join(jobs, run), { recursive: true, force: true });
  rmSync(book.dir, { recursive: true, force: true });
}
