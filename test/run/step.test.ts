import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { action, query } from '../../engine/core/module.ts';
import type { Context, Module } from '../../engine/core/module.ts';
import type { Step } from '../../engine/plan/plan.ts';
import { attempts } from '../../engine/run/step.ts';

afterEach(() => void vi.useRealTimers());

const described = { summary: '', params: z.object({}), examples: '', returns: {} };
const never = (): Promise<never> => new Promise(() => undefined);

test.each([
  ['action', action({ ...described, run: never }), 'in_doubt'],
  ['query', query({ ...described, read: never }), 'failed'],
] as const)(
  'an %s that does not end when its time is up and it is told to: %s',
  async (_kind, module, outcome) => {
    vi.useFakeTimers();
    const step = { moduleName: 'x', params: {}, until: [], keywords: { timeout: 10, retries: 2 } };
    const ended = attempts(
      step as unknown as Step,
      module as Module,
      {},
      {
        ...{ isCheck: false, isBlurred: false, isInterrupted: () => false, onRetry: () => undefined },
        ...{ beforeChange: () => Promise.resolve(), pause: () => Promise.resolve() },
        contextWith: () => ({}) as Context,
      },
    );
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await ended).toMatchObject({ outcome, reason: expect.stringContaining('nor ended') as string });
  },
);
