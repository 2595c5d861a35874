import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newIdentity, recipientOf, sealAge } from '../../engine/secrets/age.ts';
import { sealVault } from '../../engine/secrets/ansible-vault.ts';
import { inlineYaml } from '../../engine/secrets/inline.ts';
import { project } from '../run/_engine.ts';
import type { Project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';
import type { Said } from './_drillbook.ts';
import { onTerminal } from './_terminal.ts';

const MAIN = join(import.meta.dirname, '../../engine/cli/drillbook.js');

const BOOK = `
name: Encrypted
inputs: { token: { type: secret, default: nothing-much } }
vars_files: [vars.yml]
plays:
  - hosts: all
    tasks:
      - { name: one, shell: 'echo {{sh db.password}}' }
      - { name: stop, shell: 'test -e {{dir}}/mended && echo {{sh db.password}} > {{dir}}/told' }
`;
const VARS = 'db: { password: hunter-22222, user: dba }\nnobody_reads: 1\n';

interface Keys {
  readonly identity: string;
  readonly age: (text: string, isBinary?: boolean) => Promise<Buffer>;
}

async function keysIn(book: Project): Promise<Keys> {
  const identity = await newIdentity();
  const recipients = [await recipientOf(identity)];
  const file = book.write('id', `# a comment\n${identity}\n`);
  book.write('vault-password', 'correct horse\n');
  return {
    identity: file,
    age: (text, isBinary = false) => sealAge(Buffer.from(text), { recipients }, { isBinary }),
  };
}

const vault = (text: string, label?: string): Promise<string> =>
  sealVault(Buffer.from(text), 'correct horse', label);

const runOf =
  (book: Project) =>
  (
    verb: 'run' | 'plan' | 'resume' | 'lint',
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<Said> => {
    const on =
      verb === 'resume' ? [] : verb === 'lint' ? [book.playbook] : [book.playbook, '-i', book.inventory];
    const state = verb === 'lint' ? [] : ['--state', book.state];
    return drillbook([verb, ...on, ...state, ...args], { env });
  };

async function encrypted(): Promise<{ book: Project; keys: Keys; go: ReturnType<typeof runOf> }> {
  const book = project(BOOK, { files: { 'vars.yml': '' } });
  const keys = await keysIn(book);
  book.write('vars.yml', (await keys.age(VARS)).toString());
  return { book, keys, go: runOf(book) };
}

test.each([
  'age, armored',
  'age, binary',
  'vault 1.1',
  'vault 1.2',
  'single values',
  'the inventory',
  '-e @FILE',
])('it is read and masked: %s', async (kind) => {
  const { book, keys, go } = await encrypted();
  const { writeFileSync } = await import('node:fs');
  const put = (name: string, content: string | Buffer): void => writeFileSync(join(book.dir, name), content);
  const given = ['--identity', keys.identity, '--vault-password-file', join(book.dir, 'vault-password')];
  if (kind === 'age, binary') put('vars.yml', await keys.age(VARS, true));
  if (kind === 'vault 1.1') put('vars.yml', await vault(VARS));
  if (kind === 'vault 1.2') put('vars.yml', (await vault(VARS, 'prod')).replaceAll('\n', '\r\n'));
  if (kind === 'single values') {
    const own = inlineYaml('!age', (await keys.age('dba')).toString(), '    ');
    put(
      'vars.yml',
      `db:\n  password: ${inlineYaml('!vault', await vault('hunter-22222'), '    ')}  user: ${own}`,
    );
  }
  if (kind === 'the inventory') {
    put('vars.yml', '{}');
    const text = readFileSync(book.inventory, 'utf8').replace(
      'vars: {',
      'vars: { db: { password: hunter-22222 },',
    );
    put('inventory.yml', await vault(text));
  }
  if (kind === '-e @FILE') {
    put('vars.yml', 'db: { password: plain }\n');
    put('given.yml', await keys.age(VARS.split('\n')[0] ?? ''));
    given.push('-e', `@${book.dir}/given.yml`);
  }
  book.write('a/mended', '');
  const said = await go('run', [...given, '-v']);
  expect([said.stderr, said.code]).toEqual(['', 0]);
  expect(said.stdout).toContain('‹secret›');
  expect(said.stdout).not.toContain('hunter');
  expect(readFileSync(join(book.dir, 'a/told'), 'utf8')).toBe('hunter-22222\n');
});

test('inventories of Ansible and their folders of variables may be vaults; names of hosts and groups stay readable', async () => {
  const book = project(
    `plays: [{ hosts: web, tasks: [{ name: say, command: 'echo {{own}} {{of_group}} {{of_host}} {{of_list.[0].deep}} {{inventory_name}} {{host.name}}' }] }]`,
  );
  await keysIn(book);
  const ini =
    '[web]\nfrontend ansible_connection=local own="in ini 11"\n[web:vars]\nof_group=group word 22\ninventory_name=frontend\n';
  book.write('hosts.ini', await vault(ini));
  book.write('group_vars/web.yml', await vault('of_list: [{ deep: listed-33 }]\n'));
  book.write(
    'host_vars/frontend/secret.yml',
    `of_host: ${inlineYaml('!vault', await vault('hosted-44'), '  ')}`,
  );
  const keys = ['--vault-password-file', join(book.dir, 'vault-password')];
  const on = [book.playbook, '-i', join(book.dir, 'hosts.ini'), '--state', book.state];
  const said = await drillbook(['run', ...on, ...keys, '-v']);
  expect([said.stderr, said.code]).toEqual(['', 0]);
  expect(said.stdout).toContain('stdout: ‹secret› ‹secret› ‹secret› ‹secret› ');
  expect(said.stdout).not.toMatch(/ini 11|word 22|listed-33|hosted-44/);
  expect(said.stdout).toContain('frontend');
  book.write('hosts.ini', await vault(`${ini}[web\nx password=hunter-22222\n`));
  const broken = await drillbook(['run', ...on, ...keys]);
  expect([broken.code, broken.stderr]).toEqual([2, expect.stringContaining('hosts.ini:')]);
  expect(broken.stderr).not.toMatch(/hunter|word 22/);
});

test('the keys come from the environment too, and a password from a program', async () => {
  const { book, keys, go } = await encrypted();
  const { chmodSync } = await import('node:fs');
  expect((await go('plan', [], { DRILLBOOK_IDENTITY: keys.identity })).code).toBe(0);
  book.write('vars.yml', await vault(VARS, 'prod'));
  const password = join(book.dir, 'vault-password');
  expect((await go('plan', [], { ANSIBLE_VAULT_PASSWORD_FILE: password })).code).toBe(0);
  const client = book.write(
    'ask-client',
    '#!/bin/sh\n[ "$*" = "--vault-id prod" ] && echo "correct horse"\n',
  );
  chmodSync(client, 0o700);
  expect((await go('plan', ['--vault-id', `prod@${client}`])).code).toBe(0);
  const other = await go('plan', ['--vault-id', `dev@${client}`]);
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('a program, failed')]);
});

