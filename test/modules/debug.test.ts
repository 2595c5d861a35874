import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ vars: { names: ['a', 'b'] } });
});
afterAll(() => bench.close());

test.each(['text', { a: [1] }, 0, null])('shows %j', async (msg) => {
  expect((await run(bench, 'debug', { msg })).result['msg']).toEqual(msg ?? 'Hello world!');
});

test('shows the value of an expression', async () => {
  expect((await run(bench, 'debug', { var: 'names.size() + 1' })).result).toEqual({
    msg: 'names.size() + 1 = 3',
    value: 3,
  });
});
