import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { DrillbookError } from '../../core/error.ts';
import type { Happening, RunEvent } from '../../core/event.ts';
import type { Result } from '../../core/module.ts';
import { Redactor } from '../../core/secret.ts';
import type { Heard } from '../../core/secret.ts';
import { checked, JournalBroken, linkOf } from './chain.ts';
import type { Head, Row } from './chain.ts';
import { sealerOf } from './seal.ts';
import type { Sealer } from './seal.ts';

/** The append-only events of one run, kept in `STATE/runs/RUN/journal.sqlite`. */
export interface Journal {
  readonly run: string;
  /** Where the journals of all runs are. */
  readonly stateDir: string;
  /** Events so far. */
  readonly count: number;
  /**
   * What earlier parts of the run have written, as it really was: what was sealed is put in its place, and the secrets
   * of the run are made known. Throws `JournalBroken` where the chain ends.
   */
  past(): Iterable<RunEvent>;
  /** One of these again. */
  at(seq: number): RunEvent;
  /**
   * Puts an event at the end; views hear it now, the disk has it after `commit`. `real` are fields of it without their
   * masks, kept sealed.
   */
  append(happening: Happening, real?: Result): RunEvent;
  /** Resolves when everything appended so far is durable; appends of one turn share one sync. */
  commit(): Promise<void>;
  /** Makes it durable within moments, or with the next `commit`: for what a resume would look at again anyway. */
  commitSoon(): void;
  subscribe(listener: (event: RunEvent) => void): void;
  close(): void;
}

/** A journal that is only looked at: nothing in its folder changes. */
export interface Reading {
  /** The events as anyone may see them. Throws `JournalBroken` where the chain ends. */
  events(): Iterable<RunEvent>;
  /** The rows themselves, checked likewise. */
  rows(): Iterable<Row>;
  /** The ends of it, without the chain being looked at. */
  glance(): Glance;
  close(): void;
}

export interface Glance {
  readonly first: RunEvent | undefined;
  /** The last that tells how the run stands: what it has bent and its lock may be put right after its end. */
  readonly last: RunEvent | undefined;
  /** What it has bent and put right. */
  readonly bends: readonly RunEvent[];
  /** True when even this much does not fit; false says nothing of what is between the ends. */
  readonly isDamaged: boolean;
  /** The last that tells of its locks. */
  readonly lock: RunEvent | undefined;
  /** True when a step has begun. */
  readonly hasBegun: boolean;
}

/** How far behind the run another process may see it. */
const SOON_MS = 50;

const runsDir = (stateDir: string): string => join(stateDir, 'runs');
const folderOf = (stateDir: string, run: string): string => join(runsDir(stateDir), run);
const pathOf = (stateDir: string, run: string): string => join(folderOf(stateDir, run), 'journal.sqlite');
const headOf = (stateDir: string, run: string): string => join(folderOf(stateDir, run), 'head');

const resumes = (run: string): string => `nothing was begun since; \`drillbook resume ${run}\` goes on`;

/** The disk does not take what has to be kept of a run. */
export const unwritable = (run: string, cause: unknown, then = 'nothing was begun'): DrillbookError =>
  new DrillbookError(
    'journal.unwritable',
    `the journal of run ${run} cannot be written: ${(cause as Error).message}`,
    { hint: `the disk of this machine may be full or read-only; ${then}`, cause },
  );

/** An error of the engine stays itself, any other is what SQLite or the file system says. */
function guarded<T>(asError: (cause: unknown) => DrillbookError, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw cause instanceof DrillbookError ? cause : asError(cause);
  }
}

const damaged =
  (run: string) =>
  (cause: unknown): DrillbookError =>
    new JournalBroken(run, 1, (cause as Error).message, { cause });

/** Run ids sort by time, to the millisecond: `20261121-031500-1f3a7`. */
export function newRunId(now: Date): string {
  const stamp = now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const hex = (number: number, digits: number): string => number.toString(16).padStart(digits, '0');
  return `${stamp}-${hex(now.getMilliseconds(), 3)}${hex(Math.floor(Math.random() * 0x100), 2)}`;
}

