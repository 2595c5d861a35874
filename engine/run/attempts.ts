import { isBad } from '../core/event.ts';
import { durationText } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';
import type { Context, Module } from '../core/module.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import type { StepLedger } from './obligations/bending.ts';
import { failure } from './ended.ts';
import type { Ended } from './ended.ts';
import { holds, judged } from './judged.ts';
import { perform } from './perform.ts';
import { isAway } from './reconnect.ts';
import type { Back } from './reconnect.ts';
import { unforeseeable } from './unforeseen.ts';
import { pause, within } from './waiting.ts';

/** What an attempt needs to know of the run around it. */
export interface Attempting {
  readonly isCheck: boolean;
  /** Under --check: something before would have changed this host, so that what is seen now may mislead. */
  readonly isBlurred: boolean;
  /** Attempts spent before an interruption; the next one may have been under way then. */
  readonly spent: number;
  readonly isAgain: boolean;
  /** What that attempt kept. */
  readonly kept: ReadonlyMap<string, unknown>;
  contextWith(signal: AbortSignal, life: Life): Context;
  /** Wraps what acts: it, and not a look, is bound to the step's role. Left out where there is none. */
  whileActing?<T>(act: () => Promise<T>): Promise<T>;
  /** Left out where nothing is done for real. */
  readonly ledger?: StepLedger | undefined;
  onRetry(attempt: number, retries: number, reason: string): Promise<void>;
  /** Waits for the host when it went away in mid-step; undefined where it is not to be waited for. */
  comeBack(error: unknown): Promise<Back | undefined>;
  /** Aborted by Ctrl-C: no further attempt is begun. */
  readonly interrupt: AbortSignal;
}

/** One attempt, however often its connection is lost. */
export interface Life {
  readonly attempt: number;
  readonly isAgain: boolean;
  readonly kept: Map<string, unknown>;
  /** Something was sent to a host. */
  hasActed: boolean;
}

/** What an action did is not known when we lose it from sight: unless it can be called again, it may have been done. */
function isInDoubt(error: unknown, module: Module, { hasActed }: Life): boolean {
  if (!(error instanceof DrillbookError) || module.kind !== 'action') return false;
  if (error.code.startsWith('doubt.') || error.code === 'step.left') return true;
  return hasActed && isAway(error);
}

/** How an attempt ended; undefined when its host went away and has come back, so that it is to be taken up again. */
async function live(
  step: Step,
  module: Module,
  scope: Scope,
  life: Life,
  a: Attempting,
): Promise<Ended | undefined> {
  const { timeout } = step.keywords;
  const isForeseen = a.isCheck && module.kind === 'action';
  try {
    const ended = await within(timeout, (signal) =>
      perform(step, module, a.contextWith(signal, life), scope, a, life.kept),
    );
    if (ended) return { ...judged(step, scope, ended, isForeseen), hasLooked: life.hasActed };
    return { outcome: 'failed', result: {}, reason: `not done within ${durationText(timeout ?? 0)}` };
  } catch (error) {
    const mayRepeat = module.kind !== 'action' || module.isResumable === true || !life.hasActed || isForeseen;
    const back = mayRepeat ? await a.comeBack(error) : undefined;
    if (back?.kind === 'back') return undefined;
    const ended = failure(back?.kind === 'away' ? back.error : error);
    const isOpen = !isForeseen && isInDoubt(error, module, life);
    if (back?.kind === 'interrupted') {
      return { ...ended, outcome: life.hasActed ? 'in_doubt' : 'not_run', isInterrupted: true };
    }
    if (isOpen) return { ...ended, outcome: 'in_doubt' };
    // In check mode a look may fail because an earlier step has only pretended; that is not this step's failure.
    if (
      a.isCheck &&
      a.isBlurred &&
      ended.outcome === 'failed' &&
      !(error instanceof DrillbookError && error.code.startsWith('plan.'))
    ) {
      return unforeseeable(ended.reason);
    }
    try {
      return judged(step, scope, ended, isForeseen);
    } catch (inner) {
      return failure(inner);
    }
  }
}

async function attempt(
  step: Step,
  module: Module,
  scope: Scope,
  number: number,
  a: Attempting,
): Promise<Ended> {
  const isTaken = a.isAgain && number === a.spent;
  const kept = new Map(isTaken ? a.kept : []);
  for (let life: Life = { attempt: number, isAgain: isTaken, kept, hasActed: isTaken }; ;) {
    const ended = await live(step, module, scope, life, a);
    if (ended) return ended;
    // Where nothing was sent yet nothing can have begun, whatever became of the host meanwhile.
    life = { ...life, isAgain: life.hasActed };
  }
}

/** With how often it was tried, where it may be tried more than once. */
const counted = ({ until, keywords }: Step, ended: Ended, count: number): Ended =>
  until.length === 0 && keywords.retries === undefined
    ? ended
    : { ...ended, result: { ...ended.result, attempts: count } };

/** Tries until `until` holds (or, without it, until an attempt goes well) or the retries are spent. */
export async function attempts(step: Step, module: Module, scope: Scope, a: Attempting): Promise<Ended> {
  const { retries = step.until.length > 0 ? 3 : 0, delay = 5000 } = step.keywords;
  for (let tries = a.spent; ; tries++) {
    const ended = await attempt(step, module, scope, tries, a);
    if (
      ended.isGuard ||
      ended.isInterrupted ||
      ended.outcome === 'in_doubt' ||
      ended.result['is_unforeseeable'] === true ||
      (a.isCheck && module.kind !== 'query')
    )
      return ended;
    const isEnough = step.until.length > 0 ? holds(step, scope, ended) : !isBad(ended.outcome);
    if (isEnough === true) return counted(step, ended, tries + 1);
    const reason =
      typeof isEnough === 'string'
        ? isEnough
        : (ended.reason ?? `not yet: ${step.until.map((condition) => condition.text).join(' and ')}`);
    // What the host has not become yet is not waited for: under --check it will not become so.
    if (a.isCheck && a.isBlurred && ended.hasLooked === true) return unforeseeable(reason);
    if (tries >= retries) {
      const bound = retries === 0 ? '' : ` (after ${tries + 1} attempts)`;
      const last = counted(step, ended, tries + 1);
      return isBad(ended.outcome) && ended.reason
        ? { ...last, reason: `${ended.reason}${bound}` }
        : { ...last, outcome: 'failed', reason: `${reason}${bound}` };
    }
    await a.onRetry(tries + 1, retries, reason);
    await pause(delay, a.interrupt);
    if (a.interrupt.aborted) {
      const told = `interrupted before attempt ${tries + 2}: ${reason}`;
      return { ...ended, outcome: 'not_run', reason: told, isInterrupted: true };
    }
  }
}
