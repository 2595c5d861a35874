import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runIds } from '../../engine/run/journal/journal.ts';
import { project } from '../run/_engine.ts';
import type { Project } from '../run/_engine.ts';
import { drillbook, eventsOf, start } from './_drillbook.ts';
import type { Said } from './_drillbook.ts';

const BOOK = `
name: Test
vars_files: [more.yml]
inputs:
  word: { default: early }
  token: { type: secret, default: none }
plays:
  - hosts: all
    tasks:
      - { name: first, shell: 'echo {{count}} >> {{log}}' }
      - { name: stops, shell: 'test -e {{dir}}/mended' }
      - include: tasks.yml
`;
const FILES = {
  'given.yml': 'token: hunter22-of-e\n',
  'more.yml': 'count: 1\nlate: 1\npassword: !secret hunter22-of-vars\n',
  'tasks.yml': `
- { name: late, shell: 'echo {{late}} {{inputs.word}} >> {{log}}' }
- { name: renders, template: { src: page.hbs, dest: '{{dir}}/page' } }
- { name: runs, script: { src: tool.sh, args: ['{{log}}'] } }
- { name: writes, copy: { dest: '{{dir}}/secret', content: '{{password}} {{inputs.token}}' } }
`,
  'templates/page.hbs': 'page of {{host.name}} with hunter22-of-template\n',
  'files/tool.sh': '#!/bin/sh\necho tool >> "$1"\n',
};

interface Stopped extends Project {
  /** The run, failed at its second step; mended since. */
  readonly run: string;
  again(...args: string[]): Promise<Said>;
  log(): string[];
}

/** A run of the real program that has failed at its second step, and could go on now. */
async function stopped(...args: string[]): Promise<Stopped> {
  const book = project(BOOK, { files: FILES });
  const state = ['--state', book.state];
  const given = args.map((arg) => (arg === '@given.yml' ? `@${book.dir}/given.yml` : arg));
  const said = await drillbook(['run', book.playbook, '-i', book.inventory, ...state, ...given]);
  expect([said.code, said.stderr]).toEqual([1, '']);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const [run = ''] = runIds(book.state);
  return {
    ...book,
    run,
    again: (...more) => drillbook(['resume', ...state, '--output', 'jsonl', ...more]),
    log: () => readFileSync(join(book.dir, 'log'), 'utf8').trim().split('\n'),
  };
}

const edit = (book: Project, name: string, from: string, to: string): void => {
  const path = join(book.dir, name);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
};

const lines = (book: Stopped): number => {
  const shown = execFileSync(process.execPath, [
    join(import.meta.dirname, '../../engine/cli/drillbook.js'),
    ...['show', book.run, '--state', book.state, '--output', 'jsonl'],
  ]);
  return shown.toString().trim().split('\n').length;
};

const stories = (said: Said): string[] =>
  eventsOf(said).flatMap((event) =>
    event.event === 'step_finished' ? [`${event.name} ${event.outcome}`] : [],
  );

/** A text as it is, and the middle of what base64 makes of it, wherever it stands. */
const formsOf = (word: string): string[] => [
  word,
  ...[0, 1, 2].map((n) =>
    Buffer.from('.'.repeat(n) + word)
      .toString('base64')
      .slice(4, -4),
  ),
];

/** Files of a folder in which one of the words can be read. */
const plainIn = (folder: string, words: readonly string[]): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name);
    const bytes = statSync(path).isFile() ? readFileSync(path) : Buffer.alloc(0);
    return words.flatMap(formsOf).some((form) => bytes.includes(form));
  });

test('a resume tells what was edited and touches nothing; accepted, the new text runs and show tells it', async () => {
  const book = await stopped();
  edit(book, 'tasks.yml', 'echo {{late}}', 'echo new {{late}}');
  edit(book, 'templates/page.hbs', 'page', 'new page');
  const before = lines(book);
  const refused = await book.again();
  expect([refused.code, refused.stdout]).toEqual([2, '']);
  expect(refused.stderr).toContain('changed: all/late (');
  expect(refused.stderr).toContain('shell: "echo {{late}} {{inputs.word}} >> {{log}}" → "echo new {{late}}');
  expect(refused.stderr).toContain('file page.hbs: edited');
  expect(refused.stderr).toContain('`--accept-changes` goes on with the files as they are now, `--as-begun`');
  expect([lines(book), book.log()]).toEqual([before, ['1']]);
  const accepted = await book.again('--accept-changes', '--operator', 'eve');
  expect([accepted.code, book.log()]).toEqual([0, ['1', 'new 1 early', 'tool']]);
  expect(readFileSync(join(book.dir, 'a/page'), 'utf8')).toMatch(/^new page/);
  expect(eventsOf(accepted).find((event) => event.event === 'changes_accepted')).toMatchObject({
    by: 'eve',
    changed: { 'all/late': ['shell'], 'all/renders': ['file page.hbs'] },
  });
  const shown = await drillbook(['show', book.run, '--state', book.state]);
  expect(shown.stdout).toContain('edits accepted by eve: tasks.yml, page.hbs; changed all/late, all/renders');
});

