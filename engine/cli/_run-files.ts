import { statSync } from 'node:fs';
import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { Redactor } from '../core/secret.ts';
import type { Selection } from '../plan/selection.ts';
import { harmless } from '../report/text.ts';
import { copyNumber } from '../run/edits/edits.ts';
import { frozenStore } from '../run/edits/frozen.ts';
import type { Frozen } from '../run/edits/frozen.ts';
import { readJournal } from '../run/journal/journal.ts';
import { digestOf, isAsStamped, pinnedFiles } from '../run/edits/pinned.ts';
import type { Stamp } from '../run/edits/pinned.ts';
import { disk } from '../core/files.ts';
import { Opened } from '../secrets/encrypted.ts';
import { keysOf } from './_keys.ts';
import { prepare } from './_prepare.ts';

/** A file of a run's own copy, and what has become of it on the disk. */
export interface RunFile {
  readonly path: string;
  readonly bytes: number;
  /** Null for one that is too large to be kept. */
  readonly sha256: string | null;
  readonly now: 'same' | 'edited' | 'gone';
}

/** The copy that a run goes by. Throws where it has none, or it cannot be read. */
export function copyOf(stateDir: string, run: string): Frozen | undefined {
  const store = frozenStore(stateDir, run);
  if (store.count() < 2) return store.open(1);
  const journal = readJournal(stateDir, run);
  try {
    return store.open(copyNumber(journal.events()));
  } finally {
    journal.close();
  }
}

function mustHaveCopy(stateDir: string, run: string): Frozen {
  readJournal(stateDir, run).close(); // It tells where there is no such run.
  const frozen = copyOf(stateDir, run);
  if (frozen) return frozen;
  throw new DrillbookError('usage.run', `run ${run} has no copy of its files`);
}

function nowOf(path: string, file: Buffer | Stamp): RunFile['now'] {
  if (!statSync(path, { throwIfNoEntry: false })) return 'gone';
  const isSame = Buffer.isBuffer(file) ? disk.read(path).equals(file) : isAsStamped(path, file);
  return isSame ? 'same' : 'edited';
}

export function runFiles(stateDir: string, run: string): readonly RunFile[] {
  return [...mustHaveCopy(stateDir, run).copy.files].map(([path, file]) => ({
    path,
    bytes: Buffer.isBuffer(file) ? file.length : file.size,
    sha256: Buffer.isBuffer(file) ? digestOf(file) : null,
    now: nowOf(path, file),
  }));
}

/** The text of one file of a run's copy, secrets masked; `wanted` is its path or the end of it. */
export async function runFileText(stateDir: string, run: string, wanted: string): Promise<string> {
  const frozen = mustHaveCopy(stateDir, run);
  const paths = [...frozen.copy.files.keys()];
  const path = paths.find((one) => one === wanted) ?? paths.find((one) => one.endsWith(`/${wanted}`));
  const file = path === undefined ? undefined : frozen.copy.files.get(path);
  if (file === undefined)
    throw new DrillbookError('usage.file', `run ${run} has no file \`${wanted}\``, {
      hint: suggest(wanted, paths),
    });
  if (!Buffer.isBuffer(file))
    throw new DrillbookError(
      'usage.file',
      `${path} is too large to be kept: only its size and time are known`,
    );
  return harmless((await redactorOf(stateDir, run, frozen)).text(file.toString()));
}

/** Knows every secret of the plan: those that stand in the files, and those that were given. */
async function redactorOf(stateDir: string, run: string, frozen: Frozen): Promise<Redactor> {
  const journal = readJournal(stateDir, run);
  try {
    const { first: started } = journal.glance();
    if (started?.event !== 'run_started') throw new DrillbookError('usage.run', `run ${run} did not begin`);
    const { playbook, inventory, options } = started;
    const { selection } = options as { selection: Selection };
    const asked = { playbook, inventory, selection, given: frozen.given };
    const redactor = new Redactor();
    const keys = keysOf({ options: {} }, redactor, new Opened(frozen.opened));
    return (await prepare(asked, redactor, undefined, pinnedFiles(frozen.copy), keys)).redactor;
  } finally {
    journal.close();
  }
}
