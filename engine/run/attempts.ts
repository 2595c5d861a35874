import { durationText } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';
import type { Context, Module } from '../core/module.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import { failure, isBad } from './ended.ts';
import type { Ended } from './ended.ts';
import { holds, judged } from './judged.ts';
import { perform } from './perform.ts';
import { pause, within } from './waiting.ts';

/** What an attempt needs to know of the run around it. */
export interface Attempting {
  readonly isCheck: boolean;
  /** Under --check: something before would have changed this host, so that what is seen now may mislead. */
  readonly isBlurred: boolean;
  contextWith(signal: AbortSignal): Context;
  /** Called when a state module has looked and is about to change something. */
  beforeChange(): Promise<void>;
  onRetry(attempt: number, retries: number, reason: string): void;
  /** Aborted by Ctrl-C: no further attempt is begun. */
  readonly interrupt: AbortSignal;
}

/** Something was under way on the host when we lost it from sight: an action may have been done, or not. */
const isLost = (error: unknown): boolean =>
  error instanceof DrillbookError && (error.code === 'host.lost' || error.code === 'step.left');

async function attempt(step: Step, module: Module, scope: Scope, a: Attempting): Promise<Ended> {
  const { timeout } = step.keywords;
  const isForeseen = a.isCheck && module.kind === 'action';
  try {
    const ended = await within(timeout, (signal) => perform(step, module, a.contextWith(signal), scope, a));
    if (ended) return judged(step, scope, ended, isForeseen);
    return { outcome: 'failed', result: {}, reason: `not done within ${durationText(timeout ?? 0)}` };
  } catch (error) {
    const ended = failure(error);
    if (isLost(error) && module.kind === 'action' && !isForeseen) return { ...ended, outcome: 'in_doubt' };
    // In check mode a look may fail because an earlier step has only pretended; that is not this step's failure.
    if (
      a.isCheck &&
      a.isBlurred &&
      ended.outcome === 'failed' &&
      !(error instanceof DrillbookError && error.code.startsWith('plan.'))
    ) {
      return {
        outcome: 'skipped',
        result: { is_unforeseeable: true },
        reason: `cannot be foreseen: ${ended.reason}`,
      };
    }
    try {
      return judged(step, scope, ended, isForeseen);
    } catch (inner) {
      return failure(inner);
    }
  }
}

/** Tries until `until` holds (or, without it, until an attempt goes well) or the retries are spent. */
export async function attempts(step: Step, module: Module, scope: Scope, a: Attempting): Promise<Ended> {
  const { retries = step.until.length > 0 ? 3 : 0, delay = 5000 } = step.keywords;
  for (let tries = 0; ; tries++) {
    const ended = await attempt(step, module, scope, a);
    if (ended.isGuard || ended.outcome === 'in_doubt' || (a.isCheck && module.kind !== 'query')) return ended;
    const isEnough = step.until.length > 0 ? holds(step, scope, ended) : !isBad(ended.outcome);
    if (isEnough === true) return ended;
    const reason =
      typeof isEnough === 'string'
        ? isEnough
        : (ended.reason ?? `not yet: ${step.until.map((condition) => condition.text).join(' and ')}`);
    if (tries >= retries) {
      const bound = retries === 0 ? '' : ` (after ${tries + 1} attempts)`;
      return isBad(ended.outcome) && ended.reason
        ? { ...ended, reason: `${ended.reason}${bound}` }
        : { ...ended, outcome: 'failed', reason: `${reason}${bound}` };
    }
    a.onRetry(tries + 1, retries, reason);
    await pause(delay, a.interrupt);
    if (a.interrupt.aborted) {
      const told = `interrupted before attempt ${tries + 2}: ${reason}`;
      return { ...ended, outcome: 'failed', reason: told, isInterrupted: true };
    }
  }
}
