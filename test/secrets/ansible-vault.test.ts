import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { BrokenVault, openVault, readVault, sealVault } from '../../engine/secrets/ansible-vault.ts';
import { ensurePackages } from '../_apt.ts';
import { folder } from './_tools.ts';

beforeAll(() => ensurePackages(['ansible-core']));

const TEXTS = {
  'one word': 'x',
  'sixteen bytes, a whole block': '0123456789abcdef',
  'several lines, UTF-8': 'päss: "ключ 🔑"\nlist:\n  - a\n',
  'CRLF and no end of line': 'a: 1\r\nb: 2',
  large: `a: ${'0123456789'.repeat(60_000)}\n`,
};

const FILES = Object.values(TEXTS).map((text, i) => [`${i}.yml`, text] as const);
const NAMES = FILES.map(([name]) => name);

test.each([undefined, 'prod'])(
  'what ansible-vault has written is read (label %s)',
  async (label) => {
    const { path, run, write } = folder();
    write('pw', 'correct horse\n');
    for (const [name, text] of FILES) write(name, text);
    const by = label === undefined ? ['--vault-password-file', 'pw'] : ['--vault-id', `${label}@pw`];
    run('ansible-vault', ['encrypt', ...by, ...NAMES]);
    for (const [name, text] of FILES) {
      const vault = readVault(readFileSync(`${path}/${name}`, 'utf8'));
      expect(vault.label).toBe(label);
      expect((await openVault(vault, 'correct horse'))?.toString()).toBe(text);
      expect(await openVault(vault, 'correct horse ')).toBeUndefined();
    }
  },
  60_000,
);

test.each([undefined, 'prod'])(
  'what we write ansible-vault reads (label %s)',
  async (label) => {
    const { path, run, write } = folder();
    write('pw', 'correct horse\n');
    for (const [name, text] of FILES) write(name, await sealVault(Buffer.from(text), 'correct horse', label));
    run('ansible-vault', ['decrypt', '--vault-id', `${label ?? 'default'}@pw`, ...NAMES]);
    for (const [name, text] of FILES) expect(readFileSync(`${path}/${name}`, 'utf8')).toBe(text);
  },
  60_000,
);

test('a vault with other ends of line is the same vault', async () => {
  const text = await sealVault(Buffer.from('a: 1\n'), 'pw');
  const vault = readVault(text.replaceAll('\n', '\r\n'));
  expect((await openVault(vault, 'pw'))?.toString()).toBe('a: 1\n');
});

test('one bit more or less in any part of it, and it does not open', async () => {
  const sealed = readVault(await sealVault(Buffer.from('password: hunter2'), 'pw'));
  for (const part of ['salt', 'hmac', 'ciphertext'] as const) {
    for (const at of [0, sealed[part].length - 1]) {
      const changed = Buffer.from(sealed[part]);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(await openVault({ ...sealed, [part]: changed }, 'pw')).toBeUndefined();
    }
  }
});

test.each([
  ['$ANSIBLE_VAULT;1.0;AES\n00', 'its format 1.0 is not known'],
  ['$ANSIBLE_VAULT;1.1;AES\n00', 'its cipher AES is not known'],
  ['$ANSIBLE_VAULT;1.1;AES256\nzz', 'its content is not hexadecimal'],
  ['$ANSIBLE_VAULT;1.1;AES256\n', 'it does not have its three parts'],
  [
    `$ANSIBLE_VAULT;1.1;AES256\n${Buffer.from('00\n00\n00').toString('hex')}`,
    'its HMAC is not one of SHA-256',
  ],
  [
    `$ANSIBLE_VAULT;1.2;AES256;x\n${Buffer.from(`00\n${'00'.repeat(32)}\n${'00'.repeat(15)}`).toString('hex')}`,
    'it is cut off',
  ],
])('what is no vault is told: %j', (text, why) => {
  expect(() => readVault(text)).toThrow(new BrokenVault(why));
});
