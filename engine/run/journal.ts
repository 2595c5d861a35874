import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DrillbookError } from '../core/error.ts';
import type { Happening, RunEvent } from '../core/event.ts';

/** The append-only events of one run, kept in `STATE/runs/RUN/journal.sqlite`. */
export interface Journal {
  readonly run: string;
  readonly events: readonly RunEvent[];
  /** Puts an event at the end; views hear it now, the disk has it after `commit`. */
  append(happening: Happening): RunEvent;
  /** Resolves when everything appended so far is durable; appends of one turn share one sync. */
  commit(): Promise<void>;
  /** Makes it durable within moments, or with the next `commit`: for what a resume would look at again anyway. */
  commitSoon(): void;
  subscribe(listener: (event: RunEvent) => void): void;
  close(): void;
}

/** How far behind the run another process may see it. */
const SOON_MS = 50;

const runsDir = (stateDir: string): string => join(stateDir, 'runs');
const pathOf = (stateDir: string, run: string): string => join(runsDir(stateDir), run, 'journal.sqlite');

const broken = (run: string, cause: unknown): DrillbookError =>
  new DrillbookError(
    'journal.broken',
    `the journal of run ${run} cannot be used: ${(cause as Error).message}`,
    {
      hint: 'the disk of this machine may be full, read-only or damaged',
      cause,
    },
  );

function guarded<T>(run: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw broken(run, cause);
  }
}

function connect(path: string, isNew: boolean): DatabaseSync {
  const database = new DatabaseSync(path);
  // FULL: a committed event survives a power failure of the jump host (sqlite.org/pragma.html#pragma_synchronous).
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000');
  if (isNew) database.exec('CREATE TABLE event (seq INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT');
  return database;
}

/** Run ids sort by time: `20261121-031500-7f3a`. */
export function newRunId(now: Date): string {
  const stamp = now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${stamp}-${Math.floor(Math.random() * 0x10000)
    .toString(16)
    .padStart(4, '0')}`;
}

/** Ids of all runs kept in `stateDir`, oldest first. */
export function runIds(stateDir: string): string[] {
  try {
    return readdirSync(runsDir(stateDir)).sort();
  } catch {
    return [];
  }
}

export function createJournal(stateDir: string, run: string): Journal {
  return guarded(run, () => {
    mkdirSync(join(runsDir(stateDir), run), { recursive: true, mode: 0o700 });
    return journalOver(connect(pathOf(stateDir, run), true), run, []);
  });
}

/** Opens the journal of an earlier run, its events read. */
export function openJournal(stateDir: string, run: string): Journal {
  if (!runIds(stateDir).includes(run)) {
    throw new DrillbookError('usage.run', `no run ${run} in ${stateDir}`, { hint: 'see `drillbook runs`' });
  }
  return guarded(run, () => {
    const database = connect(pathOf(stateDir, run), false);
    const rows = database.prepare('SELECT line FROM event ORDER BY seq').all() as { line: string }[];
    return journalOver(
      database,
      run,
      rows.map(({ line }) => JSON.parse(line) as RunEvent),
    );
  });
}

function journalOver(database: DatabaseSync, run: string, events: RunEvent[]): Journal {
  const insert = database.prepare('INSERT INTO event (seq, line) VALUES (?, ?)');
  const listeners: ((event: RunEvent) => void)[] = [];
  let pending: RunEvent[] = [];
  let flushing: Promise<void> | undefined;
  let soon: NodeJS.Timeout | undefined;

  const flush = (): void => {
    flushing = undefined;
    clearTimeout(soon);
    soon = undefined;
    const batch = pending;
    if (batch.length === 0) return;
    guarded(run, () => {
      if (batch.length > 1) database.exec('BEGIN');
      try {
        for (const event of batch) insert.run(event.seq, JSON.stringify(event));
        if (batch.length > 1) database.exec('COMMIT');
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
    });
    pending = [];
  };

  return {
    run,
    events,
    append(happening) {
      const { event, ...rest } = happening;
      const entry = { event, run, seq: events.length + 1, at: new Date().toISOString(), ...rest } as RunEvent;
      events.push(entry);
      pending.push(entry);
      for (const listener of listeners) listener(entry);
      return entry;
    },
    commit() {
      if (pending.length === 0) return Promise.resolve();
      flushing ??= new Promise((resolve, reject) => {
        setImmediate(() => {
          try {
            resolve(flush());
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      return flushing;
    },
    commitSoon() {
      soon ??= setTimeout(() => {
        try {
          flush();
        } catch {
          // Nothing is lost yet: the next commit meets the same trouble and tells it.
        }
      }, SOON_MS).unref();
    },
    subscribe(listener) {
      listeners.push(listener);
    },
    close() {
      try {
        flush();
      } finally {
        database.close();
      }
    },
  };
}
