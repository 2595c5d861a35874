import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { ensurePackages } from '../_apt.ts';
import { folder } from '../secrets/_tools.ts';
import { drillbook, start } from './_drillbook.ts';
import type { Said } from './_drillbook.ts';

beforeAll(() => ensurePackages(['ansible-core', 'age']));

const TEXT = 'password: hunter-22222\nlist: [a, b]\n';

/** A folder with an age identity, and a file that is encrypted for it. */
async function project() {
  const { path, write, run } = folder();
  const at = (name: string): string => join(path, name);
  const secrets = (args: readonly string[], env: Record<string, string> = {}): Promise<Said> =>
    drillbook(['secrets', ...args], { env: { DRILLBOOK_IDENTITY: at('id'), ...env } });
  const made = await secrets(['keygen', at('id')]);
  const recipient = made.stdout.trim();
  write('vars.yml', TEXT);
  chmodSync(at('vars.yml'), 0o640);
  expect((await secrets(['encrypt', at('vars.yml')])).code).toBe(0);
  return { path, at, write, run, secrets, recipient };
}

test('keygen makes an identity that age knows, for its owner alone, and never over another', async () => {
  const { at, run, secrets, recipient } = await project();
  expect(run('age-keygen', ['-y', at('id')]).trim()).toBe(recipient);
  expect(statSync(at('id')).mode & 0o777).toBe(0o600);
  const before = readFileSync(at('id'), 'utf8');
  const again = await secrets(['keygen', at('id')]);
  expect([again.code, readFileSync(at('id'), 'utf8')]).toEqual([2, before]);
});

test('encrypt, view, decrypt: mode and links stay, and nothing plain does', async () => {
  const { path, at, run, secrets } = await project();
  expect(readFileSync(at('vars.yml'), 'utf8')).toMatch(/^-----BEGIN AGE/);
  expect(statSync(at('vars.yml')).mode & 0o777).toBe(0o640);
  expect(run('age', ['-d', '-i', 'id', 'vars.yml'])).toBe(TEXT);
  expect((await secrets(['view', at('vars.yml')])).stdout).toBe(TEXT);
  const twice = await secrets(['encrypt', at('vars.yml')]);
  expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining('is encrypted already')]);
  symlinkSync('vars.yml', at('link.yml'));
  expect((await secrets(['decrypt', '--in-place', at('link.yml')])).code).toBe(0);
  expect(readFileSync(at('vars.yml'), 'utf8')).toBe(TEXT);
  expect(statSync(at('vars.yml')).mode & 0o777).toBe(0o600);
  expect(readdirSync(path).sort()).toEqual(['id', 'link.yml', 'vars.yml']);
});

test('edit shows the text in memory alone, writes what was changed, and leaves an unchanged file as it is', async () => {
  const { at, write, secrets } = await project();
  const editor = write(
    'editor',
    '#!/bin/sh\nstat -f -c %T "$1"; stat -c %a "$1" "${1%/*}"; echo "$1"\nsed -i "$HOW" "$1"\n',
    0o700,
  );
  const before = readFileSync(at('vars.yml'));
  const none = await secrets(['edit', at('vars.yml')], { EDITOR: editor, HOW: '' });
  expect([none.code, none.stderr]).toEqual([0, expect.stringContaining('is as it was')]);
  expect(readFileSync(at('vars.yml')).equals(before)).toBe(true);
  const said = await secrets(['edit', at('vars.yml')], {
    VISUAL: editor,
    HOW: 's/hunter-22222/other-33333/',
  });
  const [type, file, dir, where = ''] = said.stdout.split('\n');
  expect([said.code, type, file, dir]).toEqual([0, 'tmpfs', '600', '700']);
  expect(existsSync(where)).toBe(false);
  expect((await secrets(['view', at('vars.yml')])).stdout).toBe(TEXT.replace('hunter-22222', 'other-33333'));
  expect(statSync(at('vars.yml')).mode & 0o777).toBe(0o640);
  const failed = await secrets(['edit', at('vars.yml')], { EDITOR: 'false' });
  expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining('nothing was changed')]);
  const broken = await secrets(['edit', at('vars.yml')], {
    EDITOR: editor,
    HOW: 's/^list:.*/  x: [hunter-4/',
  });
  expect([broken.code, broken.stderr]).toEqual([0, expect.stringContaining('is not usable as YAML')]);
  expect(broken.stderr).not.toContain('hunter-4');
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s in mid-edit leaves no text behind',
  async (signal) => {
    const { at, write } = await project();
    const before = readFileSync(at('vars.yml'));
    const editor = write('editor', '#!/bin/sh\necho "$1"\nexec sleep 60\n', 0o700);
    let where = '';
    const env = { DRILLBOOK_IDENTITY: at('id'), EDITOR: editor };
    const run = start(['secrets', 'edit', at('vars.yml')], {
      env,
      onLine: (line) => {
        where = line;
        run.kill(signal);
      },
    });
    const said = await run.ended;
    expect(said.code).not.toBe(0);
    expect([where.startsWith('/'), existsSync(where), existsSync(dirname(where))]).toEqual([
      true,
      false,
      false,
    ]);
    expect(readFileSync(at('vars.yml')).equals(before)).toBe(true);
  },
);

