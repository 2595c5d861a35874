import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { disk } from '../../core/files.ts';
import type { Entry, Files } from '../../core/files.ts';

/** What is known of a file that is too large to be kept. */
export interface Stamp {
  readonly size: number;
  readonly mtimeMs: number;
}

/** The files of a run as they were when they were first read. */
export interface Copy {
  readonly files: ReadonlyMap<string, Buffer | Stamp>;
  readonly folders: ReadonlyMap<string, readonly Entry[]>;
  /** Where a name was found, by the first place that was looked at. */
  readonly found: ReadonlyMap<string, string>;
  /** Folders that were looked into for variables, null where there was none. */
  readonly listings: ReadonlyMap<string, readonly Entry[] | null>;
  /** Command line of a program → what it printed. */
  readonly outputs: ReadonlyMap<string, Buffer>;
}

/** What of a copy a resume goes by, also where it takes the files as they are now: a program may print something else each time. */
export const outputsOf = ({ outputs }: Copy): Copy => ({
  files: new Map(),
  folders: new Map(),
  found: new Map(),
  listings: new Map(),
  outputs,
});

/** Files that stay what they were when they were first read, whatever becomes of those on the disk. */
export interface Pinned extends Files {
  readonly copy: Copy;
  /** Reads it now, with `isWhole: false` only its size and time. Throws as `readFileSync` does. */
  pin(path: string, isWhole: boolean): void;
}

/** Larger files of steps are known by size and time alone. */
const MOST_BYTES = 1024 * 1024;
/** Of all files of steps together; the rest are known by size and time. */
const MOST_TOGETHER = 64 * MOST_BYTES;

/** Files pinned as they are read; those of `before` are so already. */
export function pinnedFiles(before?: Copy): Pinned {
  const files = new Map(before?.files);
  const folders = new Map(before?.folders);
  const found = new Map(before?.found);
  const listings = new Map(before?.listings);
  const outputs = new Map(before?.outputs);
  const known = (path: string): Buffer | undefined => {
    const file = files.get(path);
    return Buffer.isBuffer(file) ? file : undefined;
  };
  let together = 0;
  const pin = (path: string, isWhole: boolean): void => {
    if (files.has(path) || folders.has(path)) return;
    const entries = disk.tree(path);
    if (entries) {
      folders.set(path, entries);
      for (const entry of entries) if (!entry.isFolder) pin(entry.path, isWhole);
      return;
    }
    const stat = statSync(path);
    const { size, mtimeMs } = stat;
    const isKept = isWhole && stat.isFile() && size <= MOST_BYTES && together + size <= MOST_TOGETHER;
    if (isKept) together += size;
    files.set(path, isKept ? readFileSync(path) : { size, mtimeMs });
  };
  return {
    pin,
    copy: { files, folders, found, listings, outputs },
    find(paths) {
      const [first = ''] = paths;
      const path = found.get(first) ?? paths.find((one) => files.has(one) || disk.find([one]));
      if (path !== undefined) found.set(first, path);
      return path;
    },
    read(path) {
      const content = known(path) ?? disk.read(path);
      files.set(path, content);
      return content;
    },
    load: async (path) => known(path) ?? disk.load(path),
    tree: (path) => folders.get(path) ?? (known(path) ? undefined : disk.tree(path)),
    list(path) {
      const list = listings.has(path) ? listings.get(path) : disk.list(path);
      listings.set(path, list ?? null);
      return list ?? undefined;
    },
    output(path, args) {
      const line = [path, ...args].join(' ');
      const printed = outputs.get(line) ?? (known(path) ? undefined : disk.output(path, args));
      if (printed) outputs.set(line, printed);
      return printed;
    },
  };
}

/** True where the file on the disk is still the one of that size and time. */
export function isAsStamped(path: string, { size, mtimeMs }: Stamp): boolean {
  const now = statSync(path, { throwIfNoEntry: false });
  return now?.size === size && now.mtimeMs === mtimeMs;
}

/** A short text that is another for another content. */
export const digestOf = (file: Buffer | Stamp): string =>
  Buffer.isBuffer(file)
    ? createHash('sha256').update(file).digest('hex')
    : `${file.size} bytes of ${new Date(file.mtimeMs).toISOString()}`;
