import { DrillbookError } from '../core/error.ts';
import type { Result } from '../core/module.ts';
import type { Step } from '../plan/plan.ts';
import type { Ended } from './ended.ts';

/** What is read of a step that has only pretended. */
const CODE = 'step.unforeseen';

/** Adds a name whose value nobody can know before the step has run; to read it is an error that `untold` knows. */
export function hide(into: object, name: string, step: string): void {
  Object.defineProperty(into, name, {
    enumerable: true,
    configurable: true,
    get(): never {
      throw new DrillbookError(CODE, `\`${name}\` is known only once \`${step}\` has run`);
    },
  });
}

const isPretended = (result: Result): boolean =>
  result['is_foreseen'] === true || result['is_unforeseeable'] === true || result['would_change'] === true;

/** Of the engine's own words those that are true of a step that would have run. */
const KNOWN = new Set(['changed', 'failed', 'skipped', 'would_change', 'is_foreseen', 'item']);

function veiled(step: Step, result: Result): Result {
  if (!isPretended(result)) return result;
  const { module } = step;
  const own = module?.returns ?? {};
  const view = {};
  // Whether it would have been left out, nobody knows either.
  const known = result['is_unforeseeable'] === true ? new Set(['is_unforeseeable', 'item']) : KNOWN;
  for (const name of new Set([...Object.keys(result), ...Object.keys(own), ...KNOWN])) {
    const isLasting = own[name]?.meta()?.['isLasting'] === true && name in result;
    if (known.has(name) ? !(name in result) : false) continue;
    if (known.has(name) || isLasting) Object.assign(view, { [name]: result[name] });
    else hide(view, name, step.name);
  }
  return view;
}

/**
 * What `register` gets under --check: all its fields are there, and those that the change itself would give cannot be
 * read. A step that is not under check, or that only ever looks (`check_mode: true`), says what is.
 */
export function registeredInCheck(step: Step, result: Result): Result {
  if (step.checkMode !== undefined) return result;
  const { results } = result;
  if (step.keywords.loop === undefined || !Array.isArray(results)) return veiled(step, result);
  return { ...result, results: (results as readonly Result[]).map((one) => veiled(step, one)) };
}

const isCause = (result: unknown): boolean =>
  result !== null && typeof result === 'object' && (result as Result)['code'] === CODE;

/** Under --check: a step that failed for want of what is known only later has not failed. */
export function untold(ended: Ended): Ended {
  const { outcome, result, reason = '' } = ended;
  const { results } = result;
  const isUntold = isCause(result) || (Array.isArray(results) && results.some(isCause));
  if (outcome !== 'failed' || !isUntold) return ended;
  return unforeseeable(reason);
}

/** How a step ends under --check where what it would do hangs on what has only been pretended. */
export const unforeseeable = (reason = ''): Ended => ({
  outcome: 'skipped',
  result: { is_unforeseeable: true },
  reason: `cannot be foreseen: ${reason}`,
});