/** Ids of all runs kept in `stateDir`, oldest first. */
export function runIds(stateDir: string): string[] {
  try {
    return readdirSync(runsDir(stateDir), { withFileTypes: true })
      .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
      .sort();
  } catch {
    return [];
  }
}

/** What `head` says; undefined where there is none. */
function readHead(stateDir: string, run: string): Head | undefined {
  const path = headOf(stateDir, run);
  if (!existsSync(path)) return undefined;
  const [, seq, hash] = /^ *(\d+) ([0-9a-f]{64})\n$/.exec(readFileSync(path, 'latin1')) ?? [];
  if (seq === undefined || hash === undefined)
    throw new DrillbookError('journal.broken', `${path} is damaged: it is not what was written`, {
      hint: 'without that file the journal is taken as it is; its last events may be missing then',
    });
  return { seq: Number(seq), hash };
}

const headText = ({ seq, hash }: Head): string => `${String(seq).padStart(10)} ${hash}\n`;

function checkShape(database: DatabaseSync, stateDir: string, run: string): void {
  const columns = database
    .prepare('PRAGMA table_info(event)')
    .all()
    .map(({ name }) => name);
  if (['seq', 'line', 'hash', 'sealed'].every((name) => columns.includes(name))) return;
  if (columns.length === 2 && columns.includes('line') && !existsSync(headOf(stateDir, run)))
    throw new DrillbookError('journal.old', `run ${run} is of an earlier version of drillbook`, {
      hint: 'finish or look at it with that version',
    });
  throw new JournalBroken(run, 1, 'its file holds no events');
}

function mustExist(stateDir: string, run: string): void {
  if (!runIds(stateDir).includes(run))
    throw new DrillbookError('usage.run', `no run ${run} in ${stateDir}`, { hint: 'see `drillbook runs`' });
  if (!existsSync(pathOf(stateDir, run))) throw new JournalBroken(run, 1, 'journal.sqlite is missing');
}

function* rowsOf(database: DatabaseSync): Generator<Row> {
  const all = database.prepare('SELECT seq, line, hash, sealed FROM event ORDER BY seq');
  yield* all.iterate() as Iterable<Row>;
}

/** Each folder by itself: of a tree, Node tells `no such file` where the disk is read-only. */
function makeFolder(stateDir: string, run: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  for (const path of [runsDir(stateDir), folderOf(stateDir, run)])
    if (!existsSync(path)) mkdirSync(path, { mode: 0o700 });
}

/** Creates the journal of a new run. Throws `journal.unwritable`. */
export function createJournal(stateDir: string, run: string, redactor = new Redactor()): Journal {
  return guarded(
    (cause) => unwritable(run, cause),
    () => {
      makeFolder(stateDir, run);
      const database = connect(pathOf(stateDir, run));
      database.exec(
        'CREATE TABLE event (seq INTEGER PRIMARY KEY, line TEXT NOT NULL, hash TEXT NOT NULL, sealed BLOB) STRICT',
      );
      return journalOver({ database, run, stateDir, redactor });
    },
  );
}

/** Opens the journal of an earlier run, to go on with it. Throws `JournalBroken` or `journal.unwritable`. */
export function openJournal(stateDir: string, run: string, redactor = new Redactor()): Journal {
  // Looked at before it is opened to be written, which alone would change a damaged one.
  readJournal(stateDir, run).close();
  return guarded(
    (cause) => unwritable(run, cause),
    () => journalOver({ database: connect(pathOf(stateDir, run)), run, stateDir, redactor }),
  );
}

function connect(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  // FULL: a committed event survives a power failure of the jump host (sqlite.org/pragma.html#pragma_synchronous).
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000');
  return database;
}