test('a text that a killed process could not take away is gone with the next edit', async () => {
  const { at, write, secrets } = await project();
  const editor = write('editor', '#!/bin/sh\necho "$1"\nexec sleep 3\n', 0o700);
  let where = '';
  const run = start(['secrets', 'edit', at('vars.yml')], {
    env: { DRILLBOOK_IDENTITY: at('id'), EDITOR: editor },
    onLine: (line) => {
      where = line;
      run.kill('SIGKILL');
    },
  });
  await run.ended;
  expect(existsSync(where)).toBe(true);
  await secrets(['edit', at('vars.yml')], { EDITOR: 'true' });
  expect(existsSync(where)).toBe(false);
});

test('rekey: for others, from one program’s format to the other’s, single values too; who is not meant any more is shut out', async () => {
  const { at, write, run, secrets } = await project();
  const other = (await secrets(['keygen', at('other')])).stdout.trim();
  const recipients = write('recipients', `# the team\n${other}\n`);
  expect((await secrets(['rekey', at('vars.yml'), '-R', recipients])).code).toBe(0);
  const shut = await secrets(['view', at('vars.yml')]);
  expect([shut.code, shut.stdout, shut.stderr]).toEqual([
    2,
    '',
    expect.stringContaining('none of the identities given opens this'),
  ]);
  expect((await secrets(['view', at('vars.yml'), '--identity', at('other')])).stdout).toBe(TEXT);

  write('pw', 'correct horse\n');
  write('vault.yml', TEXT);
  run('ansible-vault', ['encrypt', '--vault-password-file', 'pw', 'vault.yml']);
  const single = run('ansible-vault', [
    'encrypt_string',
    '--vault-id',
    'dev@pw',
    'päss "1"',
    '--name',
    'deep',
  ]);
  write('single.yml', `# a comment\nmap:\n${single.replace(/^/gm, '  ')}\nafter: 1\n`);
  const vault = ['--vault-password-file', at('pw')];
  expect((await secrets(['rekey', at('vault.yml'), at('single.yml'), ...vault, '-r', other])).code).toBe(0);
  const text = readFileSync(at('single.yml'), 'utf8');
  expect(text).toMatch(/^# a comment\nmap:\n {2}deep: !age \|\n +-----BEGIN AGE/);
  expect(text).toContain('\nafter: 1\n');
  const plain = await secrets(['view', at('single.yml'), '--identity', at('other')]);
  expect(plain.stdout).toContain('deep: !secret "päss \\"1\\""');
  expect((await secrets(['view', at('vault.yml'), '--identity', at('other')])).stdout).toBe(TEXT);
});

test('rekey of several files writes none when one of them does not open', async () => {
  const { at, write, secrets, recipient } = await project();
  const before = readFileSync(at('vars.yml'));
  write('vault.yml', '$ANSIBLE_VAULT;1.1;AES256\n00');
  const said = await secrets(['rekey', at('vars.yml'), at('vault.yml'), '-r', recipient]);
  expect([said.code, said.stderr]).toEqual([
    2,
    expect.stringMatching(/vault\.yml:1:1: error: not usable as an Ansible Vault/),
  ]);
  expect(readFileSync(at('vars.yml')).equals(before)).toBe(true);
});

test('an edited vault is a vault that ansible-vault reads, with its label', async () => {
  const { at, write, run, secrets } = await project();
  write('pw', 'correct horse\n');
  write('vault.yml', TEXT);
  run('ansible-vault', ['encrypt', '--vault-id', 'prod@pw', 'vault.yml']);
  const keys = ['--vault-id', `prod@${at('pw')}`];
  expect((await secrets(['edit', at('vault.yml'), ...keys], { EDITOR: 'sed -i s/22222/3/' })).code).toBe(0);
  expect(readFileSync(at('vault.yml'), 'utf8')).toMatch(/^\$ANSIBLE_VAULT;1\.2;AES256;prod\n/);
  expect(run('ansible-vault', ['view', ...keys, 'vault.yml'])).toBe(TEXT.replace('22222', '3'));
});

test('a value from standard input is written to be pasted', async () => {
  const { at, write, run } = await project();
  const line = run('sh', [
    '-c',
    `printf 'päss: "1"' | ${process.execPath} ${join(import.meta.dirname, '../../engine/cli/drillbook.js')} secrets encrypt --name db_password --identity id`,
  ]);
  expect(line).toMatch(/^db_password: !age \|\n {2}-----BEGIN/);
  const file = write('x.yml', line);
  const said = await drillbook(['secrets', 'view', file, '--identity', at('id')]);
  expect(said.stdout).toBe('db_password: !secret "päss: \\"1\\""\n');
});

test('killed while it writes, again and again, the file is the old one or the new one, never plain nor in part', async () => {
  const { path, at, secrets, recipient } = await project();
  const isFine = (bytes: Buffer): boolean =>
    /^-----BEGIN AGE[^]*END AGE ENCRYPTED FILE-----\n$/.test(bytes.toString());
  for (let i = 0; i < 6; i++) {
    const child = spawn(
      process.execPath,
      [
        join(import.meta.dirname, '../../engine/cli/drillbook.js'),
        'secrets',
        'rekey',
        at('vars.yml'),
        '-r',
        recipient,
      ],
      {
        env: { ...process.env, DRILLBOOK_IDENTITY: at('id') },
        stdio: 'ignore',
      },
    );
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const before = readFileSync(at('vars.yml'));
    // From the moment a draft of it shows, or at the end.
    const isDraft = (): boolean => readdirSync(path).some((name) => name.startsWith('.vars.yml'));
    while (child.exitCode === null && !isDraft() && readFileSync(at('vars.yml')).equals(before))
      await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    await ended;
    for (const name of readdirSync(path).filter((one) => one.includes('vars.yml'))) {
      const bytes = readFileSync(at(name));
      expect([name, bytes.includes('hunter'), name.startsWith('.') || isFine(bytes)]).toEqual([
        name,
        false,
        true,
      ]);
    }
    expect((await secrets(['view', at('vars.yml')])).stdout).toBe(TEXT);
  }
}, 120_000);

test.each([
  [['vieew', 'x'], 'secrets has no verb `vieew`'],
  [['view'], 'which file?'],
  [['view', '/nonexistent'], 'does not exist'],
  [['view', '/etc/hostname'], 'nothing in /etc/hostname is encrypted'],
  [['encrypt', '/etc/hostname', '-r', 'AGE-SECRET-KEY-1XYZ'], 'that is the secret half'],
  [['encrypt', '/etc/hostname', '-r', 'age1xyz'], 'a recipient cannot be used'],
  [['encrypt', '/etc/hostname'], 'encrypted for whom?'],
])('what cannot be is told in one error, exit code 2: %j', async (args, message) => {
  const said = await drillbook(['secrets', ...args]);
  expect([said.code, said.stdout]).toEqual([2, '']);
  expect(said.stderr).toContain(message);
  expect(said.stderr).not.toContain('XYZ');
});
