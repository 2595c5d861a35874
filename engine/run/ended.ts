import { DrillbookError, StepFailed, Unreachable } from '../core/error.ts';
import { isBad } from '../core/event.ts';
import type { StepOutcome } from '../core/event.ts';
import type { Change, Result } from '../core/module.ts';
import { shortened } from '../core/text.ts';
import type { Step } from '../plan/plan.ts';

/** How one attempt, item or step ended on a host: a value, never an exception. */
export interface Ended {
  readonly outcome: StepOutcome;
  readonly result: Result;
  readonly changes?: readonly Change[] | undefined;
  readonly reason?: string | undefined;
  /** A guard (role, lock, confirmation) stopped it: the whole run stops. */
  readonly isGuard?: boolean;
  /** Ctrl-C came between two attempts or items: a resume takes it up again. */
  readonly isInterrupted?: boolean;
  /** It has to do with what is on a host, and not with what the run knows alone. */
  readonly hasLooked?: boolean;
}

/** What `register` gets: the module's result with what the engine says of it. */
export const registeredOf = ({ outcome, result, reason }: Ended): Result => ({
  ...result,
  changed: outcome === 'changed',
  failed: isBad(outcome),
  skipped: outcome === 'skipped',
  ...(reason === undefined ? {} : { msg: reason }),
});

/** Why it ended as it did, as far as `no_log` lets it be told: what a program said may hold what is to be hidden. */
export function shownReason(step: Step, { outcome, reason }: Ended): string | undefined {
  const isOurs = outcome === 'skipped' || outcome === 'unreachable' || outcome === 'in_doubt';
  return reason === undefined || isOurs || !step.isSecret ? reason : 'no_log hides why';
}

/** An error as the end of a step; one of the journal is the run's own and goes on. */
export function failure(error: unknown): Ended {
  if (error instanceof DrillbookError && error.code.startsWith('journal.')) throw error;
  if (error instanceof Unreachable) {
    return {
      outcome: 'unreachable',
      result: { host: error.host, code: error.code },
      reason: sentence(error),
    };
  }
  if (error instanceof DrillbookError) {
    const result = error instanceof StepFailed ? error.result : { code: error.code };
    return {
      outcome: 'failed',
      result,
      reason: sentence(error),
      ...(error.code.startsWith('guard.') ? { isGuard: true } : {}),
    };
  }
  const { message, stack } = error as Error;
  return {
    outcome: 'failed',
    result: { bug: stack },
    reason: `a bug of the engine: ${message}`,
  };
}

const sentence = (error: DrillbookError): string =>
  shortened(error.message) + (error.hint === undefined ? '' : ` — ${shortened(error.hint)}`);
