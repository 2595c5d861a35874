import { readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

test('runs with its name and arguments, and leaves nothing behind, also when it fails', async () => {
  await writeFile(
    join(bench.dir, 'my script.sh'),
    '#!/bin/sh\nprintf "%s|" "${0##*/}" "$@"; echo "${0%/*}" >&2; exit 4\n',
  );
  const args = ["it's", '$(id)', '-x', 'two\nlines', ''];
  const outcome = await run(bench, 'script', { src: 'my script.sh', args });
  expect(outcome.result).toMatchObject({ code: 4, stdout: `my script.sh|${args.join('|')}|` });
  const where = String(outcome.result['stderr']).trim();
  expect(where).toMatch(/\/drillbook\.\w{6}$/);
  expect(outcome.failed).toBe(`exit code 4: ${where}`);
  expect((await readdir(tmpdir())).map((name) => join(tmpdir(), name))).not.toContain(where);
});

test('runs with another program', async () => {
  await writeFile(join(bench.dir, 'words'), 'echo ${BASH_VERSION:+bash} $1\n');
  const { result } = await run(bench, 'script', { src: 'words', executable: '/bin/bash', args: [5] });
  expect(result['stdout']).toBe('bash 5');
});

test('a script that is not there is an error', async () => {
  await expect(run(bench, 'script', { src: 'missing.sh' })).rejects.toThrow('ENOENT');
});
