import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
let src: string;
let dest: string;
beforeAll(async () => {
  bench = await openBench();
  mkdirSync(join(bench.dir, 'node'));
  src = join(bench.dir, 'node/file');
  dest = join(bench.dir, 'kept');
});
beforeEach(() => {
  rmSync(dest, { recursive: true, force: true });
  writeFileSync(src, 'text\n');
});
afterAll(() => bench.close());

test('a file comes to DEST/HOST/SRC, whatever is in it, once, and for its owner alone', async () => {
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
  writeFileSync(src, content);
  const at = join(dest, 'here', src);
  const found = await check(bench, 'fetch', { src, dest });
  expect(found.changes).toEqual([
    { what: `${at} on the jump host`, before: 'absent', after: '300000 B of here' },
  ]);
  expect(() => statSync(dest)).toThrow('ENOENT');
  const { result } = await reach(bench, 'fetch', { src, dest });
  expect(result).toMatchObject({ dest: at, size: 300_000, host: 'here' });
  expect(readFileSync(at).equals(content)).toBe(true);
  expect(statSync(at).mode & 0o777).toBe(0o600);
  const { ino } = statSync(at);
  await reach(bench, 'fetch', { src, dest });
  expect(statSync(at).ino).toBe(ino);
  writeFileSync(src, 'other\n');
  await reach(bench, 'fetch', { src, dest });
  expect(readFileSync(at, 'utf8')).toBe('other\n');
});

test('flat: to the file that is named, or straight into a folder', async () => {
  await reach(bench, 'fetch', { src, dest: join(dest, 'a', 'b'), flat: true });
  await reach(bench, 'fetch', { src, dest: `${dest}/c/`, flat: true });
  expect([readFileSync(join(dest, 'a/b'), 'utf8'), readFileSync(join(dest, 'c/file'), 'utf8')]).toEqual([
    'text\n',
    'text\n',
  ]);
});

test('a file that is not there is a failure, unless it may be missing', async () => {
  const gone = join(bench.dir, 'gone');
  await expect(check(bench, 'fetch', { src: gone, dest })).rejects.toThrow(`there is no ${gone} on here`);
  const { before } = await reach(bench, 'fetch', { src: gone, dest, fail_on_missing: false });
  expect(before.changes).toEqual([]);
});

test.each([
  ['/etc/../../../x', 'must not hold ..'],
  ['/etc/', 'is a file, not a directory'],
  ['/etc', 'is no file, but a directory'],
  ['/dev/null', 'is no file, but a device, pipe or socket'],
])('%s is refused', async (path, why) => {
  await expect(check(bench, 'fetch', { src: path, dest })).rejects.toThrow(why);
});

test('no link in the folder leads out of it', async () => {
  const outside = join(bench.dir, 'outside');
  mkdirSync(outside, { recursive: true });
  writeFileSync(join(outside, 'file'), 'mine\n');
  mkdirSync(dest);
  for (const [link, target, name] of [
    ['here', outside, 'fetch'],
    ['flat', join(outside, 'file'), 'flat'],
  ] as const) {
    symlinkSync(target, join(dest, link));
    const params = name === 'flat' ? { src, dest: join(dest, 'flat'), flat: true } : { src, dest };
    await expect(reach(bench, 'fetch', params)).rejects.toThrow(
      `${join(dest, link)} is a link, and is not followed`,
    );
  }
  expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('mine\n');
});

test('a name of a host that is no name of a file leads nowhere', async () => {
  for (const name of ['..', 'a/b', '']) {
    const other = { ...bench, ctx: { ...bench.ctx, host: { ...bench.ctx.host, name } } };
    await expect(reach(other, 'fetch', { src, dest })).rejects.toThrow(`\`${name}\` is no name for a file`);
  }
});

test('what is in the way is told before anything is done', async () => {
  writeFileSync(dest, '');
  await expect(check(bench, 'fetch', { src, dest })).rejects.toThrow('cannot look at');
  rmSync(dest);
  mkdirSync(join(dest, 'here', src), { recursive: true });
  await expect(check(bench, 'fetch', { src, dest })).rejects.toThrow('is no file on the jump host');
});
