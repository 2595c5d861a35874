import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DrillbookError } from '../core/error.ts';

/**
 * Holds a run for this process, so that two cannot go on with it at once; returns what lets it go. The kernel lets go
 * of it when the process dies, however it dies. Throws `guard.running` when another process has it.
 */
export function holdRun(stateDir: string, run: string): () => void {
  const database = new DatabaseSync(join(stateDir, 'runs', run, 'lock.sqlite'));
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new DrillbookError('guard.running', `run ${run} is under way in another process`, {
      hint: 'wait for its end, or stop it there',
      cause,
    });
  }
  return () => database.close();
}
