import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBench, run } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

test('it waits that long', async () => {
  const start = performance.now();
  expect((await run(bench, 'pause', { for: '200ms' })).result).toEqual({ waited: 0.2 });
  expect(performance.now() - start).toBeGreaterThan(190);
});

test('taken up again it ends when it was to end', async () => {
  const kept: Bench = {
    ...bench,
    ctx: { ...bench.ctx, keep: <T>() => Promise.resolve((Date.now() - 1) as T) },
  };
  const start = performance.now();
  await run(kept, 'pause', { for: '10m' });
  expect(performance.now() - start).toBeLessThan(60_000);
});
