import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { blockSchema, playSchema, playbookSchema, taskSchema } from '../../engine/parse/playbook-schema.ts';
import { ansibleHint } from '../../engine/parse/ansible.ts';
import { moduleNames } from '../../engine/modules/registry.ts';
import { ensurePackages } from '../_apt.ts';
import { PAIRS } from './pairs.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/ansible.md'), 'utf8');
const [before = '', differences = ''] = page.split('## What differs');
const [, keywords = ''] = before.split('## Keywords');

/** Words in backquotes in a column of a table; `with_items` stands for all of its kind. */
const wordsIn = (text: string, column: number): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split(/(?<!\\)\|/)[column] ?? '').matchAll(/`([\w.]+)[^`]*`/g)])
    .map(([, word = '']) => word);

test('every wanted difference has its reason in docs/ansible.md, and every one told there its pair', () => {
  const told = wordsIn(differences, 1).length;
  const keys = [...differences.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, key]) => key);
  expect(keys).toHaveLength(told);
  const shown = new Set(PAIRS.flatMap(({ differs }) => (differs ? [differs.key] : [])));
  expect([...shown].toSorted()).toEqual(keys.toSorted());
});

test('there are sixty pairs and more, each with a name of its own', () => {
  expect(new Set(PAIRS.map(({ name }) => name.replace(/\W+/g, '-'))).size).toBe(PAIRS.length);
  expect(PAIRS.length).toBeGreaterThanOrEqual(60);
});

const OURS = new Set(
  [playbookSchema, playSchema, blockSchema, taskSchema]
    .flatMap(({ shape }) => Object.keys(shape))
    .concat('block', 'rescue', 'always', 'include', 'flush'),
);

test('every keyword of Ansible is in the table; what is not ours has a hint where it is written', async () => {
  await ensurePackages(['ansible-core']);
  const home = mkdtempSync(join(tmpdir(), 'drillbook-ansible-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  const list = execFileSync('/usr/bin/ansible-doc', ['-t', 'keyword', '-l', '-j'], {
    env: { ...process.env, HOME: home, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  // Ansible's own list has two that it took out long ago, and one as a pattern.
  const theirs = Object.keys(JSON.parse(list.toString()) as object)
    .filter((word) => !word.startsWith('accelerate'))
    .map((word) => (word === 'with_' ? 'with_items' : word));
  expect(theirs.length).toBeGreaterThan(50);
  const table = wordsIn(keywords, 1);
  expect(theirs.filter((word) => !table.includes(word))).toEqual([]);
  const mute = theirs.filter((word) => !OURS.has(word) && ansibleHint(word) === undefined);
  expect(mute).toEqual([]);
});

test('of the words in the table those told to be the same are ours, and the others are not', () => {
  const rows =
    keywords
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| `')) ?? [];
  for (const row of rows) {
    const isSame = row.split(/(?<!\\)\|/)[2]?.trim() === 'same';
    for (const word of wordsIn(row, 1)) {
      if (word === 'meta') continue;
      expect(`${word} ${OURS.has(word)}`).toBe(`${word} ${isSame}`);
    }
  }
});

test('the modules told of are there, and Ansible’s other ones have a hint', () => {
  const [, modules = ''] = before.split('## Modules');
  const rows =
    modules
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| `')) ?? [];
  for (const row of rows) {
    const isSame = row.split('|')[2]?.trim() === 'same';
    for (const word of wordsIn(row, 1)) {
      if (isSame) expect(moduleNames()).toContain(word);
      else expect(`${word}: ${ansibleHint(word)}`).toMatch(/: .*`\w/);
    }
  }
});
