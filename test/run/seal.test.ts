import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { sealerOf } from '../../engine/run/journal/seal.ts';

const SEAL = pathToFileURL(join(import.meta.dirname, '../../engine/run/journal/seal.ts')).href;

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-seal-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('what is sealed is opened again, by another process too, and cannot be read', () => {
  const dir = folder();
  const sealed = sealerOf(dir).seal('what nobody is to read', 'it');
  expect(Buffer.from(sealed).includes('nobody')).toBe(false);
  expect(sealerOf(dir).open(sealed, 'it').toString()).toBe('what nobody is to read');
  // The same twice is not seen to be the same.
  expect(sealerOf(dir).seal('what nobody is to read', 'it')).not.toEqual(sealed);
});

test('the key is 32 bytes that only their owner can read, made when first needed and not again', () => {
  const dir = folder();
  sealerOf(dir);
  expect(readdirSync(dir)).toEqual([]);
  sealerOf(dir).seal('x', 'it');
  const path = join(dir, 'key');
  const { mode, size } = statSync(path);
  expect([readdirSync(dir), mode & 0o777, size]).toEqual([['key'], 0o600, 32]);
  const key = readFileSync(path);
  sealerOf(dir).seal('y', 'it');
  expect(readFileSync(path)).toEqual(key);
});

test('of processes that make the key at the same time one wins, and all can read what any has sealed', async () => {
  const script = `
    const { sealerOf } = await import(${JSON.stringify(SEAL)});
    process.stdin.once('data', () => {
      process.stdout.write(Buffer.from(sealerOf(process.argv[1]).seal('same', 'it')).toString('base64'));
      process.exit();
    });
    process.stderr.write('ready');
  `;
  for (let round = 0; round < 3; round++) {
    const dir = folder();
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script, dir], { stdio: 'pipe' }),
    );
    const outputs = children.map(async (child) => {
      let text = '';
      child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
      await once(child, 'close');
      return text;
    });
    await Promise.all(children.map((child) => once(child.stderr, 'data')));
    for (const child of children) child.stdin.write('go');
    for (const text of await Promise.all(outputs))
      expect(sealerOf(dir).open(Buffer.from(text, 'base64'), 'it').toString()).toBe('same');
    expect(readdirSync(dir)).toEqual(['key']);
  }
});

test('any changed byte is an error, and so is another’s place', () => {
  const dir = folder();
  const sealer = sealerOf(dir);
  const sealed = sealer.seal('what nobody is to read', 'event 7');
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.with(at, (sealed[at] ?? 0) ^ 1);
    expect(() => sealer.open(changed, 'event 7')).toThrow(/event 7 was (changed|sealed)|sealed with/);
  }
  for (const size of [0, 7, 20, 35, sealed.length - 1])
    expect(() => sealer.open(sealed.subarray(0, size), 'event 7')).toThrow(/event 7/);
  expect(() => sealer.open(sealed, 'event 8')).toThrow('what is kept sealed of event 8 was changed');
});

test('a missing, another’s, a damaged and an open key are told from each other', () => {
  const dir = folder();
  const path = join(dir, 'key');
  const sealed = sealerOf(dir).seal('x', 'it');
  const open = () => sealerOf(dir).open(sealed, 'it');
  const key = readFileSync(path);
  unlinkSync(path);
  expect(open).toThrow(`the key ${path} is missing`);
  // Nothing is made in its place by who only reads.
  expect(existsSync(path)).toBe(false);
  sealerOf(dir).seal('y', 'it');
  expect(open).toThrow(`the key ${path} is not the one that it was sealed with`);
  writeFileSync(path, key);
  expect(open().toString()).toBe('x');
  truncateSync(path, 31);
  expect(open).toThrow(`the key ${path} is damaged: it is not 32 bytes long`);
  writeFileSync(path, key);
  chmodSync(path, 0o640);
  for (const work of [open, () => sealerOf(dir).seal('z', 'it')])
    expect(work).toThrow(`the key ${path} can be read by others`);
});
