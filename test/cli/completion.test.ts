import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { command } from '../../engine/cli/_command.ts';
import { usageOf } from '../../engine/cli/_complete.ts';
import { ensurePackages } from '../_apt.ts';
import { desk } from './_shells.ts';

const BOOK = `
name: Book
inputs:
  version: { type: string, description: Release }
  size: { type: string, choices: [small, large] }
confirm: Makes it {{inputs.size}}.
vars: { words: one }
plays:
  - name: First play
    hosts: all
    tasks:
      - { name: Look around, command: 'true', tags: [looks] }
      - block: [{ name: Make it so, command: 'true', tags: [makes, looks] }]
        tags: outer
`;
const INVENTORY = `
connection: { transport: local }
vars: { word: one }
hosts: { node-a: {}, node-b: {} }
groups: { nodes: { hosts: [node-a] } }
`;
const RUNS = ['20260101-000000-aaaaa', '20260102-000000-bbbbb'];

const here = desk({ 'book.yml': BOOK, 'hosts.yml': INVENTORY, 'notes.txt': '', 'sub/more.yml': '' }, RUNS);
afterAll(() => rmSync(here.dir, { recursive: true, force: true }));
beforeAll(() => ensurePackages(['bash', 'zsh', 'fish']));

const ON = 'drillbook run book.yml -i hosts.yml';

/** What is typed, and what must be offered for it. */
const LINES: readonly (readonly [string, readonly string[]])[] = [
  ['drillbook mod', ['modules']],
  ['drillbook run --ch', ['--check']],
  ['drillbook plan --output js', ['json', 'jsonl']],
  [`${ON} --limit node`, ['node-a', 'node-b', 'nodes']],
  [`${ON} --tags o`, ['outer']],
  [`${ON} --start-at first-play/m`, ['first-play/make-it-so']],
  [`${ON} -e si`, ['size=']],
  ['drillbook report --format h', ['html']],
  ['drillbook show 2026', RUNS],
];

const FOLDER = 'drillbook run ';

test.each(['bash', 'zsh', 'fish'] as const)('%s offers them, and playbooks where one is wanted', (shell) => {
  const [names = [], ...offered] = here.offered(shell, [FOLDER, ...LINES.map(([line]) => line)]);
  expect(offered).toEqual(LINES.map(([, wanted]) => wanted));
  const files = names.map((name) => name.replace(/\/$/, '')).filter((name) => !name.startsWith('-'));
  expect(files).toEqual(['book.yml', 'hosts.yml', 'sub']);
});

/** What the program answers the shells, without one. */
function answered(...words: readonly string[]): readonly string[] {
  const args = [
    'engine/cli/drillbook.js',
    'completion',
    'bash',
    '--state',
    `${here.dir}/state`,
    '--',
    ...words,
  ];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t')[0] ?? '');
}
const work = `${here.dir}/work`;

test('a list is completed behind its last comma, a value behind its name', () => {
  const on = ['run', `${work}/book.yml`, '-i', `${work}/hosts.yml`];
  expect(answered(...on, '--limit', 'node-a,!node-b')).toEqual(['node-a,!node-b']);
  expect(answered(...on, '--tags=looks,o')).toEqual(['--tags=looks,outer']);
  expect(answered(...on, '-e', 'size=')).toEqual(['size=small', 'size=large']);
  expect(answered('explain-var', '-i', `${work}/hosts.yml`, 'w')).toEqual(['word']);
  expect(answered('resume', '--on-interrupt', '')).toEqual(['rerun', 'skip', 'fail']);
});

test('an option that was given is not offered again, one that may be given often is', () => {
  const offered = answered('run', '--check', '-e', 'a=b', '--');
  expect(offered).not.toContain('--check');
  expect(offered).toContain('--extra');
});

test('what is broken or not there offers nothing, and says nothing', () => {
  expect(answered('run', `${work}/notes.txt`, '-i', '/nowhere.yml', '--limit', '')).toEqual([]);
  expect(answered('run', `${work}/notes.txt`, '-i', `${work}/hosts.yml`, '--start-at', '')).toEqual([]);
  expect(answered('nonsense', '')).toEqual([]);
});

test('the usage line tells what positions and options take', () => {
  const run = (): Promise<number> => Promise.resolve(0);
  const options = {
    format: { type: 'string' },
    out: { type: 'string', short: 'o' },
    all: { type: 'boolean' },
  } as const;
  const usage = '[RUN] --format html|json [-o FILE | --all] [PATH…]';
  const read = usageOf(command({ summary: '', usage, options, help: {}, run }));
  expect(read.positions).toEqual(['RUN', 'PATH…']);
  expect(Object.fromEntries(read.options)).toEqual({ format: 'html|json', out: 'FILE' });
});

test('a shell that is not known is told which are', () => {
  const { stderr, status } = spawnSync(process.execPath, ['engine/cli/drillbook.js', 'completion', 'bsh'], {
    encoding: 'utf8',
  });
  expect(stderr).toContain('did you mean `bash`?');
  expect(status).toBe(2);
});
