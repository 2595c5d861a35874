import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DrillbookError } from '../../core/error.ts';
import type { Entry } from '../../core/files.ts';
import type { Vars } from '../../plan/plan.ts';
import type { Copy, Stamp } from './pinned.ts';
import { sealerOf } from '../journal/seal.ts';

/** What a run was made from: enough to make its plan again, whatever becomes of the operator's files. */
export interface Frozen {
  readonly copy: Copy;
  /** What was given with -e or on the terminal, secrets too. */
  readonly given: Vars;
  /** What is encrypted in the files, opened: by SHA-256 of what it is encrypted as. Copies of old have none. */
  readonly opened?: Readonly<Record<string, string>>;
  /** Stands for the ids of all steps in their order. */
  readonly steps: string;
  /** Id of a step in these files → its id in the journal, where the two are not the same. */
  readonly renamed: Readonly<Record<string, string>>;
}

/** The frozen copies of one run, sealed in its folder: the first, and one more for each time that edits were accepted. */
export interface FrozenStore {
  /** Resolves when it is durable. */
  keep(number: number, frozen: Frozen): Promise<void>;
  /** How many there are; the last may be of an acceptance that the journal has not heard of. */
  count(): number;
  /** Undefined where there is none. Throws `journal.key` or `journal.broken` where it cannot be read. */
  open(number: number): Frozen | undefined;
}

interface Written extends Omit<Frozen, 'copy'> {
  readonly files: Readonly<Record<string, string | Stamp>>;
  readonly folders: Readonly<Record<string, readonly Entry[]>>;
  readonly found: Readonly<Record<string, string>>;
  /** Copies made before these were kept have neither. */
  readonly listings?: Readonly<Record<string, readonly Entry[] | null>>;
  readonly outputs?: Readonly<Record<string, string>>;
}

function written({ copy, ...rest }: Frozen): Written {
  const files = [...copy.files].map(
    ([path, file]) => [path, Buffer.isBuffer(file) ? file.toString('base64') : file] as const,
  );
  return {
    ...rest,
    files: Object.fromEntries(files),
    folders: Object.fromEntries(copy.folders),
    found: Object.fromEntries(copy.found),
    listings: Object.fromEntries(copy.listings),
    outputs: Object.fromEntries([...copy.outputs].map(([line, text]) => [line, text.toString('base64')])),
  };
}

function readBack({ files, folders, found, listings = {}, outputs = {}, ...rest }: Written): Frozen {
  const known = Object.entries(files).map(
    ([path, file]) => [path, typeof file === 'string' ? Buffer.from(file, 'base64') : file] as const,
  );
  const copy: Copy = {
    files: new Map(known),
    folders: new Map(Object.entries(folders)),
    found: new Map(Object.entries(found)),
    listings: new Map(Object.entries(listings)),
    outputs: new Map(Object.entries(outputs).map(([line, text]) => [line, Buffer.from(text, 'base64')])),
  };
  return { copy, ...rest };
}

async function writeDurably(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const draft = join(folder, `${name}.new`);
  const file = await open(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(draft, join(folder, name));
  const directory = await open(folder, 'r');
  await directory.sync().finally(() => directory.close());
}

export function frozenStore(stateDir: string, run: string): FrozenStore {
  const folder = join(stateDir, 'runs', run);
  const sealer = sealerOf(stateDir);
  const about = (number: number): string => `run ${run}, frozen copy ${number}`;
  return {
    async keep(number, frozen) {
      try {
        const bytes = sealer.seal(JSON.stringify(written(frozen)), about(number));
        await writeDurably(folder, `frozen-${number}`, bytes);
      } catch (cause) {
        if (cause instanceof DrillbookError) throw cause;
        const message = `the files of run ${run} cannot be kept: ${(cause as Error).message}`;
        throw new DrillbookError('journal.unwritable', message, {
          hint: 'the disk of this machine may be full or read-only; nothing was begun',
          cause,
        });
      }
    },
    count: () => readdirSync(folder).filter((name) => /^frozen-\d+$/.test(name)).length,
    open(number) {
      let sealed: Buffer;
      try {
        sealed = readFileSync(join(folder, `frozen-${number}`));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        const message = `the files that run ${run} began with cannot be read: ${(cause as Error).message}`;
        throw new DrillbookError('journal.broken', message, { cause });
      }
      return readBack(JSON.parse(sealer.open(sealed, about(number)).toString()) as Written);
    },
  };
}