test('what has finished is refused with the flag too, at its place', async () => {
  const book = await stopped();
  edit(book, 'book.yml', 'echo {{count}}', 'echo other {{count}}');
  edit(book, 'more.yml', 'count: 1', 'count: 2');
  const before = lines(book);
  const refused = await book.again('--accept-changes');
  expect([refused.code, refused.stdout, lines(book)]).toEqual([2, '', before]);
  expect(refused.stderr).toMatch(
    /book\.yml:10:9.*: error: step `first` \(all\/first\) has finished on a, and would have to be another: `shell`, `variable count`/,
  );
});

test('--as-begun goes on with what the run began with, whatever the files are now', async () => {
  const book = await stopped('-e', 'word=given', '-e', '@given.yml');
  edit(book, 'tasks.yml', 'echo {{late}}', 'echo new {{late}}');
  edit(book, 'more.yml', 'late: 1', 'late: 2');
  rmSync(join(book.dir, 'templates'), { recursive: true });
  rmSync(join(book.dir, 'files'), { recursive: true });
  rmSync(book.inventory);
  rmSync(book.playbook);
  const said = await book.again('--as-begun');
  expect([said.code, said.stderr]).toEqual([0, '']);
  expect(stories(said)).toEqual([
    'stops changed',
    'late changed',
    'renders changed',
    'runs changed',
    'writes changed',
  ]);
  expect(book.log()).toEqual(['1', '1 given', 'tool']);
  expect(readFileSync(join(book.dir, 'a/page'), 'utf8')).toMatch(/^page of a/);
  expect(readFileSync(join(book.dir, 'a/secret'), 'utf8')).toBe('hunter22-of-vars hunter22-of-e');
});

test('--as-begun after an acceptance is what was accepted', async () => {
  const book = await stopped();
  rmSync(join(book.dir, 'a/mended'));
  edit(book, 'more.yml', 'late: 1', 'late: 2');
  expect((await book.again('--accept-changes', '-e', 'word=second')).code).toBe(1);
  writeFileSync(join(book.dir, 'a/mended'), '');
  edit(book, 'more.yml', 'late: 2', 'late: 3');
  expect((await book.again('--as-begun')).code).toBe(0);
  expect(book.log()).toEqual(['1', '2 second', 'tool']);
});

test('--as-begun wants no other inputs, nor the other flag', async () => {
  const book = await stopped();
  const other = await book.again('--as-begun', '-e', 'word=x');
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('-e word is another')]);
  const both = await book.again('--as-begun', '--accept-changes');
  expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('either that or --accept-changes')]);
});

test.each([
  ['no YAML', 'tasks.yml', (path: string) => writeFileSync(path, '- { name: broken\n')],
  ['no plan', 'tasks.yml', (path: string) => writeFileSync(path, '- { name: broken, nonsense: x }\n')],
  ['gone', 'more.yml', (path: string) => rmSync(path)],
])('a file that is %s now is a clear error with a way out', async (_, name, spoil) => {
  const book = await stopped();
  const path = join(book.dir, name);
  spoil(path);
  const before = lines(book);
  for (const flags of [[], ['--accept-changes']]) {
    const said = await book.again(...flags);
    expect([said.code, said.stdout]).toEqual([2, '']);
    expect(said.stderr).toContain(name);
    expect(said.stderr).toContain('with `--as-begun`: with those the run began with');
  }
  expect(lines(book)).toBe(before);
  expect((await book.again('--as-begun')).code).toBe(0);
  expect(book.log()).toEqual(['1', '1 early', 'tool']);
});

test('a comment needs no flag and is told in one line', async () => {
  const book = await stopped();
  edit(book, 'book.yml', 'name: Test', '# a comment\nname: Test');
  const said = await book.again();
  expect([said.code, said.stderr]).toEqual([
    0,
    'edited since the run began, and no step does anything else: book.yml\n',
  ]);
});

