import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

const soon = { timeout: '300ms', interval: '20ms' };

test('a port opens and closes', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  expect((await run(bench, 'wait_for', { port })).failed).toBeUndefined();
  expect((await run(bench, 'wait_for', { port, state: 'stopped', ...soon })).failed).toContain(
    `port ${port} of 127.0.0.1 is not stopped after 300ms (open)`,
  );
  server.close();
  await once(server, 'close');
  expect((await run(bench, 'wait_for', { port, state: 'stopped' })).failed).toBeUndefined();
  expect((await run(bench, 'wait_for', { port, ...soon, msg: 'no server' })).failed).toMatch(
    /^no server \(port/,
  );
});

test('a file that comes later is waited for, then its line, then its end', async () => {
  const path = join(bench.dir, `it's a log`);
  const waiting = run(bench, 'wait_for', { path, search_regex: '^ready (now|then)$', interval: '20ms' });
  await expect.poll(() => bench.said.at(-1)).toBe(`waiting for ${path}: not there`);
  await writeFile(path, 'not yet\n');
  await expect.poll(() => bench.said.at(-1)).toBe(`waiting for ${path}: no line matches`);
  await writeFile(path, 'not yet\nready now\n');
  expect((await waiting).failed).toBeUndefined();
  const gone = run(bench, 'wait_for', { path, state: 'absent', interval: '20ms' });
  await rm(path);
  expect((await gone).failed).toBeUndefined();
});

test('a command that succeeds at its third try', async () => {
  const path = join(bench.dir, 'tries');
  const { result, failed } = await run(bench, 'wait_for', {
    sh: `echo x >>${path}; [ $(wc -l <${path}) -ge 3 ]`,
    interval: '10ms',
  });
  expect(failed).toBeUndefined();
  expect(result['attempts']).toBe(3);
});

test('a wrong regular expression fails at once', async () => {
  expect((await run(bench, 'wait_for', { path: '/etc/passwd', search_regex: '(' })).failed).toContain(
    'cannot look for /etc/passwd',
  );
});

test.each([{}, { port: 1, path: '/x' }, { port: 1, search_regex: 'x' }])('%j is refused', async (params) => {
  await expect(run(bench, 'wait_for', params)).rejects.toThrow(/give one of|goes with/);
});
