import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { splitWords } from '../../engine/modules/_sh.ts';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';
import { HOSTILE } from './_values.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

const WORDS = [...HOSTILE, '', '--help', 'x'.repeat(100_000)];

test.each(WORDS)('an argument reaches the program as it is: %j', async (word) => {
  const { result, failed } = await run(bench, 'command', { argv: ['printf', '[%s]', word] });
  expect(failed).toBeUndefined();
  expect(result['stdout']).toBe(`[${word}]`);
});

test.each(WORDS)('standard input reaches the program as it is: %j', async (text) => {
  const { result } = await run(bench, 'command', { cmd: 'cat', stdin: text, stdin_add_newline: false });
  expect(result['stdout']).toBe(text.replace(/\n$/, ''));
});

test('a failure says the exit code and the last line of standard error', async () => {
  const outcome = await run(bench, 'command', { argv: ['sh', '-c', 'echo first >&2; echo why >&2; exit 3'] });
  expect(outcome.failed).toBe('exit code 3: why');
  expect(outcome.result).toMatchObject({ code: 3, stderr: 'first\nwhy' });
});

test('a program that is not there fails with 127', async () => {
  const outcome = await run(bench, 'command', { cmd: 'no-such-program' });
  expect(outcome.failed).toMatch(/^exit code 127: .*no-such-program: not found/);
});

test('no shell sees the command', async () => {
  const { result } = await run(bench, 'command', { cmd: `echo $HOME '*' "a  b" | cat` });
  expect(result['stdout']).toBe('$HOME * a  b | cat');
  expect(result['stdout_lines']).toEqual(['$HOME * a  b | cat']);
});

test('creates and removes decide whether anything is run, globs too', async () => {
  const dir = join(bench.dir, 'has space');
  await mkdir(dir);
  await writeFile(join(dir, 'one.txt'), '');
  const touch = { cmd: 'touch ran', chdir: dir };
  const skipped = await run(bench, 'command', { ...touch, creates: `${dir}/*.txt` });
  expect(skipped).toMatchObject({ isChanged: false, result: { skipped_because: `${dir}/*.txt exists` } });
  const missing = await run(bench, 'command', { ...touch, removes: 'nothing-*' });
  expect(missing).toMatchObject({
    isChanged: false,
    result: { skipped_because: 'nothing-* does not exist' },
  });
  expect((await run(bench, 'command', { cmd: 'ls', chdir: dir })).result['stdout']).toBe('one.txt');
  expect(
    (await run(bench, 'command', { ...touch, creates: 'ran', removes: 'one.txt' })).isChanged,
  ).toBeUndefined();
  expect((await run(bench, 'command', { cmd: 'ls', chdir: dir })).result['stdout']).toBe('one.txt\nran');
});

test('a directory that is not there is the cause', async () => {
  expect((await run(bench, 'command', { cmd: 'ls', chdir: '/no/such' })).failed).toBe(
    'cannot go to the directory /no/such',
  );
});

test('one command is one exchange', async () => {
  const before = bench.exchanges();
  await run(bench, 'command', { cmd: 'true' });
  expect(bench.exchanges() - before).toBe(1);
});

test.each([
  ['a b  c', ['a', 'b', 'c']],
  [`a 'b c' "d e"`, ['a', 'b c', 'd e']],
  [`a\\ b "x\\"y" 'x\\y' "x\\y"`, ['a b', 'x"y', 'x\\y', 'x\\y']],
  [`--opt='v w' ''`, ['--opt=v w', '']],
  ['', []],
])('%s splits into words', (text, words) => {
  expect(splitWords(text)).toEqual(words);
});

test.each([`echo 'a`, 'echo "a', 'echo \\'])('%s is refused', (text) => {
  expect(() => splitWords(text)).toThrow(/has no closing|ends in a backslash/);
});

test.each([{}, { cmd: 'a', argv: ['b'] }])('either cmd or argv: %j', async (params) => {
  await expect(run(bench, 'command', params)).rejects.toThrow('give either `cmd` or `argv`');
});
