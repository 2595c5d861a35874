import { stepsOf } from '../../plan/plan.ts';
import type { PlannedPlay, Step } from '../../plan/plan.ts';
import { each } from '../batches.ts';
import { isStopped } from '../course.ts';
import type { Course, States } from '../course.ts';
import type { HostState } from '../host-state.ts';
import type { Obligation } from './obligations.ts';
import { onHost, undoUnderWay } from '../on-host.ts';

/** In doubt or interrupted: a resume goes on, and what is bent has to be as it is until then. */
const isPutOff = (course: Course): boolean =>
  isStopped(course) && (course.stop?.exitCode === 3 || course.stop?.exitCode === 4);

/** Where the play came to its end, the undo is the last of it; else a resume does its task again. */
async function undoOn(course: Course, undos: ReadonlyMap<string, Step>, state: HostState, isEarly: boolean) {
  const { ledger } = course.tools;
  const isOwn = ({ undo, host }: Obligation): boolean => host === state.host.name && undos.has(undo ?? '');
  let isBad = false;
  for (const { obligation, undo = '' } of ledger.open().filter(isOwn).toReversed()) {
    const step = undos.get(undo);
    // One undo may have put right what another one was for.
    if (!step || !ledger.open().some((one) => one.obligation === obligation)) continue;
    if (isPutOff(course)) break;
    undoUnderWay(course, step, state.host.name);
    isBad = (await onHost(course, isEarly ? { ...step, isEarly } : step, state, [state])) || isBad;
  }
  return isBad;
}

/**
 * Undoes what the play's tasks have changed and an `undo` puts back, on each of these hosts the last first; also where
 * the play failed. Gives the hosts on which that did not go well.
 */
export async function undoAll(
  course: Course,
  play: PlannedPlay,
  states: States,
  failed: ReadonlySet<HostState>,
): Promise<Set<HostState>> {
  const bad = new Set<HostState>();
  const undos = new Map([...stepsOf(play.nodes)].flatMap(({ undo }) => (undo ? [[undo.id, undo]] : [])));
  if (undos.size === 0 || isPutOff(course)) return bad;
  const isStoppedEarly = course.stop !== undefined;
  await each(states, course.options.forks, async (state) => {
    if (await undoOn(course, undos, state, isStoppedEarly || failed.has(state))) bad.add(state);
  });
  return bad;
}
