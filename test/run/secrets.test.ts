import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { drillbook } from '../cli/_drillbook.ts';
import { project } from './_engine.ts';

const CANARIES = [
  'canary-inventory-1',
  'canary-input-2',
  'canary-nolog-3',
  'canary-extra-4',
  'canary-file-5',
];

function* filesUnder(dir: string): Generator<string> {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) yield* filesUnder(path);
    else yield path;
  }
}

test.each(['plain', 'jsonl'])('no secret in what a run says or keeps (--output %s)', async (output) => {
  const book = project(
    `
name: Secrets
inputs: { token: { type: secret } }
vars_files: [secret.yml]
plays:
  - hosts: all
    tasks:
      - { name: 'say {{password}}', shell: 'echo {{sh password}} {{sh inputs.token}} {{sh filed}}; echo {{sh password}} >&2; exit 1', register: out, ignore_errors: true }
      - { name: again, command: 'echo {{out.stdout}}', retries: 1, delay: 1ms, failed_when: true, ignore_errors: true }
      - { name: hidden, shell: 'echo canary-nolog-3; echo canary-nolog-3 >&2; exit 1', no_log: true, ignore_errors: true, register: it }
      - { name: hidden loop, shell: 'echo {{item}}; false', loop: [canary-nolog-3], no_log: true, retries: 1, delay: 1ms, ignore_errors: true }
      - { name: file, copy: { dest: '{{dir}}/x', content: 'p={{password}}' } }
      - { name: extra, command: 'echo {{override}}', label: '{{password}}', loop: ['{{password}}'] }
      - { name: set, set: { kept: '{{password}}' } }
`,
    {
      files: {
        'secret.yml': 'filed: !secret canary-file-5\n',
        'extra.yml': 'override: !secret canary-extra-4\ntoken: canary-input-2\n',
      },
    },
  );
  const inventory = readFileSync(book.inventory, 'utf8').replace(
    'vars: {',
    'vars: { override: plain, password: !secret canary-inventory-1,',
  );
  book.write('inventory.yml', inventory);
  const said = await drillbook([
    ...[
      'run',
      book.playbook,
      '-i',
      book.inventory,
      '--state',
      book.state,
      '--output',
      output,
      '--diff',
      '-v',
    ],
    ...['-e', `@${book.dir}/extra.yml`],
  ]);
  expect(said.code).toBe(0);
  const shown = await drillbook(['show', '--state', book.state, '--output', output, '--diff', '-v']);
  const kept = [...filesUnder(book.state)];
  expect(kept.some((file) => file.includes('journal.sqlite'))).toBe(true);
  for (const canary of CANARIES) {
    // The task's own name and text are the operator's to keep clean: `hidden` has its canary in the playbook only.
    expect(said.stdout + said.stderr + shown.stdout).not.toContain(canary);
    for (const file of kept) expect([file, readFileSync(file).includes(canary)]).toEqual([file, false]);
  }
  for (const file of kept) expect(statSync(join(file, '..')).mode & 0o077).toBe(0);

  const again = await drillbook(['resume', '--state', book.state]);
  expect(again.code).toBe(2); // Done already.
});

test('a secret given with -e is kept sealed: a resume needs nothing given again, and may be given it', async () => {
  const book = project(
    `
name: Secrets
plays: [{ hosts: all, tasks: [{ name: fails, shell: 'test {{sh override}} = canary-extra-4 && test -e {{dir}}/mended' }] }]
`,
    { files: { 'extra.yml': 'override: !secret canary-extra-4\n' } },
  );
  book.write(
    'inventory.yml',
    readFileSync(book.inventory, 'utf8').replace('vars: {', 'vars: { override: plain,'),
  );
  const state = ['--state', book.state];
  const extra = ['-e', `@${book.dir}/extra.yml`];
  expect((await drillbook(['run', book.playbook, '-i', book.inventory, ...state, ...extra])).code).toBe(1);
  expect((await drillbook(['resume', ...state, ...extra])).code).toBe(1);
  book.write('a/mended', '');
  expect((await drillbook(['resume', ...state])).code).toBe(0);
});
