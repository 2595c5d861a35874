import { isBad } from '../core/event.ts';
import type { Step } from '../plan/plan.ts';
import { count, stopBy } from './course.ts';
import type { Course, States } from './course.ts';
import { registeredOf, shownReason } from './ended.ts';
import type { Ended } from './ended.ts';
import type { HostState } from './host-state.ts';
import { remember, rememberFailure } from './remember.ts';

/** Tells the journal how a step ended and draws the consequences; true when it went wrong and nothing forgives it here. */
export function finish(
  course: Course,
  step: Step,
  name: string,
  state: HostState,
  ended: Ended,
  startedAt: number,
  sharers: States,
): boolean {
  const { redactor } = course.tools;
  const isForgiven =
    isBad(ended.outcome) &&
    ended.outcome !== 'in_doubt' &&
    !ended.isGuard &&
    !ended.isInterrupted &&
    (step.isIgnored || course.rescueDepth > 0);
  const changes = step.isSecret ? ended.changes?.map(({ what }) => ({ what })) : ended.changes;
  const why = shownReason(step, ended);
  const reason = why === undefined ? undefined : redactor.text(why);
  const result = step.isSecret ? { is_hidden: true } : redactor.value(ended.result);
  // For a resume, which registers what there was.
  const isMasked = result !== ended.result || reason !== ended.reason;
  course.journal.append(
    {
      event: 'step_finished',
      step: step.id,
      name,
      module: step.moduleName,
      host: state.host.name,
      outcome: ended.outcome,
      durationMs: Math.round(performance.now() - startedAt),
      result,
      ...(changes && changes.length > 0 ? { changes: redactor.value(changes) } : {}),
      ...(reason === undefined ? {} : { reason }),
      ...(isForgiven ? { isForgiven } : {}),
    },
    isMasked ? { result: ended.result, reason: ended.reason } : undefined,
  );
  count(course, state.host.name, ended.outcome);
  if (ended.isInterrupted) stopBy(course, 3, 'interrupted');
  if (ended.isGuard) stopBy(course, 5, reason ?? 'stopped by a guard');
  if (ended.outcome === 'in_doubt') stopBy(course, 4, reason ?? 'a step’s outcome is unknown');
  try {
    remember(course, step, state, sharers, registeredOf(ended), ended.outcome, false);
  } catch (error) {
    // Only a template in `notify` can fail here, and the step itself has ended already.
    stopBy(course, 1, `${name}: ${(error as Error).message}`);
  }
  const isBadHere = isBad(ended.outcome) && !step.isIgnored;
  if (isBadHere) rememberFailure(step, name, sharers, registeredOf(ended), ended.outcome);
  return isBadHere;
}
