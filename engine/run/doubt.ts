import { DrillbookError } from '../core/error.ts';
import type { Step } from '../plan/plan.ts';
import { stopBy } from './course.ts';
import type { Course, OnInterrupt } from './course.ts';
import type { Ended } from './ended.ts';
import type { Past } from './journal/history.ts';

const SKIPPED = 'its outcome was unknown; skipped as decided';
const LOOK = 'look there, then resume with --on-interrupt rerun or skip';

/** What the task or the operator says; undefined when the operator's answer was Ctrl-C. */
async function decisionOn(
  course: Course,
  step: Step,
  question: string,
  given: OnInterrupt | undefined,
): Promise<OnInterrupt | undefined> {
  const wanted = given ?? step.keywords.on_interrupt ?? 'fail';
  if (wanted !== 'ask') return wanted;
  try {
    return (await course.options.decide?.(question)) ?? 'fail';
  } catch (error) {
    if (!(error instanceof DrillbookError) || !error.code.startsWith('interrupt.')) throw error;
    // The run stops; other hosts end what they are at.
    stopBy(course, 3, 'interrupted');
    return undefined;
  }
}

/**
 * What becomes of an attempt whose outcome nobody can tell; all others stay as they are. What --on-interrupt says is
 * about what an interrupted run had under way (`isPast`), not about what is lost from now on.
 */
export async function settled(
  course: Course,
  step: Step,
  ended: Ended,
  isPast: boolean,
): Promise<Ended | 'rerun'> {
  if (ended.outcome !== 'in_doubt' || ended.isInterrupted) return ended;
  const why = ended.reason ?? 'its outcome is unknown';
  const decision = await decisionOn(course, step, why, isPast ? course.options.onInterrupt : undefined);
  if (decision === 'rerun') return 'rerun';
  if (decision === 'skip') return { outcome: 'skipped', result: ended.result, reason: `${SKIPPED} (${why})` };
  if (decision === undefined) return { ...ended, isInterrupted: true };
  return { ...ended, reason: `${why} — ${LOOK}` };
}

export interface Doubt {
  readonly decision: OnInterrupt;
  /** How the step ends by that decision, where it is not to run at all. */
  readonly ended?: Ended;
}

/**
 * What becomes of an action that was under way when the run was interrupted, and that cannot find out itself whether it
 * was done; undefined where there is no doubt yet.
 */
export async function doubtAbout(
  course: Course,
  step: Step,
  host: string,
  name: string,
  past: Past | undefined,
): Promise<Doubt | 'interrupted' | undefined> {
  const { module } = step;
  const isCheck = step.checkMode ?? course.options.isCheck;
  if (!past?.isOpen || module?.kind !== 'action' || module.isResumable === true || isCheck) return undefined;
  const question = `${name} was under way when the run was interrupted; whether it ran on ${host} is not known`;
  const decision = await decisionOn(course, step, question, course.options.onInterrupt);
  if (decision === undefined) return 'interrupted';
  if (decision === 'fail') {
    return { decision, ended: { outcome: 'in_doubt', result: {}, reason: `${question} — ${LOOK}` } };
  }
  // A loop leaves out the item that was under way, and goes on with the next.
  if (decision === 'rerun' || step.keywords.loop !== undefined) return { decision };
  return { decision, ended: { outcome: 'skipped', result: {}, reason: SKIPPED } };
}
