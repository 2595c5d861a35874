import type { RunEvent } from '../../core/event.ts';
import { isSettled } from '../journal/history.ts';

/** Where a step stands on the hosts it has come to. */
export interface Standing {
  readonly finished: readonly string[];
  /** Begun, and nobody knows how it ended. */
  readonly inFlight: readonly string[];
}

interface Mark {
  readonly seq: number;
  readonly state: 'begun' | 'finished' | 'failed';
}

function marksOf(events: Iterable<RunEvent>): Map<string, Map<string, Mark>> {
  const hosts = new Map<string, Map<string, Mark>>();
  for (const event of events) {
    if (event.event !== 'step_started' && event.event !== 'step_finished') continue;
    const { host, step, seq } = event;
    const marks = hosts.get(host) ?? new Map<string, Mark>();
    hosts.set(host, marks);
    if (event.event === 'step_started') {
      const before = marks.get(step);
      // Tried again: what the host did after that failure was another way.
      if (before?.state === 'failed')
        for (const [other, mark] of marks) if (mark.seq > before.seq) marks.delete(other);
      if (before?.state !== 'begun') marks.set(step, { seq, state: 'begun' });
    } else if (event.outcome === 'not_run') marks.set(step, { seq, state: 'failed' });
    else if (event.outcome !== 'in_doubt')
      marks.set(step, { seq, state: isSettled(event) ? 'finished' : 'failed' });
  }
  return hosts;
}

/** The steps that a resume takes from the journal or settles, as far as they will not be run from the start again. */
export function standings(events: Iterable<RunEvent>): ReadonlyMap<string, Standing> {
  const steps = new Map<string, { finished: string[]; inFlight: string[] }>();
  for (const [host, marks] of marksOf(events)) {
    const failed = [...marks.values()].flatMap(({ state, seq }) => (state === 'failed' ? [seq] : []));
    const end = Math.min(...failed);
    for (const [step, { seq, state }] of marks) {
      if (state === 'failed' || seq > end) continue;
      const standing = steps.get(step) ?? { finished: [], inFlight: [] };
      steps.set(step, standing);
      standing[state === 'finished' ? 'finished' : 'inFlight'].push(host);
    }
  }
  return steps;
}
