import { copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
