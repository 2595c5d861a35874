import { DrillbookError } from '../core/error.ts';
import type { Before, Course } from './course.ts';
import type { PairLock } from './pair-lock.ts';
import { until } from './stage.ts';
import { expectAll, runThen, steadyAfter, steadyBefore } from './states.ts';
import { strikeAll } from './strikes.ts';

/** A look under load may fail in passing: it is repeated for so long. */
const AGAIN_MS = 10_000;

/** The clients have been writing for a while: the pair may no longer be what it was. Throws where it is not. */
async function lookAgain(course: Course, before: Before): Promise<void> {
  let wrong: DrillbookError | undefined;
  const isSteady = async (): Promise<boolean> => {
    try {
      const { primary } = await steadyBefore(course);
      const why = `${primary} has become primary meanwhile, so nothing was done`;
      wrong = primary === before.primary ? undefined : new DrillbookError('guard.steady', why);
      return true;
    } catch (error) {
      if (!(error instanceof DrillbookError)) throw error;
      wrong = error;
      return error.code !== 'guard.steady';
    }
  };
  await until(isSteady, AGAIN_MS, course.request.interrupt);
  if (wrong !== undefined) throw wrong;
}

/**
 * The faults, what happens by itself, playbooks for the rest, and the steady state again, which is looked for too where
 * something went wrong meanwhile. The ms at which the first fault, or a planned stop, was due, or undefined where none was any more.
 */
export async function fallAndRise(
  course: Course,
  before: Before,
  lock: PairLock,
  beforeHeal: () => Promise<void>,
): Promise<number | undefined> {
  const { interrupt, drill } = course.request;
  await lookAgain(course, before);
  if (interrupt.aborted) return undefined;
  const isPlanned = drill.faults.length === 0;
  const faultMs = course.now() + (isPlanned ? 0 : Math.min(...drill.faults.map(({ after }) => after)));
  try {
    course.begin(isPlanned ? 'planned stop' : 'fault');
    const failed = new AbortController();
    const ends = await Promise.allSettled([
      strikeAll(course, before, failed, beforeHeal),
      expectAll(course, before, faultMs, failed),
    ]);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (!isPlanned) course.begin('healed');
    await runThen(course, before, lock);
  } catch (error) {
    course.begin('steady after');
    await steadyAfter(course, new AbortController().signal);
    throw error;
  }
  if (interrupt.aborted) return undefined;
  course.begin('steady after');
  await steadyAfter(course, interrupt);
  return faultMs;
}
