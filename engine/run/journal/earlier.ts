import type { RunEvent } from '../../core/event.ts';
import { runIds, wordOf } from './journal.ts';
import type { Reading } from './journal.ts';

/** What makes two runs the same work. */
export interface Work {
  readonly playbook: string;
  readonly inventory: string;
}

/** A step of a run that tells how long the rest takes, and the host it ran on; undefined: for all. */
export interface Milestone {
  readonly step: string;
  readonly host: string | undefined;
}

/**
 * From the first beginning of the step to the end; without the time in which the run stood still until it was resumed.
 * Undefined of a run that had nothing to do after it, or on one of two hosts: what is to be done now takes longer.
 */
function restAfter(events: Iterable<RunEvent>, { step, host }: Milestone): number | undefined {
  let from: number | undefined;
  let last = 0;
  let still = 0;
  const hasChanged = new Map<string, boolean>(host === undefined ? [] : [[host, false]]);
  for (const event of events) {
    const at = Date.parse(event.at);
    if (event.event === 'step_started' && event.step === step) from ??= at;
    if (event.event === 'run_resumed' && from !== undefined) still += at - last;
    if (event.event === 'step_finished' && from !== undefined && (host ?? event.host) === event.host)
      hasChanged.set(event.host, hasChanged.get(event.host) === true || event.outcome === 'changed');
    last = at;
  }
  const isTelling = [...hasChanged.values()].every(Boolean);
  return from === undefined || !isTelling ? undefined : last - from - still;
}

const isSame = ({ first, last }: ReturnType<Reading['glance']>, { playbook, inventory }: Work): boolean =>
  first?.event === 'run_started' &&
  !first.isCheck &&
  first.playbook === playbook &&
  first.inventory === inventory &&
  last?.event === 'run_finished' &&
  last.outcome === 'done';

/** How long, in ms, earlier runs of the same work that went well took from the beginning of a step to their end. */
export const restsAfter = (stateDir: string, work: Work, milestone: Milestone): readonly number[] =>
  runIds(stateDir).flatMap(
    (run) =>
      wordOf(stateDir, run, (journal) =>
        isSame(journal.glance(), work) ? restAfter(journal.events(), milestone) : undefined,
      ) ?? [],
  );
