import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Problems } from '../../engine/core/error.ts';
import { frozenStore } from '../../engine/run/edits/frozen.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { project } from './_engine.ts';
import type { Project, Ran, Wishes } from './_engine.ts';

const mark = (name: string): string => `echo {{host.name}} >> {{log}}-${name}`;
const marks = (book: Project, name: string): string[] =>
  existsSync(join(book.dir, `log-${name}`))
    ? readFileSync(join(book.dir, `log-${name}`), 'utf8')
        .trim()
        .split('\n')
        .toSorted()
    : [];

const edit = (book: Project, name: string, from: string | RegExp, to: string): void => {
  const path = join(book.dir, name);
  const text = readFileSync(path, 'utf8');
  const after = text.replace(from, to);
  expect(after).not.toBe(text);
  writeFileSync(path, after);
};

interface Resumed {
  readonly ran: Ran | undefined;
  /** What the operator was told. */
  readonly told: string;
  /** Messages of the errors, one a line. */
  readonly refused: string;
}

async function resume(book: Project, run: string, wishes: Wishes = {}): Promise<Resumed> {
  let told = '';
  const request = { tell: (text: string) => void (told += `${text}\n`), ...wishes.request };
  try {
    return { ran: await book.go({ ...wishes, request }, run), told, refused: '' };
  } catch (error) {
    const problems = error instanceof Problems ? error.problems : [error as Error];
    return { ran: undefined, told, refused: problems.map(({ message }) => message).join('\n') };
  }
}

const accept = (book: Project, run: string, wishes: Wishes = {}): Promise<Resumed> =>
  resume(book, run, { ...wishes, request: { acceptChanges: true } });

const acceptedBy = ({ ran }: Resumed) => ran?.events.find((event) => event.event === 'changes_accepted');

const TASKS = `
tasks:
  - { name: one, shell: '${mark('one')}' }
  - { name: two, shell: 'test -e {{dir}}/mended', register: out }
  - { name: three, shell: '${mark('three')}' }
`;

