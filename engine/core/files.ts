import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrillbookError } from './error.ts';

/** One thing in a folder of the jump host; `path` is absolute. */
export interface Entry {
  readonly path: string;
  readonly isFolder: boolean;
}

/** The operator's files as a run reads them: those of the disk, or those it began with. */
export interface Files {
  /** The first of these paths that is there. */
  find(paths: readonly string[]): string | undefined;
  /** Throws as `readFileSync` does; `ENOTFILE` for devices and pipes, `EFBIG` for what is too large. */
  read(path: string): Buffer;
  /** `read` that lets others go on: for what may be large. */
  load(path: string): Promise<Buffer>;
  /** What is in a folder, however deep, folders before what is in them; undefined where `path` is a file. */
  tree(path: string): readonly Entry[] | undefined;
  /** What is straight in a folder, by name; undefined where `path` is no folder. */
  list(path: string): readonly Entry[] | undefined;
  /** What the program at `path` prints, given `args`; undefined where the file is no program. */
  output(path: string, args: readonly string[]): Buffer | undefined;
}

/** A program that tells the inventory has this long. */
const PROGRAM_MS = 60_000;

/** A file that may be run, and says itself by what (`#!`), or is one of the machine's own (ELF). */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    const head = readFileSync(path).subarray(0, 4).toString('latin1');
    return head.startsWith('#!') || head === '\x7fELF';
  } catch {
    return false;
  }
}

function outputOf(path: string, args: readonly string[]): Buffer {
  const command = [path, ...args].join(' ');
  const { error, status, signal, stdout, stderr } = spawnSync(path, args, {
    timeout: PROGRAM_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 256 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (error === undefined && status === 0) return stdout;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const why =
    code === 'ETIMEDOUT'
      ? `did not end within ${PROGRAM_MS / 1000} s`
      : error !== undefined
        ? `cannot be run (${code ?? error.message})`
        : status === null
          ? `was ended by ${signal ?? 'a signal'}`
          : `ended with exit code ${status}`;
  const said = (stderr as Buffer | null)?.toString().trim().slice(-1000) ?? '';
  throw new DrillbookError('parse.program', `${command} ${why}${said === '' ? '' : `: ${said}`}`, {
    at: { file: path, line: 1, column: 1 },
    hint: 'an executable inventory prints JSON on standard output and ends with 0: try it by hand',
  });
}

/** What the shell itself hands over: `<(…)` and standard input. */
const HANDED_OVER = /^\/(?:dev\/(?:stdin|fd\/\d+)|proc\/self\/fd\/\d+)$/;
/** More is never read at once. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Refuses what may never come to an end: devices, and pipes that nobody fills. */
function refuseEndless(path: string, mostBytes: number): void {
  const stat = statSync(path);
  const isEndless = !stat.isFile() && !stat.isDirectory() && !HANDED_OVER.test(path);
  if (isEndless) throw Object.assign(new Error(`${path} is no file`), { code: 'ENOTFILE' });
  if (stat.size > mostBytes) throw Object.assign(new Error(`${path} is too large`), { code: 'EFBIG' });
}

/** Which file it is, whatever links lead to it; as it is where there is none. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The files as they are on the disk now. */
export const disk: Files = {
  find: (paths) => paths.find((path) => existsSync(path)),
  read(path) {
    refuseEndless(path, MOST_BYTES);
    return readFileSync(path);
  },
  async load(path) {
    refuseEndless(path, Infinity);
    return readFile(path);
  },
  tree(path) {
    if (!statSync(path).isDirectory()) return undefined;
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => join(path, name))
      .map((inner) => ({ path: inner, isFolder: statSync(inner).isDirectory() }));
  },
  list(path) {
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    if (!isFolder) return undefined;
    return readdirSync(path)
      .sort()
      .map((name) => join(path, name))
      .flatMap((inner) => {
        const found = statSync(inner, { throwIfNoEntry: false });
        return found ? [{ path: inner, isFolder: found.isDirectory() }] : [];
      });
  },
  output: (path, args) => (isProgram(path) ? outputOf(path, args) : undefined),
};
