import { beforeAll, expect, test } from 'vitest';
import {
  BrokenAge,
  newBudget,
  newIdentity,
  NoAgeKey,
  openAge,
  recipientOf,
  sealAge,
} from '../../engine/secrets/age.ts';
import { formatOf } from '../../engine/secrets/encrypted.ts';
import { ensurePackages } from '../_apt.ts';
import { folder } from './_tools.ts';

beforeAll(() => ensurePackages(['age']));

const TEXT = 'päss: "ключ 🔑"\r\nlist: [1]\n';
const NONE = { identities: [], passphrases: [] };

test('age and we read each other’s files, binary and armored', async () => {
  const { run, write, path } = folder();
  write('plain', TEXT);
  run('age-keygen', ['-o', 'id']);
  const key = run('sh', ['-c', 'grep ^AGE id']).trim();
  const recipient = run('age-keygen', ['-y', 'id']).trim();
  expect(await recipientOf(key)).toBe(recipient);
  const keys = { identities: [key], passphrases: [] };
  const { readFileSync } = await import('node:fs');
  for (const armor of [[], ['-a']]) {
    run('age', [
      ...armor,
      '-r',
      recipient,
      '-r',
      await recipientOf(await newIdentity()),
      '-o',
      'sealed',
      'plain',
    ]);
    const bytes = readFileSync(`${path}/sealed`);
    expect(formatOf(bytes)).toBe('age');
    const { plain, kinds } = await openAge(bytes, keys, newBudget());
    expect([plain.toString(), kinds.filter((kind) => kind === 'X25519').length]).toEqual([TEXT, 2]);
    write(
      'ours',
      await sealAge(Buffer.from(TEXT), { recipients: [recipient] }, { isBinary: armor.length === 0 }),
    );
    expect(run('age', ['-d', '-i', 'id', 'ours'])).toBe(TEXT);
  }
});

test('a passphrase opens what it sealed, and another one does not', async () => {
  const sealed = await sealAge(Buffer.from(TEXT), { passphrase: 'correct horse' });
  const open = (passphrases: readonly string[]) =>
    openAge(sealed, { identities: [], passphrases }, newBudget());
  expect((await open(['correct horse'])).plain.toString()).toBe(TEXT);
  await expect(open(['correct horse '])).rejects.toThrow(NoAgeKey);
  await expect(open([])).rejects.toMatchObject({ kinds: ['scrypt'] });
}, 60_000);

test('one byte more or less, and it is not opened', async () => {
  const identity = await newIdentity();
  const sealed = await sealAge(
    Buffer.from(TEXT),
    { recipients: [await recipientOf(identity)] },
    { isBinary: true },
  );
  const keys = { ...NONE, identities: [identity] };
  for (const at of [30, 60, 100, 170, sealed.length - 1]) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(openAge(changed, keys, newBudget())).rejects.toThrow();
  }
  await expect(openAge(sealed.subarray(0, -5), keys, newBudget())).rejects.toThrow(BrokenAge);
  await expect(openAge(sealed, { ...NONE, identities: [await newIdentity()] }, newBudget())).rejects.toThrow(
    NoAgeKey,
  );
});

const withFactor = (factor: string): Buffer =>
  Buffer.from(
    `age-encryption.org/v1\n-> scrypt ${Buffer.alloc(16).toString('base64').slice(0, 22)} ${factor}\n` +
      `${Buffer.alloc(32).toString('base64').slice(0, 43)}\n--- ${Buffer.alloc(32).toString('base64').slice(0, 43)}\n${'x'.repeat(40)}`,
  );

test.each(['21', '22', '30', '99', '999999999999', '0', '-1', '1e3'])(
  'a work factor of %s is refused before it is worked off',
  async (factor) => {
    const opening = openAge(withFactor(factor), { ...NONE, passphrases: ['x'] }, newBudget());
    await expect(opening).rejects.toThrow(BrokenAge);
    await expect(opening).rejects.toThrow(/work factor/);
  },
);

test('many small files are no way around the bound', async () => {
  const budget = { left: 3 * 2 ** 10 };
  const open = () => openAge(withFactor('10'), { ...NONE, passphrases: ['x'] }, budget);
  for (let i = 0; i < 3; i++) await expect(open()).rejects.toThrow(NoAgeKey);
  await expect(open()).rejects.toThrow(/it would take minutes/);
});

test.each([
  ['cut off armor', '-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n'],
  ['no base64', '-----BEGIN AGE ENCRYPTED FILE-----\n!!!!\n-----END AGE ENCRYPTED FILE-----\n'],
  ['another version', 'age-encryption.org/v2\n'],
  ['nothing behind the version', 'age-encryption.org/v1\n'],
  ['an endless stanza', `age-encryption.org/v1\n-> X25519 ${'A'.repeat(100_000)}\n`],
])('what is no age file is told: %s', async (_name, text) => {
  await expect(openAge(Buffer.from(text), NONE, newBudget())).rejects.toThrow(BrokenAge);
});
