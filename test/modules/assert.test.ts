import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ vars: { count: 2, names: ['a'] } });
});
afterAll(() => bench.close());

test('what holds is fine', async () => {
  expect(
    await run(bench, 'assert', { that: ['count == 2', 'names.size() > 0'], success_msg: 'good' }),
  ).toEqual({
    result: { msg: 'good', evaluated: ['count == 2', 'names.size() > 0'] },
  });
});

test('the condition that does not hold is named', async () => {
  const { failed, result } = await run(bench, 'assert', {
    that: ['count == 2', 'count > 5', 'count > 6'],
    fail_msg: 'Too few',
  });
  expect(failed).toBe('Too few (`count > 5` is false)');
  expect(result).toMatchObject({ assertion: 'count > 5', evaluated: ['count == 2'] });
});

test('a value that is not a boolean does not hold', async () => {
  expect((await run(bench, 'assert', { that: 'count' })).failed).toBe('`count` is 2, not true or false');
});
