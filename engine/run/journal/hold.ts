import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DrillbookError } from '../../core/error.ts';
import { unwritable } from './journal.ts';

/** sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/**
 * Holds a run for this process, so that two cannot go on with it at once; returns what lets it go. The kernel lets go
 * of it when the process dies, however it dies. Throws `guard.running` when another process has it.
 */
export function holdRun(stateDir: string, run: string): () => void {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(stateDir, 'runs', run, 'lock.sqlite'));
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    const held = database;
    return () => held.close();
  } catch (cause) {
    database?.close();
    if ((cause as { readonly errcode?: number }).errcode !== SQLITE_BUSY) throw unwritable(run, cause);
    throw new DrillbookError('guard.running', `run ${run} is under way in another process`, {
      hint: 'wait for its end, or stop it there',
      cause,
    });
  }
}
