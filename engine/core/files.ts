import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One thing in a folder of the jump host; `path` is absolute. */
export interface Entry {
  readonly path: string;
  readonly isFolder: boolean;
}

/** The operator's files as a run reads them: those of the disk, or those it began with. */
export interface Files {
  /** The first of these paths that is there. */
  find(paths: readonly string[]): string | undefined;
  /** Throws as `readFileSync` does. */
  read(path: string): Buffer;
  /** `read` that lets others go on: for what may be large. */
  load(path: string): Promise<Buffer>;
  /** What is in a folder, however deep, folders before what is in them; undefined where `path` is a file. */
  tree(path: string): readonly Entry[] | undefined;
}

/** The files as they are on the disk now. */
export const disk: Files = {
  find: (paths) => paths.find((path) => existsSync(path)),
  read: (path) => readFileSync(path),
  load: (path) => readFile(path),
  tree(path) {
    if (!statSync(path).isDirectory()) return undefined;
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => join(path, name))
      .map((inner) => ({ path: inner, isFolder: statSync(inner).isDirectory() }));
  },
};