describe('an edit of a step', () => {
  test('that has not run is told by its id, refused without the flag, and runs as it is now with it', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', "'test -e {{dir}}/mended'", "'true'");
    const told = await resume(book, run);
    expect(told.refused).toBe('edited since the run began: book.yml');
    expect(told.told).toContain('changed: all/two (');
    expect(told.told).toContain('    shell: "test -e {{dir}}/mended" → "true"\n');
    const accepted = await accept(book, run);
    expect(accepted.ran?.story).toEqual(['two changed', 'three changed']);
    expect(acceptedBy(accepted)).toMatchObject({
      by: 'tester',
      added: [],
      removed: [],
      changed: { 'all/two': ['shell'] },
      files: { [book.playbook]: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    });
    expect(marks(book, 'one')).toEqual(['a']);
  });

  test('that has finished is refused with the flag too, naming it, its host and what differs', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', `'${mark('one')}'`, "'true'");
    const { refused, told } = await accept(book, run);
    expect(refused).toBe('step `one` (all/one) has finished on a, and would have to be another: `shell`');
    expect(told).toContain('all/one');
    expect(told).toContain('which has finished on a');
    edit(book, 'book.yml', "'true'", `'${mark('one')}'`);
    expect((await resume(book, run)).ran?.story).toEqual(['two failed']);
  });

  test.each([
    ['when', "name: one, shell: '", "name: one, when: 'false', shell: '"],
    ['register', 'name: one,', 'name: one, register: more,'],
    ['environment', 'name: one,', 'name: one, environment: { A: b },'],
    ['become', 'name: one,', 'name: one, become: true,'],
    ['run_once', 'name: one,', 'name: one, run_once: true,'],
    ['loop', 'name: one,', 'name: one, loop: [a, b],'],
    ['module', 'name: one, shell', 'name: one, command'],
  ])('that has finished is another by its %s', async (what, from, to) => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', from, to);
    expect((await accept(book, run)).refused).toContain(`would have to be another: \`${what}\``);
  });

  test('that has finished is none by how it would be tried', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', 'name: one,', 'name: one, timeout: 90s, retries: 3,');
    const { ran, told } = await accept(book, run);
    expect(told).toContain('timeout: nothing → 90000');
    expect(ran?.story).toEqual(['two failed']);
  });

  test('that finished on one host only is refused for that one', async () => {
    const book = project(
      `tasks: [{ name: one, shell: 'test {{host.name}} = a || test -e {{dir}}/mended' }]`,
      { hosts: ['a', 'b'] },
    );
    const { run, story } = await book.go();
    expect(story.toSorted()).toEqual(['one@a changed', 'one@b failed']);
    edit(book, 'book.yml', 'test -e', 'test -d');
    expect((await accept(book, run)).refused).toContain('has finished on a, and would');
  });

  test('that finished on one host may read something else on another', async () => {
    const book = project(`tasks: [{ name: one, shell: 'test {{want}} = yes' }]`, { hosts: ['a', 'b'] });
    edit(book, 'inventory.yml', 'a: { vars: {', 'a: { vars: { want: "yes",');
    edit(book, 'inventory.yml', 'b: { vars: {', 'b: { vars: { want: "no",');
    const { run, story } = await book.go();
    expect(story.toSorted()).toEqual(['one@a changed', 'one@b failed']);
    edit(book, 'inventory.yml', 'want: "no"', 'want: "yes"');
    const accepted = await accept(book, run);
    expect(accepted.told).toContain('variable want on b: "no" → "yes"');
    expect([accepted.refused, accepted.ran?.story]).toEqual(['', ['one changed']]);
  });

  test('in flight is refused, and shown as such', async () => {
    const book = project(`tasks: [{ name: one, shell: '${mark('one')}' }]`);
    // Events: run_started, play_started, host_connected, step_started; dead before its end is told.
    await book.die(5);
    const [run = ''] = runIds(book.state);
    edit(book, 'book.yml', "'echo", "'true; echo");
    const { refused } = await accept(book, run);
    expect(refused).toContain('is under way on a, and would have to be another: `shell`');
  });
});

describe('the row of steps', () => {
  test('may grow behind what has finished, and shrink there', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', /^ {6}- \{ name: two.*\n/m, `      - { name: new, shell: '${mark('new')}' }\n`);
    const accepted = await accept(book, run);
    expect(accepted.told).toMatch(/added: all\/new \(.*book\.yml:\d+:\d+\)\n {2}removed: all\/two /);
    expect(accepted.ran?.story).toEqual(['new changed', 'three changed']);
    expect(acceptedBy(accepted)).toMatchObject({ added: ['all/new'], removed: ['all/two'] });
  });

  test('may not lose what has finished', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', /^ {6}- \{ name: one.*\n/m, '');
    expect((await accept(book, run)).refused).toBe(
      'step `one` (all/one) has finished on a, and is not there any more',
    );
  });

  test('may not get one before what has finished', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', '- { name: one', "- { name: new, command: 'true' }\n      - { name: one");
    expect((await accept(book, run)).refused).toBe(
      'step `new` (all/new) stands before `one`, which has finished on a',
    );
  });

  test('may not have what has finished in another order', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    const lines = readFileSync(book.playbook, 'utf8').split('\n');
    const at = lines.findIndex((line) => line.includes('name: one'));
    const [one = ''] = lines.splice(at, 1);
    lines.splice(at + 1, 0, one);
    writeFileSync(book.playbook, lines.join('\n'));
    const { told, refused } = await accept(book, run);
    expect(told).toContain('moved: ');
    expect(refused).toBe('step `two` (all/two) stands before `one`, which has finished on a');
  });

  test('may be extended in a rescue that was not needed', async () => {
    const book = project(`
tasks:
  - block: [{ name: in, command: 'true' }]
    rescue: [{ name: help, command: 'true' }]
  - { name: after, command: 'true' }
  - { name: two, shell: 'test -e {{dir}}/mended' }
`);
    const { run } = await book.go();
    edit(
      book,
      'book.yml',
      "[{ name: help, command: 'true' }]",
      "[{ name: help, command: 'false' }, { name: more, command: 'true' }]",
    );
    expect((await accept(book, run)).ran?.story).toEqual(['two failed']);
  });
});

