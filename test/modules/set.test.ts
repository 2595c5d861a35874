import { expect, test } from 'vitest';
import { openBench, run } from './_context.ts';

test('gives back what it was given, types kept', async () => {
  const bench = await openBench();
  const given = { primary: 'dbk1', attempts: 3, list: [1, { a: null }] };
  expect(await run(bench, 'set', given)).toEqual({ result: { set: given } });
  await bench.close();
});
