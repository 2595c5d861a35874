import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { DrillbookError } from '../../engine/core/error.ts';
import type { Happening, RunEvent } from '../../engine/core/event.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { checked, JournalBroken, linkOf } from '../../engine/run/journal/chain.ts';
import type { Row } from '../../engine/run/journal/chain.ts';
import { createJournal, openJournal, readJournal } from '../../engine/run/journal/journal.ts';
import type { Journal } from '../../engine/run/journal/journal.ts';
import { holdRun } from '../../engine/run/journal/hold.ts';

const RUN = '20261121-031500-7f3a';

const started = (step: string): Happening => ({
  event: 'step_started',
  step,
  name: step,
  module: 'shell',
  host: 'a',
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-journal-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const files = (dir: string): string => join(dir, 'runs', RUN);
const sqlite = (dir: string): string => join(files(dir), 'journal.sqlite');

/** A journal of `count` events, the third with something sealed; open still. */
async function written(dir: string, count = 5): Promise<Journal> {
  const journal = createJournal(dir, RUN);
  for (let seq = 1; seq <= count; seq++) {
    journal.append(started(`s${seq}`), seq === 3 ? { name: 'what nobody is to read' } : undefined);
    if (seq % 2 === 0) await journal.commit();
  }
  await journal.commit();
  return journal;
}

async function closed(count?: number): Promise<string> {
  const dir = folder();
  (await written(dir, count)).close();
  return dir;
}

function rows(dir: string): Row[] {
  const journal = readJournal(dir, RUN);
  try {
    return [...journal.rows()];
  } finally {
    journal.close();
  }
}

/** The first event that does not fit; 0 where all do. */
function misfit(work: () => unknown): number {
  try {
    work();
    return 0;
  } catch (error) {
    if (error instanceof JournalBroken) return error.seq;
    throw error;
  }
}

const misfitOf = (altered: readonly Row[]): number => misfit(() => [...checked(RUN, altered, undefined)]);

test('each hash is the SHA-256 of the one before, the line and what is sealed; the first of the run’s id', async () => {
  const all = rows(await closed());
  expect(all.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  expect(all.map(({ sealed }) => sealed !== null)).toEqual([false, false, true, false, false]);
  let previous = RUN;
  for (const { line, sealed, hash } of all) {
    const text = Buffer.concat([Buffer.from(previous + line), sealed ?? Buffer.alloc(0)]);
    const sum = execFileSync('sha256sum', { input: text, encoding: 'utf8' }).slice(0, 64);
    expect(hash).toBe(sum);
    previous = hash;
  }
});

test('any edited byte of a line, a hash or a sealed part is found where it is', async () => {
  const all = rows(await closed());
  for (const [at, row] of all.entries()) {
    const put = (more: Partial<Row>): number => misfitOf(all.with(at, { ...row, ...more }));
    const edits = (text: string): string[] =>
      Array.from(text, (letter, i) => `${text.slice(0, i)}${letter === '0' ? '1' : '0'}${text.slice(i + 1)}`);
    for (const line of edits(row.line)) expect(put({ line })).toBe(at + 1);
    for (const hash of edits(row.hash)) expect(put({ hash })).toBe(at + 1);
    for (const seq of [0, -1, at, at + 2, 99]) expect(put({ seq })).toBe(at + 1);
    row.sealed?.forEach((byte, i) =>
      expect(put({ sealed: row.sealed?.with(i, byte ^ 1) ?? null })).toBe(at + 1),
    );
    if (row.sealed) expect(put({ sealed: null })).toBe(at + 1);
    else expect(put({ sealed: new Uint8Array([1]) })).toBe(at + 1);
  }
});

test('a row taken out, put in or moved is found, also where the numbers were mended', async () => {
  const all = rows(await closed());
  const renumbered = (list: readonly Row[]): Row[] => list.map((row, i) => ({ ...row, seq: i + 1 }));
  for (let at = 0; at < all.length - 1; at++) {
    expect(misfitOf(all.toSpliced(at, 1))).toBe(at + 1);
    expect(misfitOf(renumbered(all.toSpliced(at, 1)))).toBe(at + 1);
    expect(misfitOf(renumbered(all.toSpliced(at, 0, all[at + 1] as Row)))).toBe(at + 1);
    expect(misfitOf(renumbered(all.toSpliced(at, 2, all[at + 1] as Row, all[at] as Row)))).toBe(at + 1);
  }
  // One that fits the row before it, as who knows how hashes are made would put in.
  const line = JSON.stringify({ ...JSON.parse(all[1]?.line ?? ''), step: 'never' });
  const forged: Row = { seq: 2, line, hash: linkOf(all[0]?.hash ?? '', line, null), sealed: null };
  expect(misfitOf(all.with(1, forged))).toBe(3);
});

test('a journal written anew from some event on, its hashes too, is found where `head` was left', async () => {
  const dir = await closed();
  const last = rows(dir).at(-1);
  const before = rows(dir).at(-2);
  const line = (last?.line ?? '').replace('"s5"', '"s6"');
  const database = new DatabaseSync(sqlite(dir));
  const change = database.prepare('UPDATE event SET line = ?, hash = ? WHERE seq = 5');
  change.run(line, linkOf(before?.hash ?? '', line, null));
  database.close();
  expect(misfit(() => rows(dir))).toBe(5);
});

test('the row of another run is found', async () => {
  const all = rows(await closed(1));
  const line = (all[0]?.line ?? '').replace(RUN, '20261121-031500-0000');
  expect(misfitOf([{ seq: 1, line, hash: linkOf(RUN, line, null), sealed: null }])).toBe(1);
});

test('a tail that was cut off is found, of a run that ended and of one that was killed', async () => {
  const ended = await closed();
  const killed = folder();
  cpSync(files((await alive()).dir), files(killed), { recursive: true });
  for (const dir of [ended, killed]) {
    for (const seq of [5, 3, 1]) {
      const database = new DatabaseSync(sqlite(dir));
      database.exec(`DELETE FROM event WHERE seq >= ${seq}`);
      database.close();
      expect(misfit(() => rows(dir))).toBe(seq);
    }
  }
});

/** A journal as a killed process leaves it: its last rows in the write-ahead log alone. */
async function alive(): Promise<{ readonly dir: string }> {
  const dir = folder();
  const journal = await written(dir);
  onTestFinished(() => journal.close());
  expect(existsSync(`${sqlite(dir)}-wal`)).toBe(true);
  return { dir };
}

/** What is read of a damaged copy: all of the events or, before an error of ours, the first of them. */
function readable(dir: string): { readonly lines: readonly string[]; readonly error: unknown } {
  const lines: string[] = [];
  try {
    const journal = readJournal(dir, RUN);
    try {
      for (const { line } of journal.rows()) lines.push(line);
    } finally {
      journal.close();
    }
    return { lines, error: undefined };
  } catch (error) {
    return { lines, error };
  }
}

test.each(['journal.sqlite', 'journal.sqlite-wal', 'head'])(
  'damage anywhere in %s is one error of ours after what is whole, or harms nothing',
  async (name) => {
    const source = name.endsWith('-wal') ? (await alive()).dir : await closed();
    const whole = rows(source).map(({ line }) => line);
    const bytes = readFileSync(join(files(source), name));
    const dir = folder();
    cpSync(files(source), files(dir), { recursive: true });
    const harms: number[] = [];
    const look = (damaged: Uint8Array): void => {
      writeFileSync(join(files(dir), name), damaged);
      const { lines, error } = readable(dir);
      expect(lines).toEqual(whole.slice(0, lines.length));
      if (error === undefined) expect(lines).toHaveLength(whole.length);
      else {
        expect(error).toBeInstanceOf(DrillbookError);
        expect((error as DrillbookError).code).toBe('journal.broken');
        harms.push(lines.length);
      }
      for (const extra of readdirSync(files(dir))) {
        if (extra.endsWith('-shm') || (extra.endsWith('-wal') && extra !== name))
          rmSync(join(files(dir), extra));
      }
    };
    const stride = Math.max(1, Math.floor(bytes.length / 700));
    for (let at = 0; at < bytes.length; at += stride) look(bytes.with(at, (bytes[at] ?? 0) ^ 0xff));
    for (let size = 0; size < bytes.length; size += Math.ceil(bytes.length / 40))
      look(bytes.subarray(0, size));
    look(Buffer.from('not what it was'.repeat(1000)));
    expect(harms.length).toBeGreaterThan(40);
  },
);

test('a missing, an empty and a foreign file are one error of ours, and nothing is made of them', async () => {
  const dir = await closed();
  const cases: (() => void)[] = [
    () => rmSync(sqlite(dir)),
    () => writeFileSync(sqlite(dir), ''),
    () => writeFileSync(sqlite(dir), 'SQLite format 3\0 of something else'),
    () => {
      rmSync(sqlite(dir));
      const other = new DatabaseSync(sqlite(dir));
      other.exec('CREATE TABLE other (x)');
      other.close();
    },
    () => {
      rmSync(sqlite(dir));
      mkdirSync(sqlite(dir));
    },
  ];
  for (const damage of cases) {
    damage();
    for (const open of [readJournal, openJournal]) {
      expect(() => open(dir, RUN)).toThrow(JournalBroken);
      expect(() => open(dir, RUN)).toThrow(`the journal of run ${RUN} is damaged: `);
    }
  }
});

test('a journal without hashes is of an earlier version', () => {
  const dir = folder();
  mkdirSync(files(dir), { recursive: true });
  const database = new DatabaseSync(sqlite(dir));
  database.exec('CREATE TABLE event (seq INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT');
  database.close();
  for (const open of [readJournal, openJournal])
    expect(() => open(dir, RUN)).toThrow(`run ${RUN} is of an earlier version of drillbook`);
});

test('what is read changes nothing in the folder of the run', async () => {
  const dir = await closed();
  const before = readdirSync(files(dir));
  rows(dir);
  expect(readdirSync(files(dir))).toEqual(before);
});

test('events of one turn are durable together, and come back as they were', async () => {
  const dir = folder();
  const journal = createJournal(dir, RUN);
  const heard: RunEvent[] = [];
  journal.subscribe((event) => heard.push(event));
  for (let seq = 1; seq <= 20; seq++) journal.append(started(`s${seq}`));
  expect(readable(dir).lines).toEqual([]);
  await journal.commit();
  expect(readable(dir).lines).toEqual(heard.map((event) => JSON.stringify(event)));
  journal.close();
  const again = openJournal(dir, RUN);
  expect(again.count).toBe(20);
  expect([...again.past()]).toEqual(heard);
  again.append(started('more'));
  again.close();
  expect(rows(dir)).toHaveLength(21);
});

test('secrets that were heard of in the run are masked again by who goes on with it', async () => {
  const dir = folder();
  const redactor = new Redactor();
  const journal = createJournal(dir, RUN, redactor);
  redactor.add('hunter22');
  journal.append(started('one'));
  await journal.commit();
  redactor.add('sesame99');
  journal.append(started('two'), { name: 'sesame99' });
  journal.close();
  expect(
    rows(dir)
      .map(({ line }) => line)
      .join(),
  ).not.toMatch(/hunter22|sesame99/);
  const later = new Redactor();
  const again = openJournal(dir, RUN, later);
  const past = [...again.past()];
  expect(past.map((event) => 'name' in event && event.name)).toEqual(['one', 'sesame99']);
  expect(again.at(2)).toEqual(past[1]);
  again.close();
  expect(later.text('hunter22 sesame99')).not.toMatch(/hunter22|sesame99/);
});

test('a lock that cannot be taken because of the disk is not told as another process', () => {
  const dir = folder();
  createJournal(dir, RUN).close();
  const letGo = holdRun(dir, RUN);
  expect(() => holdRun(dir, RUN)).toThrow('is under way in another process');
  letGo();
  rmSync(join(files(dir), 'lock.sqlite'));
  mkdirSync(join(files(dir), 'lock.sqlite'));
  expect(() => holdRun(dir, RUN)).toThrow(`the journal of run ${RUN} cannot be written: unable to open`);
});

/** A file system of its own, so small that it is soon full. */
function small(size: string): string {
  const dir = folder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', dir]);
  onTestFinished(() => void execFileSync('umount', ['-l', dir]));
  return dir;
}

test('on a full disk nothing more can begin, and what had ended is kept once there is room again', async () => {
  const dir = small('256k');
  const journal = createJournal(dir, RUN);
  const fill = async (): Promise<never> => {
    for (;;) {
      journal.append({ ...started('x'), name: 'x'.repeat(20_000) } as Happening);
      await journal.commit();
    }
  };
  await expect(fill()).rejects.toMatchObject({ code: 'journal.unwritable' });
  expect(readable(dir).error).toBeUndefined();
  execFileSync('mount', ['-o', 'remount,size=8m', dir]);
  await expect(journal.commit()).rejects.toMatchObject({ code: 'journal.unwritable' });
  journal.append(started('in flight'));
  journal.close();
  const lines = rows(dir);
  expect(lines).toHaveLength(journal.count);
  expect(lines.at(-1)?.line).toContain('in flight');
});

test('a folder that cannot be written is one error, and a journal in it can be read', async () => {
  const dir = small('1m');
  (await written(dir)).close();
  execFileSync('mount', ['-o', 'remount,ro', dir]);
  expect(rows(dir)).toHaveLength(5);
  expect(() => createJournal(dir, '20261121-031501-0000')).toThrow(
    /^the journal of run .* cannot be written: .*read-only/i,
  );
  expect(() => openJournal(dir, RUN)).toThrow(/^the journal of run .* cannot be written: /);
});

test('a killed run’s journal on a disk that has become read-only can be read', async () => {
  const dir = small('2m');
  cpSync(files((await alive()).dir), files(dir), { recursive: true });
  execFileSync('mount', ['-o', 'remount,ro', dir]);
  expect(rows(dir)).toHaveLength(5);
});

test('a truncated file is told from where on it is not whole', async () => {
  const dir = folder();
  (await written(dir, 400)).close();
  truncateSync(sqlite(dir), 20 * 4096);
  const { lines, error } = readable(dir);
  expect(error).toMatchObject({ code: 'journal.broken', seq: lines.length + 1 });
});