describe('an edit that changes no step', () => {
  test.each([
    ['a comment', (book: Project) => edit(book, 'book.yml', /$/, '\n# more\n')],
    [
      'a description',
      (book: Project) => edit(book, 'book.yml', 'name: Test', 'name: Test\ndescription: more'),
    ],
    ['the name of a step', (book: Project) => edit(book, 'book.yml', 'name: one', 'name: the first')],
    [
      'the name of a play',
      (book: Project) => edit(book, 'book.yml', 'hosts: all', 'name: The play\n    hosts: all'),
    ],
    ['an id', (book: Project) => edit(book, 'book.yml', 'name: one', 'id: first, name: one')],
    [
      'a variable that nobody reads',
      (book: Project) => edit(book, 'inventory.yml', 'vars: {', 'vars: { unread: 1,'),
    ],
  ])('goes on without a flag: %s', async (_, change) => {
    const book = project(TASKS);
    const { run } = await book.go();
    change(book);
    writeFileSync(join(book.dir, 'a/mended'), '');
    const { ran, told, refused } = await resume(book, run);
    expect(refused).toBe('');
    expect(told).toMatch(/^edited since the run began, and no step does anything else: \w+\.yml\n$/);
    expect(ran?.story.map((line) => line.split(' ').at(-1))).toEqual(['changed', 'changed']);
    expect(marks(book, 'one')).toEqual(['a']);
    expect(ran?.events.map(({ event }) => event)).not.toContain('changes_accepted');
  });

  test('keeps a renamed step apart from a new one that took its name', async () => {
    const book = project(TASKS);
    const { run } = await book.go();
    edit(book, 'book.yml', 'name: one', 'name: the first');
    edit(book, 'book.yml', 'name: three', 'name: one');
    edit(
      book,
      'book.yml',
      "- { name: one, shell: '",
      `- { name: three, shell: '${mark('new')}' }\n      - { name: one, shell: '`,
    );
    writeFileSync(join(book.dir, 'a/mended'), '');
    const accepted = await accept(book, run);
    expect(accepted.ran?.story).toEqual(['two changed', 'three changed', 'one changed']);
    expect(marks(book, 'one')).toEqual(['a']);
    expect(marks(book, 'new')).toEqual(['a']);
    expect(marks(book, 'three')).toEqual(['a']);
  });
});

const BOOK = `
vars_files: [sizes.yml]
inputs: { wait: { default: 1s } }
plays:
  - hosts: all
    tasks:
      - { name: uses size, shell: 'echo {{size}} >> {{log}}-size' }
      - { name: renders, template: { src: first.hbs, dest: '{{dir}}/first' } }
      - { name: fails, shell: 'test -e {{dir}}/mended' }
      - include: more.yml
`;
const FILES = {
  'sizes.yml': 'size: 1\ncount: 1\nunread: 1\n',
  'more.yml': `
- { name: uses count, shell: 'echo {{count}} >> {{log}}-count' }
- { name: renders later, template: { src: later.hbs, dest: '{{dir}}/later' } }
- { name: runs, script: { src: later.sh, args: ['{{log}}-script'] } }
- { name: waits, shell: 'echo {{inputs.wait}} >> {{log}}-wait' }
- { name: sees, shell: 'echo {{colour}} >> {{log}}-colour' }
`,
  'templates/first.hbs': 'first {{letter}}\n',
  'templates/later.hbs': 'later {{letter}}\n',
  'files/later.sh': '#!/bin/sh\necho one >> "$1"\n',
};
const INVENTORY = (dir: string, more = ''): string => `
connection: { transport: local }
vars: { log: '${dir}/log', letter: x, colour: red }
hosts: { a: { vars: { dir: '${dir}/a' } }${more} }
`;