/** Opens the journal of a run to look at it. Throws `JournalBroken` where not even its first event can be read. */
export function readJournal(stateDir: string, run: string): Reading {
  mustExist(stateDir, run);
  return guarded(damaged(run), () => {
    const database = peek(pathOf(stateDir, run));
    checkShape(database, stateDir, run);
    return {
      *events() {
        for (const { event } of checked(run, rowsOf(database), readHead(stateDir, run))) yield event;
      },
      *rows() {
        for (const { row } of checked(run, rowsOf(database), readHead(stateDir, run))) yield row;
      },
      glance: () => guarded(damaged(run), () => glanceAt(database, readHead(stateDir, run))),
      close: () => database.close(),
    };
  });
}

function peek(path: string): DatabaseSync {
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
  const url = pathToFileURL(path);
  // Without a log beside it the file is all there is; SQLite would make one even to read.
  if (!log || log.size === 0) url.search = '?immutable=1';
  return new DatabaseSync(url, { readOnly: true });
}

const START = `SELECT 1 FROM event WHERE line LIKE '{"event":"step_%' LIMIT 1`;

function glanceAt(database: DatabaseSync, head: Head | undefined): Glance {
  const all = (rest: string): RunEvent[] =>
    database
      .prepare(`SELECT line FROM event ${rest}`)
      .all()
      .map(({ line }) => JSON.parse(String(line)) as RunEvent);
  const [first] = all('ORDER BY seq LIMIT 1');
  try {
    const known = head && database.prepare('SELECT hash FROM event WHERE seq = ?').get(head.seq);
    const isDamaged = head !== undefined && known?.['hash'] !== head.hash;
    const isBend = `line LIKE '{"event":"obligation_%'`;
    const [last] = all(`WHERE NOT ${isBend} AND line NOT LIKE '{"event":"lock_%' ORDER BY seq DESC LIMIT 1`);
    const bends = all(`WHERE ${isBend} ORDER BY seq`);
    const [lock] = all(`WHERE line LIKE '{"event":"lock_%' ORDER BY seq DESC LIMIT 1`);
    return { first, last, bends, lock, isDamaged, hasBegun: database.prepare(START).get() !== undefined };
  } catch {
    return { first, last: undefined, bends: [], lock: undefined, isDamaged: true, hasBegun: true };
  }
}

/** What `look` makes of the journal of a run; undefined where there is none, or a damaged one: that has no word. */
export function wordOf<T>(stateDir: string, run: string, look: (journal: Reading) => T): T | undefined {
  try {
    const journal = readJournal(stateDir, run);
    try {
      return look(journal);
    } finally {
      journal.close();
    }
  } catch {
    return undefined;
  }
}

/** True for a run kept here that gave its locks back: a node that was away may not have heard of it. */
export const hasReleased = (stateDir: string, run: string): boolean =>
  wordOf(stateDir, run, (journal) => journal.glance().lock?.event) === 'lock_released';

/** True for a run that ended before it had told anything: there is nothing to go on with. */
export function isBlank(stateDir: string, run: string): boolean {
  if (existsSync(headOf(stateDir, run))) return false;
  const file = statSync(pathOf(stateDir, run), { throwIfNoEntry: false });
  if (!file || file.size === 0) return true;
  try {
    const database = peek(pathOf(stateDir, run));
    try {
      const hasTable = database.prepare('PRAGMA table_info(event)').all().length > 0;
      return !hasTable || database.prepare('SELECT 1 FROM event LIMIT 1').get() === undefined;
    } finally {
      database.close();
    }
  } catch {
    return false;
  }
}

interface Making {
  readonly database: DatabaseSync;
  readonly run: string;
  readonly stateDir: string;
  readonly redactor: Redactor;
}

/** What is sealed beside a line: fields without their masks, and secrets that were heard of since the row before. */
interface Hidden {
  readonly fields?: Result | undefined;
  readonly secrets?: readonly Heard[] | undefined;
}

const aboutRow = (run: string, seq: number): string => `run ${run}, event ${seq}`;

