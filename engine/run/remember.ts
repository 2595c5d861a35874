import { isBad } from '../core/event.ts';
import type { StepOutcome } from '../core/event.ts';
import type { Result } from '../core/module.ts';
import { render } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import type { Course, States } from './course.ts';
import type { HostState } from './host-state.ts';
import { scopeOf } from './scope.ts';
import { registeredInCheck } from './unforeseen.ts';

const isResult = (value: unknown): value is Result =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** The results of a loop's items with the item each had; of a step without a loop, its own. */
function partsOf(step: Step, result: Result): readonly { result: Result; extra: Result }[] {
  const results = step.keywords.loop === undefined ? undefined : result['results'];
  if (!Array.isArray(results)) return [{ result, extra: {} }];
  return results.flatMap((part: unknown, index) =>
    isResult(part) ? [{ result: part, extra: { item: part['item'], index } }] : [],
  );
}

/** Handlers that the step's changes notify on this host; a template may speak of the item that changed. */
function handlersOf(course: Course, step: Step, state: HostState, result: Result): Set<string> {
  const names = new Set<string>();
  for (const handler of step.keywords.notify ?? []) {
    if (!handler.includes('{{')) {
      names.add(handler);
      continue;
    }
    for (const part of partsOf(step, result)) {
      if (part.result['changed'] === false) continue;
      const scope = scopeOf(state, step.vars, course.tools.world, part.extra);
      names.add(String(render(handler, scope, 'notify')));
    }
  }
  return names;
}

/** What `rescue` hears of a step that failed. */
export function rememberFailure(
  step: Step,
  name: string,
  sharers: States,
  result: Result,
  outcome: StepOutcome,
) {
  const { msg } = result;
  const message = typeof msg === 'string' ? msg : outcome;
  for (const state of sharers)
    state.failure = { task: name, module: step.moduleName, outcome, message, result };
}

/**
 * What a finished step leaves behind for later ones; the same whether it ran now or is taken from the journal.
 * `result` is what `register` gets; of a `run_once` all have it, while handlers are notified where it ran.
 */
export function remember(
  course: Course,
  step: Step,
  own: HostState,
  sharers: States,
  result: Result,
  outcome: StepOutcome,
  isReplay: boolean,
): void {
  for (const state of sharers) {
    const { register } = step.keywords;
    if (register !== undefined)
      state.registered.set(register, course.options.isCheck ? registeredInCheck(step, result) : result);
    if (outcome === 'changed') state.hasChanges = true;
    if (result['is_unforeseeable'] === true && step.moduleName === 'set' && isResult(step.params))
      for (const name of Object.keys(step.params)) state.unforeseen.set(name, step.name);
    if (isBad(outcome) || outcome === 'skipped') continue;
    for (const part of partsOf(step, result)) {
      if (step.moduleName === 'set' && isResult(part.result['set'])) {
        for (const [name, value] of Object.entries(part.result['set'])) {
          state.set.set(name, value);
          state.unforeseen.delete(name);
        }
      }
      if (step.moduleName === 'facts' && isResult(part.result['facts']))
        state.facts = { ...state.facts, ...part.result['facts'] };
    }
  }
  if (outcome !== 'changed') return;
  for (const name of handlersOf(course, step, own, result)) {
    if (!isReplay && !own.notified.has(name)) {
      const handler = course.tools.redactor.text(name);
      course.journal.append({ event: 'handler_notified', handler, host: own.host.name, by: step.id });
    }
    own.notified.add(name);
  }
}
