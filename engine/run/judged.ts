import type { Condition } from '../parse/condition.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import { overlay } from './context.ts';
import { registeredOf } from './ended.ts';
import type { Ended } from './ended.ts';

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

/** How an attempt ended by `failed_when` and `changed_when`. */
export function judged(step: Step, scope: Scope, ended: Ended, isForeseen: boolean): Ended {
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

/** True when `until` holds; a sentence where it cannot even be asked (a result without the name it needs). */
export function holds(step: Step, scope: Scope, ended: Ended): boolean | string {
  try {
    return all(step.until, withResult(step, scope, ended));
  } catch (error) {
    return (error as Error).message;
  }
}
