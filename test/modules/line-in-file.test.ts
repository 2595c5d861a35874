import { mkdir, readFile, stat, symlink, lstat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';
import { HOSTILE } from './_values.ts';

let bench: Bench;
let count = 0;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

async function fileOf(text: string | Buffer): Promise<string> {
  const dir = join(bench.dir, `case ${++count}`);
  await mkdir(dir);
  await writeFile(join(dir, 'f'), text);
  return join(dir, 'f');
}

const NET = '# net\n#a = 0\na = 1\nb = 2\na = 3\n';

test.each([
  ['a new line goes to the end', 'x', { line: 'y' }, 'x\ny\n'],
  ['into an empty file', '', { line: 'y' }, 'y\n'],
  ['a line that is there stays', NET, { line: 'b = 2' }, NET],
  [
    'the last match is replaced',
    NET,
    { regexp: '^a = ', line: 'a = 9' },
    '# net\n#a = 0\na = 1\nb = 2\na = 9\n',
  ],
  ['no match, but the line is there', NET, { regexp: '^zz', line: 'b = 2' }, NET],
  ['after the last match', NET, { line: 'n', insertafter: '^#' }, '# net\n#a = 0\nn\na = 1\nb = 2\na = 3\n'],
  [
    'before the last match',
    NET,
    { line: 'n', insertbefore: '^b' },
    '# net\n#a = 0\na = 1\nn\nb = 2\na = 3\n',
  ],
  ['at the beginning', NET, { line: 'n', insertbefore: 'BOF' }, `n\n${NET}`],
  ['no match for insertafter: the end', NET, { line: 'n', insertafter: 'zz' }, `${NET}n\n`],
  ['absent takes all matches', NET, { regexp: '^#?a', state: 'absent' }, '# net\nb = 2\n'],
  ['absent takes the line', NET, { line: 'b = 2', state: 'absent' }, '# net\n#a = 0\na = 1\na = 3\n'],
  [
    'what was caught comes back',
    NET,
    { regexp: '^(?<k>b) = (\\d)', line: '\\2 \\g<k> $1 $&', backrefs: true },
    '# net\n#a = 0\na = 1\n2 b $1 $&\na = 3\n',
  ],
  ['without a match backrefs change nothing', NET, { regexp: '^zz', line: '\\1', backrefs: true }, NET],
  ["Python's (?i) is understood", NET, { regexp: '(?i)^B', line: 'c' }, '# net\n#a = 0\na = 1\nc\na = 3\n'],
  ['line ends of DOS stay', 'x\r\ny\r\n', { line: 'z', insertafter: '^x$' }, 'x\r\nz\r\ny\r\n'],
] as const)('%s', async (_, before, params, after) => {
  const path = await fileOf(before);
  const isOnce = !('backrefs' in params);
  await reach(bench, 'line_in_file', { path, ...params });
  expect(await readFile(path, 'utf8')).toBe(after);
  if (isOnce) expect((await check(bench, 'line_in_file', { path, ...params })).changes).toEqual([]);
});

test.each(HOSTILE.filter((line) => !line.includes('\n')))('a line is taken as it is: %j', async (line) => {
  const path = await fileOf('first\n');
  await reach(bench, 'line_in_file', { path, line });
  expect(await readFile(path, 'utf8')).toBe(`first\n${line}\n`);
  expect((await check(bench, 'line_in_file', { path, line })).changes).toEqual([]);
  await reach(bench, 'line_in_file', { path, line, state: 'absent' });
  expect(await readFile(path, 'utf8')).toBe('first\n');
});

test('bytes that are no UTF-8 stay as they are', async () => {
  const path = await fileOf(Buffer.from([0xb1, 0xb8, 10, 0xff, 10]));
  await reach(bench, 'line_in_file', { path, line: 'ü', insertbefore: '^\\xff' });
  expect([...(await readFile(path))]).toEqual([0xb1, 0xb8, 10, 0xc3, 0xbc, 10, 0xff, 10]);
  expect((await check(bench, 'line_in_file', { path, line: 'ü' })).changes).toEqual([]);
});

test('a link stays a link, and what it points to is edited', async () => {
  const path = await fileOf('x\n');
  await symlink('f', `${path}.link`);
  const { result } = await reach(bench, 'line_in_file', { path: `${path}.link`, line: 'y', backup: true });
  expect((await lstat(`${path}.link`)).isSymbolicLink()).toBe(true);
  expect(await readFile(path, 'utf8')).toBe('x\ny\n');
  expect(await readFile(String(result['backup_file']), 'utf8')).toBe('x\n');
});

test('a missing file is made only where asked for, and is fine where the line shall be absent', async () => {
  const path = join(bench.dir, 'none');
  await expect(check(bench, 'line_in_file', { path, line: 'x' })).rejects.toMatchObject({
    message: `there is no ${path}`,
    hint: 'create: true makes it',
  });
  expect((await check(bench, 'line_in_file', { path, line: 'x', state: 'absent' })).changes).toEqual([]);
  await reach(bench, 'line_in_file', { path, line: 'x', create: true, mode: '0440' });
  expect(((await stat(path)).mode & 0o777).toString(8)).toBe('440');
});

test('validate refuses: the old file stays', async () => {
  const path = await fileOf('x\n');
  await expect(
    reach(bench, 'line_in_file', { path, line: 'y', validate: `sh -c '! grep -q y "$1"' sh %s` }),
  ).rejects.toThrow('refused');
  expect(await readFile(path, 'utf8')).toBe('x\n');
});

test('a look and a change are one exchange each', async () => {
  const path = await fileOf('x\n');
  const start = bench.exchanges();
  await reach(bench, 'line_in_file', { path, line: 'y' });
  expect(bench.exchanges() - start).toBe(2);
});

test.each([
  [{ line: 'a\nb' }, 'is one line'],
  [{ regexp: 'x' }, 'wants a `line`'],
  [{ line: 'x', regexp: '(' }, '`regexp` is no regular expression'],
  [{ line: 'x', insertafter: 'a', insertbefore: 'b' }, 'not both'],
])('%j is refused', async (params, why) => {
  await expect(check(bench, 'line_in_file', { path: await fileOf(''), ...params })).rejects.toThrow(why);
});