test('the copy is on the disk before the first step, and no secret is in plain text there', async () => {
  const book = project(BOOK, { files: FILES });
  writeFileSync(join(book.dir, 'given.yml'), 'token: hunter22-of-e\n');
  const args = ['run', book.playbook, '-i', book.inventory, '-e', `@${join(book.dir, 'given.yml')}`];
  const copies: string[][] = [];
  const running = start([...args, '--state', book.state, '--output', 'jsonl'], {
    onLine: (line) => {
      if (!line.includes('"event":"step_started"')) return;
      copies.push(
        ...readdirSync(join(book.state, 'runs')).map((id) => readdirSync(join(book.state, 'runs', id))),
      );
      if (line.includes('"name":"stops"')) running.kill('SIGKILL');
    },
  });
  expect((await running.ended).signal).toBe('SIGKILL');
  expect(copies[0]).toContain('frozen-1');
  const [run = ''] = runIds(book.state);
  const folder = join(book.state, 'runs', run);
  expect(statSync(join(folder, 'frozen-1')).mode & 0o777).toBe(0o600);
  // No step has read the template: it may hold what nobody called a secret.
  expect(plainIn(book.state, ['hunter22-of-'])).toEqual([]);
  edit(book, 'more.yml', 'hunter22-of-vars', 'hunter22-of-later');
  edit(book, 'templates/page.hbs', 'page', 'PAGE');
  const refused = await drillbook(['resume', '--state', book.state]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('variable password on a: changed (not shown)');
  expect(refused.stderr + refused.stdout).not.toContain('hunter22-of-vars');
  writeFileSync(join(book.dir, 'a/mended'), '');
  const goOn = ['resume', '--state', book.state, '--accept-changes'];
  // The command may have begun, and failed, before its engine died: that is what the first one tells then.
  const { code } = await drillbook(goOn);
  if (code !== 0) expect([code, (await drillbook(goOn)).code]).toEqual([1, 0]);
  expect(readFileSync(join(book.dir, 'a/secret'), 'utf8')).toBe('hunter22-of-later hunter22-of-e');
  expect(plainIn(book.state, ['hunter22-of-vars', 'hunter22-of-later', 'hunter22-of-e'])).toEqual([]);
});

test('show --files lists the copy and what has become of each; --file prints one, secrets masked', async () => {
  const book = await stopped();
  edit(book, 'tasks.yml', 'echo', 'echo new');
  rmSync(join(book.dir, 'files/tool.sh'));
  const args = ['show', book.run, '--state', book.state];
  const listed = await drillbook([...args, '--files', '--output', 'json']);
  const rows = listed.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { path: string; sha256: string; now: string });
  const found = rows.map(({ path, now }) => [path.slice(book.dir.length + 1), now]);
  expect(Object.fromEntries(found)).toEqual({
    'book.yml': 'same',
    'tasks.yml': 'edited',
    'more.yml': 'same',
    'inventory.yml': 'same',
    'templates/page.hbs': 'same',
    'files/tool.sh': 'gone',
  });
  const sum = execFileSync('sha256sum', [join(book.dir, 'more.yml')])
    .toString()
    .split(' ')[0];
  expect(rows.find(({ path }) => path.endsWith('more.yml'))?.sha256).toBe(sum);
  const plain = await drillbook([...args, '--files']);
  expect(plain.stdout).toContain(`${sum}  `);
  expect((await drillbook([...args, '--file', 'more.yml'])).stdout).toBe(
    'count: 1\nlate: 1\npassword: !secret ‹secret›\n',
  );
  expect((await drillbook([...args, '--file', 'tool.sh'])).stdout).toBe(FILES['files/tool.sh']);
  const wrong = await drillbook([...args, '--file', 'nothing']);
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('has no file `nothing`')]);
});

test('of a folder every file counts, and all of it is kept', async () => {
  const book = project(
    `
tasks:
  - { name: stops, shell: 'test -e {{dir}}/mended' }
  - { name: copies, copy: { src: site/, dest: '{{dir}}/site' } }
`,
    { files: { 'files/site/deep/page': 'early\n', 'files/site/other': 'other\n' } },
  );
  const state = ['--state', book.state];
  expect((await drillbook(['run', book.playbook, '-i', book.inventory, ...state])).code).toBe(1);
  writeFileSync(join(book.dir, 'a/mended'), '');
  writeFileSync(join(book.dir, 'files/site/deep/page'), 'late\n');
  writeFileSync(join(book.dir, 'files/site/deep/more'), 'more\n');
  rmSync(join(book.dir, 'files/site/other'));
  const refused = await drillbook(['resume', ...state]);
  expect(refused.code).toBe(2);
  for (const line of ['site/deep/page: edited', 'site/deep/more: new', 'site/other: gone'])
    expect(refused.stderr).toContain(`    file ${line}\n`);
  rmSync(join(book.dir, 'files'), { recursive: true });
  expect((await drillbook(['resume', ...state, '--as-begun'])).code).toBe(0);
  expect(readdirSync(join(book.dir, 'a/site'), { recursive: true }).toSorted()).toEqual([
    'deep',
    'deep/page',
    'other',
  ]);
  expect(readFileSync(join(book.dir, 'a/site/deep/page'), 'utf8')).toBe('early\n');
});

test('what is too large to be kept is known by size and time, and has to be there again for --as-begun', async () => {
  const book = project(
    `
tasks:
  - { name: stops, shell: 'test -e {{dir}}/mended' }
  - { name: copies, copy: { src: large.bin, dest: '{{dir}}/large' } }
`,
    { files: { 'files/large.bin': 'x'.repeat(1024 * 1024 + 1) } },
  );
  const state = ['--state', book.state];
  expect((await drillbook(['run', book.playbook, '-i', book.inventory, ...state])).code).toBe(1);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const large = join(book.dir, 'files/large.bin');
  const text = readFileSync(large);
  writeFileSync(large, 'other');
  const refused = await drillbook(['resume', ...state]);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('file large.bin: edited')]);
  const begun = await drillbook(['resume', ...state, '--as-begun']);
  expect([begun.code, begun.stderr]).toEqual([
    2,
    expect.stringContaining('large.bin is not the file that the run began with'),
  ]);
  writeFileSync(large, text);
  expect((await drillbook(['resume', ...state, '--accept-changes'])).code).toBe(0);
  expect(statSync(join(book.dir, 'a/large')).size).toBe(text.length);
});
