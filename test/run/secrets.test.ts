import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { drillbook, start } from '../cli/_drillbook.ts';
import { project } from './_engine.ts';

const CANARIES = [
  'canary-inventory-1',
  'canary-input-2',
  'canary-nolog-3',
  'canary-extra-4',
  'canary-file-5',
];

/** The ways in which a program may write a text down. */
const formsOf = (text: string): string[] => [
  text,
  JSON.stringify(text).slice(1, -1),
  Buffer.from(text).toString('hex'),
  // As base64 at any distance from where the encoding began, without the ends that depend on what is around.
  ...[0, 1, 2].map((shift) =>
    Buffer.from('x'.repeat(shift) + text)
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4),
  ),
];

function expectNoneKept(dir: string, secrets: readonly string[]): void {
  for (const file of filesUnder(dir)) {
    const bytes = readFileSync(file);
    for (const secret of secrets)
      for (const form of formsOf(secret))
        expect([file, form, bytes.includes(form)]).toEqual([file, form, false]);
  }
}

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
  }
  expectNoneKept(book.state, CANARIES);
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

const WITHHELD = `
name: Withheld
inputs: { token: { type: secret } }
plays:
  - hosts: all
    tasks:
      - { name: hidden, shell: 'echo canary-nolog-3; echo more >&2', no_log: true, register: hid }
      - { name: hidden look, shell: 'echo canary-nolog-3', changed_when: false, no_log: true, register: looked }
      - { name: masked, shell: 'printf "%s\\n" {{sh password}} a{{sh inputs.token}}b', register: masked }
      - { name: hidden fails, shell: 'echo canary-nolog-3; exit 3', no_log: true, ignore_errors: true, register: bad }
      - { name: items, shell: 'echo {{sh item}}', loop: ['{{password}}', open], register: items }
      - { name: hidden items, shell: 'echo {{item}}', loop: [canary-nolog-3, x], no_log: true, register: hids }
      - { name: kept, set: { mine: 'a{{password}}b' } }
      - { name: kept too, set: { other: '{{hid.stdout}}' }, no_log: true }
      - { name: stop, shell: 'until [ -e {{dir}}/mended ]; do sleep 0.1; done' }
      - { name: say, shell: 'echo {{sh mine}} {{sh inputs.token}}', register: said }
      - name: tell
        no_log: true
        copy: { dest: '{{dir}}/told', content: '{{json hid}}{{json looked}}{{json masked}}{{json bad}}{{json items}}{{json hids}}{{mine}}{{other}}{{json said}}' }
`;

test('a killed run has all that it registered again, no_log too, and no secret in any file it leaves', async () => {
  const told: string[] = [];
  for (const isKilled of [false, true]) {
    const book = project(WITHHELD, { files: { 'extra.yml': 'token: canary-input-2\n' } });
    const inventory = readFileSync(book.inventory, 'utf8');
    book.write(
      'inventory.yml',
      inventory.replace('vars: {', 'vars: { password: !secret canary-inventory-1,'),
    );
    const state = ['--state', book.state, '--output', 'jsonl'];
    const args = ['run', book.playbook, '-i', book.inventory, ...state, '-e', `@${book.dir}/extra.yml`];
    if (!isKilled) book.write('a/mended', '');
    const run = start(args, {
      onLine: (line) => {
        if (isKilled && line.includes('"step_started"') && line.includes('"stop"')) run.kill('SIGKILL');
      },
    });
    let said = await run.ended;
    let output = said.stdout;
    expectNoneKept(book.state, CANARIES);
    if (isKilled) {
      expect(said.signal).toBe('SIGKILL');
      expect([...filesUnder(book.state)].some((file) => file.endsWith('-wal'))).toBe(true);
      book.write('a/mended', '');
      said = await drillbook(['resume', ...state]);
      output += said.stdout;
      expectNoneKept(book.state, CANARIES);
    }
    expect([said.code, said.stderr]).toEqual([0, '']);
    for (const canary of CANARIES) expect(output).not.toContain(canary);
    told.push(readFileSync(`${book.dir}/a/told`, 'utf8'));
  }
  expect(told[1]).toBe(told[0]);
  expect(told[0]).toContain('canary-nolog-3');
  expect(told[0]).toContain('acanary-inventory-1b');
});

test('without its key a run that has sealed something is not gone on with, and can be looked at', async () => {
  const book = project(`tasks: [{ name: one, shell: 'test -e {{dir}}/mended', no_log: true }]`);
  const state = ['--state', book.state];
  expect((await drillbook(['run', book.playbook, '-i', book.inventory, ...state])).code).toBe(1);
  book.write('a/mended', '');
  const key = join(book.state, 'key');
  renameSync(key, `${key}.away`);
  const lost = await drillbook(['resume', ...state]);
  expect([lost.code, lost.stdout, existsSync(key)]).toEqual([1, '', false]);
  expect(lost.stderr).toContain(`the key ${key} is missing`);
  expect((await drillbook(['show', ...state])).code).toBe(0);
  expect((await drillbook(['verify', ...state])).code).toBe(0);
  writeFileSync(key, 'x'.repeat(32), { mode: 0o600 });
  const other = await drillbook(['resume', ...state]);
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringContaining(`the key ${key} is not the one that`),
  ]);
  renameSync(`${key}.away`, key);
  expect((await drillbook(['resume', ...state])).code).toBe(0);
});

test('items of a loop that ended before the run was killed are there again, secrets and no_log too', async () => {
  const book = project(`
tasks:
  - name: items
    shell: 'echo {{index}} >> {{dir}}/ran; echo {{sh item}}; [ {{index}} -lt 2 ] || until [ -e {{dir}}/mended ]; do sleep 0.1; done'
    loop: ['{{password}}', canary-nolog-3, last]
    register: items
    no_log: true
  - { name: tell, copy: { dest: '{{dir}}/told', content: '{{#each items.results}}{{stdout}} {{/each}}' }, no_log: true }
`);
  const inventory = readFileSync(book.inventory, 'utf8');
  book.write('inventory.yml', inventory.replace('vars: {', 'vars: { password: !secret canary-inventory-1,'));
  const state = ['--state', book.state, '--output', 'jsonl'];
  let items = 0;
  const run = start(['run', book.playbook, '-i', book.inventory, ...state], {
    onLine: (line) => void (line.includes('"step_progress"') && ++items === 2 && run.kill('SIGKILL')),
  });
  await run.ended;
  expectNoneKept(book.state, CANARIES);
  book.write('a/mended', '');
  expect((await drillbook(['resume', ...state])).code).toBe(0);
  expect(readFileSync(`${book.dir}/a/told`, 'utf8')).toBe('canary-inventory-1 canary-nolog-3 last ');
  expect(readFileSync(`${book.dir}/a/ran`, 'utf8')).toBe('0\n1\n2\n');
});
