import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { project, type Project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';

const BOOK = `
vars: { word: !secret correcthorse }
plays:
  - hosts: all
    tasks:
      - { name: says, shell: 'echo {{word}} of {{host.name}}' }
      - { name: writes, copy: { dest: '{{dir}}/file', content: "one\\n{{word}}\\n" } }
      - { name: fails, command: 'false', when: "host.name == 'b'" }
`;

const report = (book: Project, ...args: string[]) => drillbook(['report', '--state', book.state, ...args]);

test('the newest run is written in every format, and no secret is in any', async () => {
  const book = project(BOOK, { hosts: ['a', 'b'] });
  const { run } = await book.go();
  for (const format of ['html', 'json', 'junit', 'csv']) {
    const { code, stdout, stderr } = await report(book, '--format', format);
    expect([format, code, stderr]).toEqual([format, 0, '']);
    expect(stdout).toContain('writes');
    expect(stdout).not.toContain('correcthorse');
  }
  const told = JSON.parse((await report(book, run, '--format', 'json')).stdout) as object;
  expect(told).toMatchObject({ run, outcome: 'failed', exitCode: 1, damage: null });
  const out = join(book.dir, 'report.xlsx');
  expect((await report(book, '--out', out)).code).toBe(0);
  expect(statSync(out).mode & 0o777).toBe(0o600);
  expect(readFileSync(out).subarray(0, 2).toString()).toBe('PK');
});

test('an unfinished run is told as far as it went', async () => {
  const book = project(BOOK, { hosts: ['a'] });
  await book.die(5);
  const { code, stdout } = await report(book, '--format', 'json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'unfinished', exitCode: null });
});

test('a damaged run is told up to the damage, which the report names', async () => {
  const book = project(BOOK, { hosts: ['a'] });
  const { run } = await book.go();
  const database = new DatabaseSync(join(book.state, 'runs', run, 'journal.sqlite'));
  database.exec(`UPDATE event SET line = replace(line, 'writes', 'wrote') WHERE seq = 6`);
  database.close();
  const { code, stdout, stderr } = await report(book, '--format', 'json');
  const { damage, steps } = JSON.parse(stdout) as { damage: string; steps: { name: string }[] };
  expect(code).toBe(0);
  expect(damage).toContain('is damaged from event 6 on');
  expect(stderr).toContain('is damaged');
  expect(steps.map(({ name }) => name)).toEqual(['says']);
  expect((await report(book, '--format', 'html')).stdout).toContain('damaged journal');
});

test.each([
  [['--format', 'htlm'], 'did you mean `html`?'],
  [[], 'html, json, junit, csv, xlsx'],
  [['--format', 'xlsx'], '--out FILE.xlsx'],
  [['--format', 'html', '--out', '/nowhere/at/all.html'], 'cannot be written'],
  [['20200101-000000-00000', '--format', 'html'], 'no run 20200101-000000-00000'],
])('%j is refused with the right word', async (args, word) => {
  const book = project(BOOK, { hosts: ['a'] });
  await book.go();
  const { code, stderr, stdout } = await report(book, ...args);
  expect(stderr).toContain(word);
  expect([code, stdout]).toEqual([2, '']);
});