function wide(): Project {
  const book = project(BOOK, { files: FILES });
  writeFileSync(book.inventory, INVENTORY(book.dir));
  return book;
}

describe('an edited file that a later step reads', () => {
  test.each([
    ['vars file', 'sizes.yml', 'count: 1', 'count: 2', { 'all/uses-count': ['variable count'] }],
    ['include', 'more.yml', 'echo {{count}}', 'echo 2{{count}}', { 'all/uses-count': ['shell'] }],
    ['template', 'templates/later.hbs', 'later', 'LATER', { 'all/renders-later': ['file later.hbs'] }],
    ['script', 'files/later.sh', 'one', 'two', { 'all/runs': ['file later.sh'] }],
    ['inventory', 'inventory.yml', 'colour: red', 'colour: blue', { 'all/sees': ['variable colour'] }],
  ])('is told by step and accepted: %s', async (_, file, from, to, changed) => {
    const book = wide();
    const { run } = await book.go();
    edit(book, file, from, to);
    expect((await resume(book, run)).refused).toBe(`edited since the run began: ${file.split('/').at(-1)}`);
    writeFileSync(join(book.dir, 'a/mended'), '');
    const accepted = await accept(book, run);
    expect(accepted.refused).toBe('');
    expect(acceptedBy(accepted)).toMatchObject({ changed, added: [], removed: [], moved: [], others: [] });
    expect(accepted.ran?.code).toBe(0);
    const wrote = ['count', 'script', 'wait', 'colour'].map((name) => marks(book, name).join());
    const rendered = readFileSync(join(book.dir, 'a/later'), 'utf8');
    expect([...wrote, rendered]).toEqual([
      file === 'more.yml' ? '21' : file === 'sizes.yml' ? '2' : '1',
      file === 'files/later.sh' ? 'two' : 'one',
      '1s',
      file === 'inventory.yml' ? 'blue' : 'red',
      file === 'templates/later.hbs' ? 'LATER x\n' : 'later x\n',
    ]);
  });

  test.each([
    ['vars file', 'sizes.yml', 'size: 1', 'size: 2', 'uses size', 'variable size'],
    ['template', 'templates/first.hbs', 'first', 'FIRST', 'renders', 'file first.hbs'],
    ['inventory', 'inventory.yml', 'letter: x', 'letter: y', 'renders', 'variable letter'],
  ])('is refused where a finished step reads it: %s', async (_, file, from, to, step, what) => {
    const book = wide();
    const { run } = await book.go();
    edit(book, file, from, to);
    const { refused } = await accept(book, run);
    expect(refused).toContain(`step \`${step}\``);
    expect(refused).toContain(`has finished on a, and would have to be another: \`${what}\``);
  });

  test('is not read while the run is under way: it stays what it was when the run began', async () => {
    const book = wide();
    writeFileSync(join(book.dir, 'a/mended'), '');
    const ran = await book.go({
      onEvent: (event) => {
        if (event.event === 'step_started' && event.name === 'fails')
          edit(book, 'templates/later.hbs', 'later', 'LATER');
      },
    });
    expect(ran.code).toBe(0);
    expect(readFileSync(join(book.dir, 'a/later'), 'utf8')).toBe('later x\n');
  });

  test('counts where -e gives it', async () => {
    const book = wide();
    const { run } = await book.go({ given: { wait: '2s' } });
    const given = { wait: '3s' };
    const told = await resume(book, run, { given });
    expect([told.refused, told.told]).toEqual([
      'edited since the run began: -e wait',
      expect.stringContaining('-e wait: "2s" → "3s"'),
    ]);
    writeFileSync(join(book.dir, 'a/mended'), '');
    const accepted = await accept(book, run, { given });
    expect(acceptedBy(accepted)).toMatchObject({
      others: ['-e wait'],
      changed: { 'all/waits': ['input wait'] },
    });
    expect(marks(book, 'wait')).toEqual(['3s']);
  });
});

