import { durationText } from '../core/duration.ts';
import { DrillbookError, StepFailed, Unreachable } from '../core/error.ts';
import type { StepOutcome } from '../core/event.ts';
import type { Change, Checked, Context, Module, Outcome, Result } from '../core/module.ts';
import type { Condition } from '../parse/condition.ts';
import { render } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import { schemaProblems } from '../parse/schema.ts';
import { fullParams, paramMeta } from '../plan/params.ts';
import type { Step } from '../plan/plan.ts';
import { overlay } from './context.ts';

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
}

export const isBad = (outcome: StepOutcome): boolean =>
  outcome === 'failed' || outcome === 'unreachable' || outcome === 'in_doubt';

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
  error.hint === undefined ? error.message : `${error.message} — ${error.hint}`;

function paramsOf(step: Step, module: Module, scope: Scope): Record<string, unknown> {
  const raw = fullParams(
    module,
    typeof step.params === 'string' && !module.shorthand
      ? render(step.params, scope, step.moduleName)
      : step.params,
  );
  const rendered: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(raw as Record<string, unknown>)) {
    rendered[name] = paramMeta(module, name).cel ? value : render(value, scope, name);
  }
  const parsed = module.params.safeParse(rendered);
  if (parsed.success) return parsed.data;
  const [problem] = schemaProblems(parsed.error, { ...step.source, value: rendered }, [], module.params);
  throw new StepFailed(
    `${step.moduleName}: ${problem?.message ?? 'its parameters are not as described'}`,
    {},
    { hint: problem?.hint },
  );
}

const says = (changes: readonly Change[]): string => changes.map((change) => change.what).join(', ');

async function ensure(
  module: Extract<Module, { kind: 'state' }>,
  ctx: Context,
  params: Record<string, unknown>,
  { isCheck, beforeChange }: Attempting,
): Promise<Ended> {
  const found = await module.check(ctx, params);
  const isFine = found.changes.length === 0;
  // For a step that only ever looks (`check_mode: true`): what is decided by it must not count as a change.
  if (isCheck) {
    const result = { ...found.result, would_change: !isFine };
    return { outcome: isFine ? 'ok' : 'changed', result, changes: found.changes };
  }
  if (isFine) return { outcome: 'ok', result: found.result ?? {} };
  await beforeChange();
  const after: Checked = (await module.apply(ctx, params, found)) ?? (await module.check(ctx, params));
  const result = after.result ?? found.result ?? {};
  if (after.changes.length === 0) return { outcome: 'changed', result, changes: found.changes };
  return {
    outcome: 'failed',
    result,
    changes: found.changes,
    reason: `the change did not take: still to do: ${says(after.changes)}`,
  };
}

const endedOf = ({ result, failed, isChanged }: Outcome, kind: 'action' | 'query'): Ended =>
  failed !== undefined
    ? { outcome: 'failed', result, reason: failed }
    : { outcome: kind === 'action' && isChanged !== false ? 'changed' : 'ok', result };

async function foresee(
  module: Extract<Module, { kind: 'action' }>,
  ctx: Context,
  params: Record<string, unknown>,
): Promise<Ended> {
  const isChanged = module.wouldChange ? await module.wouldChange(ctx, params) : true;
  return {
    outcome: isChanged ? 'changed' : 'ok',
    result: { is_foreseen: true },
    ...(isChanged ? { reason: 'would run' } : {}),
  };
}

/** Runs the module once; under check, actions only say that they would run. */
async function perform(
  step: Step,
  module: Module,
  ctx: Context,
  scope: Scope,
  a: Attempting,
): Promise<Ended> {
  const params = paramsOf(step, module, scope);
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === 'string' && paramMeta(module, name).secret) ctx.secret(value);
  }
  if (module.kind === 'state') return ensure(module, ctx, params, a);
  if (module.kind === 'query') return endedOf(await module.read(ctx, params), 'query');
  return a.isCheck ? foresee(module, ctx, params) : endedOf(await module.run(ctx, params), 'action');
}

const all = (conditions: readonly Condition[], scope: Scope): boolean =>
  conditions.every((condition) => condition.test(scope));

