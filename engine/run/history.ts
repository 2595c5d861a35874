import type { Happening, RunEvent } from '../core/event.ts';

export type Finished = Extract<RunEvent, { event: 'step_finished' }>;
export type Progress = Extract<RunEvent, { event: 'step_progress' }>;

/** Where a step stood when the run ended. */
export interface Past {
  readonly finished?: Finished;
  /** Items of its loop that ended, by index. */
  readonly items: ReadonlyMap<number, Progress>;
  /** Begun and not finished. */
  readonly isOpen: boolean;
}

/**
 * What an interrupted run has done, by step and host: a fold over its events. Looking a step up uses it up, so that
 * one which runs several times (a flushed handler) is met once for each time, in order.
 */
export interface History {
  take(step: string, host: string): Past | undefined;
  /** From here on the host goes another way than the journal tells: what it did after `seq` no longer counts. */
  diverge(host: string, seq: number): void;
  readonly roles: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly isConfirmed: boolean;
}

interface Entry {
  seq: number;
  finished?: Finished;
  items: Map<number, Progress>;
}

const keyOf = (step: string, host: string): string => `${step}\0${host}`;

export function historyOf(events: readonly RunEvent[]): History {
  const entries = new Map<string, Entry[]>();
  const roles = new Map<string, Readonly<Record<string, string>>>();
  const diverged = new Map<string, number>();
  let isConfirmed = false;
  for (const event of events) {
    if (event.event === 'roles_found') roles.set(event.cluster, event.roles);
    if (event.event === 'confirmation_given') isConfirmed = true;
    if (event.event !== 'step_started' && event.event !== 'step_progress' && event.event !== 'step_finished')
      continue;
    const key = keyOf(event.step, event.host);
    const list = entries.get(key) ?? [];
    entries.set(key, list);
    const last = list.at(-1);
    if (event.event === 'step_started') {
      // A second start without an end is the same attempt taken up again by a resume.
      if (!last || last.finished) list.push({ seq: event.seq, items: new Map() });
    } else if (event.event === 'step_progress') {
      if (event.item !== undefined && event.outcome !== undefined) last?.items.set(event.item, event);
    } else if (last && !last.finished) last.finished = event;
    else list.push({ seq: event.seq, finished: event, items: new Map() });
    // A step that failed and was tried again by a resume counts by its last try.
    const settled = list.filter((entry, i) => i === list.length - 1 || isSettled(entry.finished));
    entries.set(key, settled);
  }
  return {
    take(step, host) {
      const entry = entries.get(keyOf(step, host))?.shift();
      if (!entry || entry.seq > (diverged.get(host) ?? Number.POSITIVE_INFINITY)) return undefined;
      return {
        items: entry.items,
        isOpen: !entry.finished,
        ...(entry.finished ? { finished: entry.finished } : {}),
      };
    },
    diverge(host, seq) {
      diverged.set(host, Math.min(seq, diverged.get(host) ?? Number.POSITIVE_INFINITY));
    },
    roles,
    isConfirmed,
  };
}

/** Resume does not run a settled step again: it went well, or its failure was allowed for. */
export function isSettled(finished: Finished | undefined): boolean {
  if (!finished) return false;
  const { outcome, isForgiven } = finished;
  return outcome === 'ok' || outcome === 'changed' || outcome === 'skipped' || isForgiven === true;
}

/** How the last part of a run ended, or undefined while it is open. */
export const endOf = (
  events: readonly RunEvent[],
): Extract<Happening, { event: 'run_finished' }> | undefined => {
  const last = events.findLast(
    (event) =>
      event.event === 'run_finished' || event.event === 'run_resumed' || event.event === 'run_interrupted',
  );
  return last?.event === 'run_finished' ? last : undefined;
};
