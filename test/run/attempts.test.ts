import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { action, query } from '../../engine/core/module.ts';
import type { Context, Module } from '../../engine/core/module.ts';
import type { Step } from '../../engine/plan/plan.ts';
import { attempts } from '../../engine/run/attempts.ts';

afterEach(() => void vi.useRealTimers());

const described = { summary: '', source: '', params: z.object({}), examples: '', returns: {} };
const never = (): Promise<never> => new Promise(() => undefined);

test.each([
  ['action', 'in_doubt', action({ ...described, run: never })],
  ['query', 'failed', query({ ...described, read: never })],
] as const)('when time is up, %s that does not end though told to is %s', async (_kind, outcome, module) => {
  vi.useFakeTimers();
  const step = { moduleName: 'x', params: {}, until: [], keywords: { timeout: 10, retries: 2 } };
  const ended = attempts(
    step as unknown as Step,
    module as Module,
    {},
    {
      ...{
        isCheck: false,
        isBlurred: false,
        interrupt: new AbortController().signal,
        ...{ spent: 0, isAgain: false, kept: new Map() },
      },
      onRetry: () => Promise.resolve(),
      comeBack: () => Promise.resolve(undefined),
      contextWith: () => ({}) as Context,
    },
  );
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await ended).toMatchObject({ outcome, reason: expect.stringContaining('nor ended') as string });
});
