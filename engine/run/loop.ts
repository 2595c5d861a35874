import { isBad } from '../core/event.ts';
import type { StepOutcome } from '../core/event.ts';
import type { Change, Result } from '../core/module.ts';
import { compile, eachTemplate, render } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import type { Course } from './course.ts';
import { wentWell } from './journal/history.ts';
import type { Progress } from './journal/history.ts';
import type { HostState } from './host-state.ts';
import { scopeOf } from './scope.ts';
import { registeredOf, shownReason } from './ended.ts';
import type { Ended } from './ended.ts';
import type { Turn } from './once.ts';
import { endItem } from './journal/tries.ts';
import type { Tries } from './journal/tries.ts';

/** What an interrupted loop had done. */
export interface PastLoop {
  readonly items: ReadonlyMap<number, Progress>;
  readonly tries: Tries;
  /** Something may have been under way: the first item that nothing is known of. */
  readonly isOpen: boolean;
  /** The first item that nothing is known of, or that is in doubt, was under way and is left out as decided. */
  readonly isDoubtSkipped: boolean;
}

const ITEM = ['item', 'index'];

/** True when a condition of the step reads the item, by itself or through a variable of the task. */
export function asksItem(step: Step): boolean {
  const names = new Set(ITEM);
  for (const layer of step.vars) {
    for (const [name, value] of Object.entries(layer)) {
      eachTemplate(value, [], (text) => {
        if (compile(text).references.some(({ root }) => names.has(root))) names.add(name);
      });
    }
  }
  return step.when.some(({ references }) => references.some(({ root }) => names.has(root)));
}

function textOf(step: Step, item: unknown, index: number, scope: Scope): string {
  if (step.isSecret) return `item ${index + 1}`;
  const label = step.keywords.label === undefined ? item : render(step.keywords.label, scope, 'label');
  return typeof label === 'object' ? JSON.stringify(label) : String(label);
}

/** Finds what an item gave before the interruption: by the item itself, since the list may have changed. */
function pastOf(past: PastLoop) {
  const left = new Map(past.items);
  return (item: unknown, index: number): Progress | undefined => {
    const wanted = JSON.stringify(item);
    const isSame = (known: Progress | undefined): boolean =>
      known !== undefined && JSON.stringify(known.result?.['item']) === wanted;
    const at = isSame(left.get(index)) ? index : [...left].find(([, known]) => isSame(known))?.[0];
    if (at === undefined) return undefined;
    const known = left.get(at);
    left.delete(at);
    return known;
  };
}

/** Runs `once` for each item in order; items that ended before an interruption are not run again. */
export async function loop(
  course: Course,
  step: Step,
  state: HostState,
  items: readonly unknown[],
  past: PastLoop,
  once: (scope: Scope, turn: Turn) => Promise<Ended>,
): Promise<Ended> {
  const { redactor, world } = course.tools;
  const known = pastOf(past);
  const results: Result[] = [];
  const changes: Change[] = [];
  let outcome: StepOutcome = items.length === 0 ? 'skipped' : 'ok';
  let reason = items.length === 0 ? 'the loop has no items' : undefined;
  let skipped = 0;
  let isDoubtSkipped = past.isDoubtSkipped;
  let isOpen = past.isOpen;
  for (const [index, item] of items.entries()) {
    const done = known(item, index);
    if (done && wentWell(done.outcome)) {
      results.push({ ...done.result, item });
      if (done.outcome === 'changed' && outcome === 'ok') outcome = 'changed';
      if (done.outcome === 'skipped') skipped++;
      continue;
    }
    if (course.options.interrupt.aborted && results.length > 0) {
      const told = `interrupted after ${results.length} of ${items.length} items`;
      return { outcome: 'not_run', result: { results }, changes, reason: told, isInterrupted: true };
    }
    const scope = scopeOf(state, step.vars, world, { item, index });
    const text = textOf(step, item, index, scope);
    const isDoubtful = done === undefined;
    const ended: Ended =
      isDoubtSkipped && isDoubtful
        ? { outcome: 'skipped', result: {}, reason: 'its outcome was unknown; skipped as decided' }
        : await once(scope, { tries: past.tries, index, item, isAgain: isOpen && isDoubtful });
    if (isDoubtful) {
      isDoubtSkipped = false;
      isOpen = false;
    }
    const registered = { ...registeredOf(ended), item };
    // Not told as ended: a resume takes it up where it is.
    if (ended.outcome === 'in_doubt' && !ended.isInterrupted)
      return { ...ended, result: { results }, changes, reason: `${text}: ${ended.reason ?? ended.outcome}` };
    if (ended.isInterrupted) return { ...ended, result: { results }, changes };
    results.push(registered);
    changes.push(...(ended.changes ?? []).map((change) => ({ ...change, what: `${text}: ${change.what}` })));
    const why = shownReason(step, ended);
    const result = step.isSecret ? { is_hidden: true } : redactor.value(registered);
    course.journal.append(
      {
        event: 'step_progress',
        step: step.id,
        host: state.host.name,
        message: redactor.text(why === undefined ? text : `${text}: ${why}`),
        item: index,
        outcome: ended.outcome,
        result,
      },
      result === registered ? undefined : { result: registered },
    );
    endItem(past.tries, index);
    if (step.module?.kind === 'action' || ended.outcome === 'changed') await course.journal.commit();
    if (ended.outcome === 'skipped') skipped++;
    if (ended.outcome === 'changed' && outcome === 'ok') outcome = 'changed';
    if (isBad(ended.outcome)) {
      reason ??= `${text}: ${ended.reason ?? ended.outcome}`;
      outcome = ended.outcome;
      if (ended.isGuard || ended.outcome !== 'failed')
        return { ...ended, result: { results }, changes, reason };
    }
  }
  if (items.length > 0 && skipped === items.length) outcome = 'skipped';
  return { outcome, result: { results }, changes, reason };
}
