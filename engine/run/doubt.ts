import { DrillbookError } from '../core/error.ts';
import type { Step } from '../plan/plan.ts';
import { stopBy } from './course.ts';
import type { Course, OnInterrupt } from './course.ts';
import type { Ended } from './ended.ts';
import type { Past } from './history.ts';

export interface Doubt {
  readonly decision: OnInterrupt;
  /** How the step ends by that decision, where it is not to run at all. */
  readonly ended?: Ended;
}

/** What the command line, the task or the operator says; undefined when the operator's answer was Ctrl-C. */
async function decisionOn(course: Course, step: Step, question: string): Promise<OnInterrupt | undefined> {
  const { onInterrupt, decide } = course.options;
  const wanted = onInterrupt ?? step.keywords.on_interrupt ?? 'fail';
  if (wanted !== 'ask') return wanted;
  try {
    return (await decide?.(question)) ?? 'fail';
  } catch (error) {
    if (!(error instanceof DrillbookError) || !error.code.startsWith('interrupt.')) throw error;
    // The run stops; other hosts end what they are at.
    stopBy(course, 3, 'interrupted');
    return undefined;
  }
}

/** What becomes of an action that was under way when the run was interrupted; undefined where there is no doubt. */
export async function doubtAbout(
  course: Course,
  step: Step,
  host: string,
  name: string,
  past: Past | undefined,
): Promise<Doubt | 'interrupted' | undefined> {
  const isOpen = past?.isOpen === true || past?.finished?.outcome === 'in_doubt';
  const isCheck = step.checkMode ?? course.options.isCheck;
  if (!isOpen || step.module?.kind !== 'action' || isCheck) return undefined;
  const question = `${name} was under way when the run was interrupted; whether it ran on ${host} is not known`;
  const decision = await decisionOn(course, step, question);
  if (decision === undefined) return 'interrupted';
  if (decision === 'fail') {
    const reason = `${question} — look there, then resume with --on-interrupt rerun or skip`;
    return { decision, ended: { outcome: 'in_doubt', result: {}, reason } };
  }
  // A loop leaves out the item that was under way, and goes on with the next.
  if (decision === 'rerun' || step.keywords.loop !== undefined) return { decision };
  const reason = 'its outcome was unknown after an interruption; skipped as decided';
  return { decision, ended: { outcome: 'skipped', result: {}, reason } };
}
