import type { RunEvent } from '../../core/event.ts';
import { runIds, wordOf } from './journal.ts';
import type { Reading } from './journal.ts';

/** What makes two runs the same work. */
export interface Work {
  readonly playbook: string;
  readonly inventory: string;
}

/** From the first beginning of `step` to the end; without the time in which the run stood still until it was resumed. */
function restAfter(events: Iterable<RunEvent>, step: string): number | undefined {
  let from: number | undefined;
  let last = 0;
  let still = 0;
  for (const event of events) {
    const at = Date.parse(event.at);
    if (event.event === 'step_started' && event.step === step) from ??= at;
    if (event.event === 'run_resumed' && from !== undefined) still += at - last;
    last = at;
  }
  return from === undefined ? undefined : last - from - still;
}

const isSame = ({ first, last }: ReturnType<Reading['glance']>, { playbook, inventory }: Work): boolean =>
  first?.event === 'run_started' &&
  !first.isCheck &&
  first.playbook === playbook &&
  first.inventory === inventory &&
  last?.event === 'run_finished' &&
  last.outcome === 'done';

/** How long, in ms, earlier runs of the same work that went well took from the beginning of `step` to their end. */
export const restsAfter = (stateDir: string, work: Work, step: string): readonly number[] =>
  runIds(stateDir).flatMap(
    (run) =>
      wordOf(stateDir, run, (journal) =>
        isSame(journal.glance(), work) ? restAfter(journal.events(), step) : undefined,
      ) ?? [],
  );
