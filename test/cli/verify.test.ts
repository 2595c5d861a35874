import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import type { Project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';

interface Verdict {
  readonly run: string;
  readonly isWhole: boolean;
  readonly events: number;
  readonly head: string | null;
  readonly problem?: { readonly event: number | null; readonly message: string };
}

async function verify(book: Project, run: string): Promise<{ code: number | null; verdict: Verdict }> {
  const said = await drillbook(['verify', run, '--state', book.state, '--output', 'json']);
  return { code: said.code, verdict: JSON.parse(said.stdout) as Verdict };
}

const THREE = `tasks: [{ name: one, command: 'true' }, { name: two, command: 'echo 2' }, { name: three, command: 'true' }]`;

async function ran(): Promise<{ book: Project; run: string; folder: string; file: string }> {
  const book = project(THREE);
  const { run } = await book.go();
  const folder = join(book.state, 'runs', run);
  return { book, run, folder, file: join(folder, 'journal.sqlite') };
}

function sql(file: string, ...texts: string[]): void {
  const database = new DatabaseSync(file);
  for (const text of texts) database.exec(text);
  database.close();
}

test('a whole journal is told as such, with its events and its head', async () => {
  const { book, run, folder } = await ran();
  const { code, verdict } = await verify(book, run);
  expect([code, verdict.isWhole]).toEqual([0, true]);
  expect(readFileSync(join(folder, 'head'), 'utf8')).toBe(
    `${String(verdict.events).padStart(10)} ${verdict.head}\n`,
  );
  const text = await drillbook(['verify', '--state', book.state]);
  expect(text.stdout).toBe(`run ${run} is whole: ${verdict.events} events, head ${verdict.head}\n`);
});

test('what does not fit is told with its event, exit code 1; show and runs still tell what is whole', async () => {
  const { book, run, file } = await ran();
  const whole = (await drillbook(['show', run, '--state', book.state, '--output', 'jsonl'])).stdout;
  const seq = whole.split('\n').findIndex((line) => line.includes('"three"')) + 1;
  sql(file, `UPDATE event SET line = replace(line, '"three"', '"third"') WHERE seq = ${seq}`);
  const { code, verdict } = await verify(book, run);
  expect([code, verdict.isWhole, verdict.events, verdict.problem?.event]).toEqual([1, false, seq - 1, seq]);
  const text = await drillbook(['verify', run, '--state', book.state]);
  expect([text.code, text.stdout]).toEqual([1, '']);
  expect(text.stderr).toContain(
    `the journal of run ${run} is damaged from event ${seq} on: it is not what was written`,
  );
  const shown = await drillbook(['show', run, '--state', book.state, '--output', 'jsonl']);
  expect([shown.code, shown.stdout]).toEqual([
    1,
    `${whole
      .split('\n')
      .slice(0, seq - 1)
      .join('\n')}\n`,
  ]);
  expect(shown.stderr).toContain(`damaged from event ${seq} on`);
  expect(shown.stderr).not.toMatch(/^\s+at /m);
});

test('a damaged run is not gone on with: unnamed it is in the way, named it is refused, with what to do', async () => {
  const book = project(
    `tasks: [{ name: one, command: 'true' }, { name: two, command: 'test -e {{dir}}/mended' }]`,
  );
  const older = await book.go();
  const { run } = await book.go();
  expect([older.code, older.run < run]).toEqual([1, true]);
  const file = join(book.state, 'runs', run, 'journal.sqlite');
  sql(file, `DELETE FROM event WHERE seq > 3`);
  const runs = await drillbook(['runs', '--state', book.state, '--output', 'json']);
  expect(
    runs.stdout
      .trim()
      .split('\n')
      .map((row) => (JSON.parse(row) as { outcome: string }).outcome),
  ).toEqual(['damaged', 'failed']);
  book.write('a/mended', '');
  for (const name of [[], [run]]) {
    const said = await drillbook(['resume', ...name, '--state', book.state]);
    expect([said.code, said.stdout]).toEqual([1, '']);
    expect(said.stderr).toContain(`the journal of run ${run} is damaged from event 4 on`);
    expect(said.stderr.replace(/\s+/g, ' ')).toContain('go on with another run by its name');
  }
  expect((await drillbook(['resume', older.run, '--state', book.state])).code).toBe(0);
});

test('a journal that holds nothing to read leaves the list of runs as it is', async () => {
  const { book, run, file } = await ran();
  const { run: other } = await book.go();
  writeFileSync(file, 'this was a journal');
  const runs = await drillbook(['runs', '--state', book.state]);
  expect([runs.code, runs.stdout]).toEqual([0, expect.stringMatching(new RegExp(`^${other} .*\\n$`))]);
  expect(runs.stderr).toContain(`the journal of run ${run} is damaged: file is not a database`);
  rmSync(file);
  const shown = await drillbook(['show', run, '--state', book.state]);
  expect([shown.code, shown.stdout]).toEqual([1, '']);
  expect(shown.stderr).toContain('journal.sqlite is missing');
});
