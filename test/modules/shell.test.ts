import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

test('pipes, variables and several lines work', async () => {
  const { result } = await run(bench, 'shell', { cmd: 'x="a b"\nprintf "%s\\n" "$x" c | sort -r\nexit 0' });
  expect(result['stdout_lines']).toEqual(['c', 'a b']);
});

test.each([undefined, '/bin/bash', '/bin/sh'])(
  'standard input and the exit code go through %s',
  async (executable) => {
    const params = {
      cmd: 'cat; echo "$0 $#" >/dev/null; exit 7',
      stdin: "a'b\n$(id)",
      ...(executable ? { executable } : {}),
    };
    const outcome = await run(bench, 'shell', params);
    expect(outcome.result).toMatchObject({ code: 7, stdout: "a'b\n$(id)" });
    expect(outcome.failed).toBe('exit code 7: $(id)');
  },
);

test('another shell is that shell', async () => {
  const { result } = await run(bench, 'shell', {
    cmd: 'set -o pipefail; false | true; echo "$? ${BASH_VERSION:+bash}"',
    executable: '/bin/bash',
  });
  expect(result['stdout']).toBe('1 bash');
});

test('the text is on no process list', async () => {
  for (const executable of [undefined, '/bin/bash']) {
    const cmd = `: s3cr-et-word; tr '\\0' ' ' < /proc/self/cmdline; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '`;
    const { result } = await run(bench, 'shell', { cmd, ...(executable ? { executable } : {}) });
    expect(result['stdout']).toContain('proc');
    expect(result['stdout']).not.toContain('s3cr-et-word');
  }
});

test('a syntax error is a failure with its cause', async () => {
  const outcome = await run(bench, 'shell', { cmd: 'if true' });
  expect(outcome.failed).toMatch(/^exit code 2: .*(Syntax error|expecting)/);
  expect((await run(bench, 'shell', { cmd: 'echo alive' })).result['stdout']).toBe('alive');
});

test('text longer than an argument may be is run', async () => {
  for (const executable of [undefined, '/bin/bash']) {
    const cmd = `: ${'x'.repeat(200_000)}\necho end`;
    expect((await run(bench, 'shell', { cmd, ...(executable ? { executable } : {}) })).result['stdout']).toBe(
      'end',
    );
  }
});

test('creates is looked at first', async () => {
  expect(await run(bench, 'shell', { cmd: 'exit 9', creates: '/etc/passwd' })).toMatchObject({
    isChanged: false,
    result: { code: 0 },
  });
});