test.each([
  ['no key', [], 'this is encrypted for an identity, and none was given'],
  ['another key', ['--identity', 'OTHER'], 'none of the identities given opens this'],
  ['no identity', ['--identity', 'vars.yml'], 'none was given'],
  ['a file that is none', ['--identity', 'book.yml'], 'holds no age identity'],
  ['nothing there', ['--identity', 'nothing'], 'does not exist'],
])('%s: one error with its place, exit code 2, and no run', async (_name, args, message) => {
  const { book, go } = await encrypted();
  book.write('OTHER', await newIdentity());
  const [option = '', file = ''] = args;
  const said = await go('run', option === '' ? [] : [option, join(book.dir, file)]);
  expect([said.code, said.stdout]).toEqual([2, '']);
  expect(said.stderr).toContain(message);
  expect(said.stderr.match(/error:/g)).toHaveLength(1);
  expect(readdirSync(book.dir)).not.toContain('state');
});

test.each([
  [
    'damaged',
    (text: string) => text.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'),
    /vars\.yml:1:1: error: not usable as an age file/,
  ],
  ['cut off', (text: string) => text.slice(0, 200), /vars\.yml:1:1: error: not usable as an age file/],
])('a %s file is told with its place', async (_name, change, message) => {
  const { book, keys, go } = await encrypted();
  book.write('vars.yml', change(readFileSync(join(book.dir, 'vars.yml'), 'utf8')));
  const said = await go('run', ['--identity', keys.identity]);
  expect([said.code, said.stderr]).toEqual([2, expect.stringMatching(message)]);
});

test('what is wrong inside an encrypted file is told without a word of it', async () => {
  const { book, keys, go } = await encrypted();
  for (const text of [
    'db: [hunter-22222\nx: y: hunter-22222\n',
    '- hunter-22222\n',
    'db: { password: "{{hunter-22222" }\n',
  ]) {
    book.write('vars.yml', (await keys.age(text)).toString());
    const said = await go('run', ['--identity', keys.identity]);
    expect([said.code, said.stderr]).toEqual([2, expect.stringContaining('error: ')]);
    expect(said.stderr).not.toContain('hunter');
  }
});

