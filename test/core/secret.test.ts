import { expect, test } from 'vitest';
import { Redactor } from '../../engine/core/secret.ts';

const masked = (secrets: readonly unknown[], text: string, isImplied = false): string => {
  const redactor = new Redactor();
  for (const secret of secrets) redactor.add(secret, isImplied);
  return redactor.text(text);
};

const S = '‹secret›';

test.each([
  ['JSON', (text: string) => JSON.stringify({ a: text })],
  ['JSON in JSON', (text: string) => JSON.stringify(JSON.stringify([text]))],
  [
    'ASCII JSON',
    (text: string) =>
      JSON.stringify(text).replace(
        /[^\x00-\x7f]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      ),
  ],
  ['an address', (text: string) => `https://x/?p=${encodeURIComponent(text)}`],
  ['a word of a shell', (text: string) => `'${text.replaceAll("'", `'\\''`)}'`],
  ['SQL', (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`],
  ['hexadecimal', (text: string) => Buffer.from(`a${text}b`).toString('hex')],
  ['base64', (text: string) => Buffer.from(text).toString('base64')],
  ['base64url', (text: string) => Buffer.from(text).toString('base64url')],
])('a secret is masked in every form it may be written in: %s', (_name, write) => {
  for (const secret of ['hunter-22222', `it's "a\\b`, 'пароль-ü-🔑']) {
    const text = write(secret);
    expect(masked([secret], text)).toContain(S);
    for (const piece of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
      expect(masked([secret], text)).not.toContain(piece);
  }
});

test('inside a longer text in base64, wherever it begins there', () => {
  for (const before of ['', 'u', 'us', 'user:']) {
    const text = Buffer.from(`${before}hunter-2222 and more`).toString('base64');
    const left = Buffer.from(masked(['hunter-2222'], text).replaceAll(S, ''), 'base64').toString('latin1');
    expect(masked(['hunter-2222'], text)).toContain(S);
    expect(left).not.toContain('nter-222');
  }
});

test('any line of a secret of several lines, when it is long enough to tell something', () => {
  const key = '-----BEGIN-----\nMIIBVgIBADANBg\n}\n-----END-----\n';
  expect(masked([key], 'line MIIBVgIBADANBg and }')).toBe(`line ${S} and }`);
});

test.each([
  ['ab', 'an ab is an ab'],
  ['', 'nothing'],
])('what is too short to be one is left: %j', (secret, text) => {
  expect(masked([secret], text)).toBe(text);
});

test('marked as a secret, three characters are masked wherever they stand', () => {
  expect(masked(['k7q'], 'mysql -pk7q xk7qx')).toBe(`mysql -p${S} x${S}x`);
});

test('out of an encrypted file, what nobody can have as a secret is left as it is', () => {
  const values = ['true', 'Yes', 'off', 'none', 'root', 'localhost', 'sudo', 1, 22, 443, 'a'];
  const text = 'root@localhost: true, off; 1 of 22 on 443';
  expect(masked(values, text, true)).toBe(text);
  expect(new Redactor().value({ is: true, none: null, n: 22 })).toEqual({ is: true, none: null, n: 22 });
});

test('out of an encrypted file, a short word or number is masked where it stands by itself', () => {
  expect(masked(['prod', 3306], 'prod product: 3306, 13306 prod3 (prod)', true)).toBe(
    `${S} product: ${S}, 13306 prod3 (${S})`,
  );
  expect(masked(['pr0d', 'geheim'], 'xpr0dx geheimnis', true)).toBe(`x${S}x ${S}nis`);
});

test('a number is masked as a number too', () => {
  const redactor = new Redactor();
  redactor.add(471199, true);
  expect(redactor.value({ pin: 471199, list: [471199, 4711990], port: 80 })).toEqual({
    pin: S,
    list: [S, 4711990],
    port: 80,
  });
});

test('another process that hears the secrets masks the same', () => {
  const [one, two] = [new Redactor(), new Redactor()];
  one.add('prod', true);
  one.add('k7q');
  const kept = JSON.parse(JSON.stringify(one.heard())) as ReturnType<Redactor['heard']>;
  for (const secret of kept) two.hear(secret);
  for (const text of ['prod', 'product', 'xk7q']) expect(two.text(text)).toBe(one.text(text));
  expect(one.heard()).toEqual([]);
});

test('all of a mapping, however deep', () => {
  const redactor = new Redactor();
  redactor.addDeep({ a: [{ b: 'hunter-1' }], c: { d: 'hunter-2', e: 12345 } });
  expect(redactor.text('hunter-1 hunter-2 12345')).toBe(`${S} ${S} ${S}`);
});

test('a thousand secrets do not make a megabyte slow', () => {
  const redactor = new Redactor();
  for (let i = 0; i < 1000; i++) redactor.add(`secret-number-${i}-of-many`, true);
  const text = `${'a line of a log that has nothing to hide\n'.repeat(25_000)}secret-number-999-of-many`;
  const start = performance.now();
  expect(redactor.text(text).endsWith(S)).toBe(true);
  expect(performance.now() - start).toBeLessThan(20_000);
});