function revealed(row: Row, event: RunEvent, sealer: Sealer, redactor: Redactor): RunEvent {
  if (row.sealed === null) return event;
  const hidden = JSON.parse(sealer.open(row.sealed, aboutRow(event.run, event.seq)).toString()) as Hidden;
  for (const secret of hidden.secrets ?? []) redactor.hear(secret);
  return { ...event, ...hidden.fields };
}

function journalOver({ database, run, stateDir, redactor }: Making): Journal {
  const insert = database.prepare('INSERT INTO event (seq, line, hash, sealed) VALUES (?, ?, ?, ?)');
  const read = database.prepare('SELECT seq, line, hash, sealed FROM event WHERE seq = ?');
  const sealer = sealerOf(stateDir);
  const listeners: ((event: RunEvent) => void)[] = [];
  const last = database.prepare('SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1').get();
  let count = Number(last?.['seq'] ?? 0);
  /** Of the last row on the disk. */
  let previous = String(last?.['hash'] ?? run);
  let pending: { readonly seq: number; readonly line: string; readonly hidden: Hidden | undefined }[] = [];
  let flushing: Promise<void> | undefined;
  let soon: NodeJS.Timeout | undefined;
  let headFile: number | undefined;
  /** Why nothing more may begin. */
  let failure: DrillbookError | undefined;

  const writeHead = (head: Head): void => {
    const path = headOf(stateDir, run);
    headFile ??= openSync(path, existsSync(path) ? 'r+' : 'wx', 0o600);
    writeSync(headFile, headText(head), 0);
  };

  const flush = (): void => {
    flushing = undefined;
    clearTimeout(soon);
    soon = undefined;
    const batch = pending;
    const end = batch.at(-1);
    if (!end) return;
    let hash = previous;
    try {
      if (batch.length > 1) database.exec('BEGIN');
      try {
        for (const { seq, line, hidden } of batch) {
          const sealed = hidden ? sealer.seal(JSON.stringify(hidden), aboutRow(run, seq)) : null;
          hash = linkOf(hash, line, sealed);
          insert.run(seq, line, hash, sealed);
        }
        if (batch.length > 1) database.exec('COMMIT');
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
      pending = [];
      previous = hash;
      // After the row and in place: a process that is killed leaves at most its last write untold.
      writeHead({ seq: end.seq, hash });
    } catch (cause) {
      failure = cause instanceof DrillbookError ? cause : unwritable(run, cause, resumes(run));
      throw failure;
    }
  };

  return {
    run,
    stateDir,
    get count() {
      return count;
    },
    *past() {
      let end: Row | undefined;
      for (const { row, event } of checked(run, rowsOf(database), readHead(stateDir, run))) {
        end = row;
        yield revealed(row, event, sealer, redactor);
      }
      // Another process may have gone on with the run since it was opened here.
      if (end && pending.length === 0) [count, previous] = [end.seq, end.hash];
    },
    at(seq) {
      const row = read.get(seq) as unknown as Row;
      return revealed(row, JSON.parse(row.line) as RunEvent, sealer, redactor);
    },
    append(happening, real) {
      const { event, ...rest } = happening;
      const at = new Date().toISOString();
      const entry = { event, run, seq: ++count, at, ...rest } as RunEvent;
      const secrets = redactor.heard();
      const hidden = real || secrets.length > 0 ? { fields: real, secrets } : undefined;
      pending.push({ seq: entry.seq, line: JSON.stringify(entry), hidden });
      for (const listener of listeners) listener(entry);
      return entry;
    },
    commit() {
      if (failure) return Promise.reject(failure);
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
          // The next commit tells of it.
        }
      }, SOON_MS).unref();
    },
    subscribe(listener) {
      listeners.push(listener);
    },
    close() {
      try {
        // What has ended since it failed is kept where that is possible again.
        flush();
        if (headFile !== undefined) fsyncSync(headFile);
      } finally {
        if (headFile !== undefined) closeSync(headFile);
        database.close();
      }
    },
  };
}