test('a resume is given no key and asks for none, even where the file is encrypted anew by then', async () => {
  const { book, keys, go } = await encrypted();
  expect((await go('run', ['--identity', keys.identity])).code).toBe(1);
  for (const name of readdirSync(book.state, { recursive: true, encoding: 'utf8' }))
    if (name.includes('frozen')) expect(readFileSync(join(book.state, name)).includes('hunter')).toBe(false);
  const still = await go('resume', []);
  expect([still.code, still.stderr]).toEqual([1, '']);
  const file = await drillbook(['show', '--file', 'vars.yml', '--state', book.state]);
  expect(file.stdout).toMatch(/^-----BEGIN AGE/);

  book.write('vars.yml', (await keys.age(`${VARS}# another\n`)).toString());
  const locked = await go('resume', []);
  expect([locked.code, locked.stderr]).toEqual([2, expect.stringContaining('and none was given')]);
  const same = await go('resume', ['--identity', keys.identity]);
  expect([same.code, same.stderr]).toEqual([
    1,
    expect.stringContaining('no step does anything else: vars.yml'),
  ]);
  book.write('vars.yml', (await keys.age(VARS.replace('22222', '33333'))).toString());
  const other = await go('resume', ['--identity', keys.identity]);
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('`--accept-changes`')]);
  expect(other.stderr).not.toMatch(/22222|33333/);
  book.write('a/mended', '');
  expect((await go('resume', ['--as-begun'])).code).toBe(0);
  expect(readFileSync(join(book.dir, 'a/told'), 'utf8')).toBe('hunter-22222\n');
});

test('lint passes over what it has no key for, says so, and looks into it with one', async () => {
  const { book, keys, go } = await encrypted();
  const without = await go('lint', ['-i', book.inventory]);
  expect([without.code, without.stderr]).toEqual([0, expect.stringContaining('vars.yml:1:1')]);
  const nothing = 'plays: [{hosts: all, tasks: [{debug: "{{nothing_has_this_name}}"}]}]';
  const wrong = book.write('wrong.yml', `name: x\nvars_files: [vars.yml]\n${nothing}\n`);
  const said = await drillbook(['lint', wrong, '-i', book.inventory, '--identity', keys.identity]);
  expect([said.code, said.stderr]).toEqual([2, expect.stringContaining('nothing_has_this_name')]);
});

test('a secret typed with -e works, and is warned of; from a file or standard input it is not', async () => {
  const { book, keys, go } = await encrypted();
  book.write('a/mended', '');
  const key = ['--identity', keys.identity];
  const typed = await go('run', [...key, '-e', 'token=hunter-4444']);
  expect([typed.code, typed.stderr]).toEqual([0, expect.stringMatching(/^warning: `token`: .*process list/)]);
  expect(typed.stdout + typed.stderr).not.toContain('hunter-4444');
  const open = await go('plan', [...key, '-e', 'nobody_reads=2']);
  expect(open.stderr).toBe('');
  const command = `echo 'token: hunter-5555' | '${process.execPath}' '${MAIN}' run '${book.playbook}' -i '${book.inventory}' --state '${book.state}' --identity '${keys.identity}' -e @-`;
  const { execFileSync } = await import('node:child_process');
  expect(execFileSync('sh', ['-c', `${command} 2>&1`]).toString()).not.toMatch(/warning|hunter/);
});

test('a secret input that nobody can be asked for: the error says how to give it', async () => {
  const book = project(
    `name: x\ninputs: { token: { type: secret } }\nplays: [{ hosts: all, tasks: [{ debug: '{{inputs.token}}' }] }]`,
  );
  const said = await runOf(book)('run', []);
  expect([said.code, said.stderr]).toEqual([2, expect.stringContaining('-e @FILE')]);
  expect(said.stderr).not.toContain('-e token=');
});

test('on a terminal passwords are asked for once, without echo, and Ctrl-C there is an interruption', async () => {
  const book = project(
    `${BOOK.replace(', default: nothing-much', '').replace('[vars.yml]', '[vars.yml, more.yml]')}`,
    {
      files: { 'vars.yml': '', 'more.yml': '' },
    },
  );
  book.write('vars.yml', await vault(VARS));
  book.write('more.yml', await vault('more: 1\n'));
  book.write('a/mended', '');
  const args = ['run', book.playbook, '-i', book.inventory, '--state', book.state];
  const said = await onTerminal(args, [
    ['Vault password: ', 'correct horse\n'],
    ['[token]: ', 'hunter-7777\n'],
  ]);
  expect(said.screen.match(/Vault password/g)).toHaveLength(1);
  expect(said.screen).not.toMatch(/correct horse|hunter/);
  expect(said.code).toBe(0);
  const wrong = await onTerminal(args, [['Vault password: ', 'wrong horse\n']]);
  expect([wrong.code, wrong.screen]).toEqual([2, expect.stringContaining('the vault password is wrong')]);
  expect(wrong.screen).not.toContain('wrong horse');
  const stopped = await onTerminal(args, [['Vault password: ', '\x03']]);
  expect([stopped.code, stopped.screen]).toEqual([3, expect.stringContaining('interrupted')]);
  const atInput = await onTerminal([...args, '--vault-password-file', join(book.dir, 'pw')], []);
  expect(atInput.code).toBe(2);
});
