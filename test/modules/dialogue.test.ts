import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
let program: string;
beforeAll(async () => {
  bench = await openBench();
  program = `sh ${bench.dir}/ask`;
  await writeFile(
    join(bench.dir, 'ask'),
    `[ "$1" = old ] && { printf 'delete old? [y/N]: '; read -r x; echo "deleted $x"; }
printf 'host [127.0.0.1]: '; read -r host
printf 'password: '; stty -echo; read -r password; stty echo; echo
echo "host=$host length=\${#password}"
case $host in fail) echo 'cannot connect' ; exit 3;; esac
echo done in "$(pwd)"`,
  );
});
afterAll(() => bench.close());

const responses = [
  { prompt: 'delete.*\\[y/N\\]', answer: 'y', optional: true },
  { prompt: 'host \\[', answer: 'db 1; $(id)' },
  { prompt: 'password:', answer: `s3cr'et`, secret: true },
];

test.each(['', ' old'])('prompts are answered, also where an optional one comes:%s', async (arg) => {
  const { failed, result } = await run(bench, 'dialogue', {
    cmd: program + arg,
    responses,
    expect_end: '^done',
  });
  expect(failed).toBeUndefined();
  expect(result).toMatchObject({ code: 0 });
  expect(result['output']).toContain('host=db 1; $(id) length=7');
  expect(result['output']).not.toContain(`s3cr'et`);
  expect(String(result['output']).includes('deleted y')).toBe(arg !== '');
});

test('goes to a directory first', async () => {
  const { result } = await run(bench, 'dialogue', { cmd: program, responses, chdir: '/usr/share' });
  expect(result['output']).toContain('done in /usr/share');
});

test('a prompt that never came is named, with what was shown last', async () => {
  const more = [...responses, { prompt: 'restart\\?', answer: 'N' }];
  const { failed } = await run(bench, 'dialogue', { cmd: program, responses: more });
  expect(failed).toMatch(/^the prompt \/restart\\\?\/ never came; exit code 0, last shown: .*done in/);
});

test('an exit code that is not in codes fails, one that is does not', async () => {
  const wrong = responses.map((one) => (one.prompt.startsWith('host') ? { ...one, answer: 'fail' } : one));
  expect((await run(bench, 'dialogue', { cmd: program, responses: wrong })).failed).toBe(
    'exit code 3: cannot connect',
  );
  expect(
    (await run(bench, 'dialogue', { cmd: program, responses: wrong, codes: [0, 3] })).failed,
  ).toBeUndefined();
});

test('an end that does not come fails', async () => {
  expect(
    (await run(bench, 'dialogue', { cmd: program, responses, expect_end: 'promote success' })).failed,
  ).toContain('does not match /promote success/');
});