/** The attempt's result under the names that `until`, `failed_when` and `changed_when` may use. */
function withResult(step: Step, scope: Scope, ended: Ended): Scope {
  const result = registeredOf(ended);
  const { register } = step.keywords;
  return overlay(scope, { result, ...(register === undefined ? {} : { [register]: result }) });
}

/** What `changed_when` says of an action before it has run; where it asks for the result, the module's own word stands. */
function foreseen(step: Step, scope: Scope, ended: Ended): Ended {
  const { changedWhen, keywords } = step;
  const own = ['result', keywords.register];
  const needsResult = changedWhen?.some(({ references }) =>
    references.some(({ root }) => own.includes(root)),
  );
  if (!changedWhen || needsResult) return ended;
  return { ...ended, outcome: all(changedWhen, scope) ? 'changed' : 'ok' };
}

function judged(step: Step, scope: Scope, ended: Ended, isForeseen: boolean): Ended {
  if (ended.outcome === 'unreachable' || ended.outcome === 'in_doubt') return ended;
  if (isForeseen) return foreseen(step, scope, ended);
  let { outcome, reason } = ended;
  if (step.failedWhen) {
    const isFailed = all(step.failedWhen, withResult(step, scope, ended));
    if (isFailed) {
      outcome = 'failed';
      reason = `failed_when is true: ${step.failedWhen.map((condition) => condition.text).join(' and ')}`;
    } else if (outcome === 'failed') {
      outcome = step.module?.kind === 'query' ? 'ok' : 'changed';
      reason = undefined;
    }
  }
  if (step.changedWhen && outcome !== 'failed') {
    outcome = all(step.changedWhen, withResult(step, scope, ended)) ? 'changed' : 'ok';
  }
  // What a `changed_when` says is no change is not told as one.
  const { changes, ...rest } = ended;
  return { ...rest, outcome, reason, ...(outcome === 'ok' ? {} : { changes }) };
}

export interface Attempting {
  readonly isCheck: boolean;
  /** Under --check: something before would have changed this host, so that what is seen now may mislead. */
  readonly isBlurred: boolean;
  contextWith(signal: AbortSignal): Context;
  /** Called when a state module has looked and is about to change something. */
  beforeChange(): Promise<void>;
  onRetry(attempt: number, retries: number, reason: string): void;
  /** Resolves after `ms`, or early when the run is interrupted. */
  pause(ms: number): Promise<void>;
  readonly isInterrupted: () => boolean;
}

/** What a transport may take to end what it has begun on a host, before it is left to itself. */
const STOPPING_MS = 15_000;
/** The longest that a timer of Node takes; more would make it fire at once. */
const MOST_MS = 2 ** 31 - 1;

const LEFT = Symbol('left to itself');

/**
 * Runs `work` with a signal that is aborted after `ms`; gives undefined when that was too late. Throws `step.left`
 * where it did not end even then, so that it may be under way still.
 */
async function within<T>(
  ms: number | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const controller = new AbortController();
  if (ms === undefined) return work(controller.signal);
  const timers: NodeJS.Timeout[] = [];
  // Not everything that a module waits for heeds the signal; nothing may wait much longer than it was allowed to.
  const late = new Promise<typeof LEFT>((resolve) => {
    const stop = (): void => {
      controller.abort(new DrillbookError('step.timeout', `not done within ${durationText(ms)}`));
      timers.push(setTimeout(() => resolve(LEFT), STOPPING_MS));
    };
    timers.push(setTimeout(stop, Math.min(ms, MOST_MS)));
  });
  try {
    // Once it was told to stop, that is why it failed.
    const running = work(controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) throw error;
      return undefined;
    });
    const done = await Promise.race([running, late]);
    if (done !== LEFT) return controller.signal.aborted ? undefined : done;
    throw new DrillbookError('step.left', `not done within ${durationText(ms)}, nor ended when told to stop`);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
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
    await a.pause(delay);
    if (a.isInterrupted()) {
      const told = `interrupted before attempt ${tries + 2}: ${reason}`;
      return { ...ended, outcome: 'failed', reason: told, isInterrupted: true };
    }
  }
}

/** True when `until` holds; a sentence where it cannot even be asked (a result without the name it needs). */
function holds(step: Step, scope: Scope, ended: Ended): boolean | string {
  try {
    return all(step.until, withResult(step, scope, ended));
  } catch (error) {
    return (error as Error).message;
  }
}