test('what was accepted once is what a later resume is held to', async () => {
  const book = wide();
  const { run } = await book.go();
  edit(book, 'sizes.yml', 'count: 1', 'count: 2');
  expect((await accept(book, run)).ran?.story).toEqual(['fails failed']);
  expect((await resume(book, run)).ran?.story).toEqual(['fails failed']);
  edit(book, 'sizes.yml', 'count: 2', 'count: 1');
  expect((await resume(book, run)).told).toContain('variable count on a: 2 → 1');
  edit(book, 'sizes.yml', 'count: 1', 'count: 3');
  writeFileSync(join(book.dir, 'a/mended'), '');
  expect((await accept(book, run)).ran?.code).toBe(0);
  expect(marks(book, 'count')).toEqual(['3']);
});

test('a host may join; one that steps have been on may not leave', async () => {
  const book = wide();
  const { run } = await book.go();
  writeFileSync(book.inventory, INVENTORY(book.dir, `, b: { vars: { dir: '${book.dir}/b' } }`));
  writeFileSync(join(book.dir, 'a/mended'), '');
  const joined = await resume(book, run);
  expect(joined.told).toContain('hosts: ["a"] → ["a","b"]');
  writeFileSync(book.inventory, INVENTORY(book.dir).replace('{ a:', '{ c:'));
  const { refused } = await accept(book, run);
  expect(refused).toContain(
    'step `uses size` (all/uses-size) has been on a, and would not run there any more',
  );
});

test('a copy that was kept for an acceptance the journal has not heard of counts for nothing', async () => {
  const book = wide();
  const { run } = await book.go();
  const store = frozenStore(book.state, run);
  const first = store.open(1);
  if (!first) throw new Error('no copy');
  await store.keep(2, { ...first, steps: 'never heard of' });
  expect((await resume(book, run)).ran?.story).toEqual(['fails failed']);
  edit(book, 'sizes.yml', 'count: 1', 'count: 2');
  writeFileSync(join(book.dir, 'a/mended'), '');
  expect((await accept(book, run)).ran?.code).toBe(0);
  expect(store.open(2)?.steps).toBe(first.steps);
});

test('without the copy, or with one that was changed, nothing goes on', async () => {
  const book = project(TASKS);
  const { run } = await book.go();
  const path = join(book.state, 'runs', run, 'frozen-1');
  const bytes = readFileSync(path);
  writeFileSync(path, Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1) === 0 ? 1 : 0])]));
  expect((await resume(book, run)).refused).toContain('was changed');
  rmSync(path);
  expect((await resume(book, run)).refused).toBe(`the files that run ${run} began with are missing`);
});

test('what a role, a tag or an undo makes of a step is part of what it does', async () => {
  const book = project(`
tasks:
  - { name: tagged, command: 'true', tags: [extra] }
  - { name: one, shell: '${mark('one')}', undo: { shell: '${mark('undone')}' } }
  - { name: two, shell: 'test -e {{dir}}/mended', tags: [late] }
  - { name: three, command: 'true', tags: [extra] }
`);
  const wishes = { selection: { skipTags: ['extra'] } };
  const { run } = await book.go(wishes);
  const written = readFileSync(book.playbook, 'utf8');
  edit(book, 'book.yml', ', tags: [extra]', '');
  expect((await accept(book, run, wishes)).refused).toBe(
    'step `tagged` (all/tagged) stands before `one`, which has finished on a',
  );
  writeFileSync(book.playbook, written.replace(mark('undone'), mark('otherwise')));
  expect((await accept(book, run, wishes)).refused).toContain('would have to be another: `undo: shell`');
});

test('a renamed step keeps its undo', async () => {
  const book = project(`
tasks:
  - { name: one, shell: '${mark('one')}', undo: { shell: '${mark('undone')}' } }
  - { name: two, shell: '${mark('two')}' }
`);
  await book.die(8);
  const [run = ''] = runIds(book.state);
  edit(book, 'book.yml', 'name: one', 'name: the first');
  expect((await resume(book, run)).ran?.code).toBe(0);
  expect([marks(book, 'one'), marks(book, 'two'), marks(book, 'undone')]).toEqual([['a'], ['a'], ['a']]);
});

test('hosts, clusters, plays and invariants are told beside the steps', async () => {
  const tasks = `tasks: [{ name: fails, shell: 'test -e {{dir}}/mended' }]`;
  const book = project(
    `
name: Test
vars: { most: 5 }
invariants: [{ name: small, that: '1 < most' }]
plays:
  - { hosts: all, ${tasks} }
`,
    { hosts: ['a', 'b'] },
  );
  const { run } = await book.go();
  edit(book, 'book.yml', 'most: 5', 'most: 6');
  edit(book, 'book.yml', 'hosts: all', 'hosts: a, serial: 1');
  edit(book, 'inventory.yml', 'hosts:', 'groups: { pair: { hosts: [a, b] } }\nhosts:');
  edit(book, 'inventory.yml', 'b: {', 'b: { become: { password: hunter22-of-b },');
  const { told } = await resume(book, run);
  expect(told.split('\n').map((line) => line.trim())).toEqual([
    'edited since the run began:',
    'hosts of play 1: "all" → "a"',
    'serial of play 1: nothing → 1',
    'invariants: variable most: 5 → 6',
    'become of b: changed (not shown)',
    'group pair: nothing → ["a","b"]',
    '',
  ]);
});

test('a long text is shown where it differs, and no part of a secret with it', async () => {
  const secret = `begin-${'s3cret'.repeat(8)}-end`;
  const book = project(`
name: Test
vars: { password: !secret ${secret} }
plays:
  - hosts: all
    tasks:
      - { name: stops, command: 'false' }
      - { name: long, shell: 'echo ${'x'.repeat(80)} ${secret} one' }
      - { name: hides, shell: 'echo early', no_log: true }
      - name: asks
        dialogue: { cmd: cat, responses: [{ prompt: a, answer: early-answer, secret: true }] }
      - { name: logs in, mysql.execute: { statement: SELECT 1, login: { password: early-password } } }
`);
  const { run } = await book.go();
  edit(book, 'book.yml', `${secret} one`, `${secret} two`);
  edit(book, 'book.yml', 'echo early', 'echo late');
  edit(book, 'book.yml', 'early-answer', 'late-answer');
  edit(book, 'book.yml', 'early-password', 'late-password');
  const { told } = await resume(book, run);
  expect(told).toContain('‹secret› one"');
  expect(told).toContain('‹secret› two"');
  expect(told).not.toContain('cret'.repeat(2));
  expect(told).toContain('    shell: changed (not shown)\n');
  expect(told).toContain('dialogue.responses: ');
  expect(told).toContain('mysql.execute.login: ');
  expect(told).not.toMatch(/-answer|-password/);
});

test('a plan that comes out otherwise, from the same files, is not gone on with', async () => {
  const book = project(TASKS);
  const { run } = await book.go();
  const store = frozenStore(book.state, run);
  const frozen = store.open(1);
  if (!frozen) throw new Error('no copy');
  await store.keep(1, { ...frozen, steps: 'of another version' });
  expect((await resume(book, run)).refused).toContain('this version of drillbook makes another plan');
  edit(book, 'book.yml', 'name: one', 'name: the first');
  expect((await resume(book, run)).refused).toContain('this version of drillbook makes another plan');
});
