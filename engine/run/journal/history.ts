import type { RunEvent, StepOutcome } from '../../core/event.ts';
import type { Boot } from '../jobs.ts';
import { endItem, keptOf, newTries, spend } from './tries.ts';
import type { Tries } from './tries.ts';

export type Finished = Extract<RunEvent, { event: 'step_finished' }>;
export type Progress = Extract<RunEvent, { event: 'step_progress' }>;

/** How a step ended, without what it left: of that a run may have more than fits in memory. */
export interface Ending {
  readonly seq: number;
  readonly outcome: StepOutcome;
  readonly isForgiven: boolean;
  readonly hasChanges: boolean;
}

/** Where a step stood when the run ended. */
export interface Past {
  readonly finished?: Ending;
  /** Items of its loop that ended, by index. */
  readonly items: ReadonlyMap<number, Progress>;
  /** Begun and not finished, so that something of it may have been under way. */
  readonly isOpen: boolean;
  /** An undo that was begun before its play came to its end. */
  readonly isEarly: boolean;
  readonly tries: Tries;
}

/**
 * What an interrupted run has done, by step and host: a fold over its events. Looking a step up uses it up, so that
 * one which runs several times (a flushed handler) is met once for each time, in order.
 */
export interface History {
  take(step: string, host: string): Past | undefined;
  /** What `take` would give next. */
  peek(step: string, host: string): Past | undefined;
  /** The end as the journal has it, with what the step left. */
  whole(ending: Ending): Finished;
  /** From here on the host goes another way than the journal tells: what it did after `seq` no longer counts. */
  diverge(host: string, seq: number): void;
  /** The same for every host, after what the journal has of `step` on any of them. */
  divergeAll(step: string): void;
  /** Cluster → node → role, as found; empty while no step has begun, since nothing was decided by them then. */
  readonly roles: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** The boots of hosts on which jobs were begun, in order. */
  readonly boots: readonly Boot[];
  /** The questions that were confirmed. */
  readonly confirmed: ReadonlySet<string>;
}

interface Entry {
  readonly seq: number;
  finished?: Ending;
  items: Map<number, Progress>;
  readonly tries: Tries;
  /** Ctrl-C came between two attempts or items: nothing was under way. */
  isPaused: boolean;
  isEarly: boolean;
}

const newEntry = (seq: number, rest: Partial<Entry> = {}): Entry => ({
  seq,
  items: new Map(),
  tries: newTries(seq),
  isPaused: false,
  isEarly: false,
  ...rest,
});

const endingOf = ({ seq, outcome, isForgiven = false, changes = [] }: Finished): Ending => ({
  seq,
  outcome,
  isForgiven,
  hasChanges: changes.length > 0,
});

/** Shared by all that ended well: nothing is taken up again there. */
const NOTHING: Pick<Entry, 'items' | 'tries' | 'isPaused' | 'isEarly'> = newEntry(0);

/** Host → step → each time it ran. */
type Book = Map<string, Map<string, Entry[]>>;

function entriesOf(book: Book, host: string, step: string): Entry[] {
  const steps = book.get(host) ?? new Map<string, Entry[]>();
  book.set(host, steps);
  const list = steps.get(step) ?? [];
  steps.set(step, list);
  return list;
}

/** A step that did not go well is tried again by a resume: what its host did after that failure was another way. */
function forget(book: Book, host: string, seq: number, resumedAt: number): void {
  for (const [step, list] of book.get(host) ?? []) {
    book.get(host)?.set(
      step,
      list.filter((entry) => entry.seq <= seq || entry.seq > resumedAt),
    );
  }
}

/** A start runs the items again that did not go well: what was told of them is of no more use. */
const itemsDone = (items: ReadonlyMap<number, Progress>): Map<number, Progress> =>
  new Map([...items].filter(([, { outcome }]) => wentWell(outcome)));

function begin(book: Book, host: string, step: string, seq: number, resumedAt: number): void {
  const last = entriesOf(book, host, step).at(-1);
  // A second start without an end is the same attempt taken up again.
  if (last && !last.finished) {
    last.items = itemsDone(last.items);
    last.isPaused = false;
    return;
  }
  const isRetry = last?.finished !== undefined && !isSettled(last.finished);
  if (isRetry && last.finished) {
    forget(book, host, last.finished.seq, resumedAt);
    entriesOf(book, host, step).pop();
  }
  entriesOf(book, host, step).push(newEntry(seq, { items: isRetry ? itemsDone(last.items) : new Map() }));
}

/** An attempt failed and is tried again, an item has ended, or it was decided to run one again. */
function advance(last: Entry | undefined, event: Progress): void {
  if (!last) return;
  const { item = 0, attempt, isRerun, outcome } = event;
  if (attempt !== undefined) spend(last.tries, item, attempt);
  if (isRerun) last.tries.since = event.seq;
  if (outcome !== undefined) last.items.set(item, event);
  if (isRerun || outcome !== undefined) endItem(last.tries, item);
}

/** In doubt or interrupted: a resume takes it up where it was. */
const isUnfinished = ({ outcome }: Finished): boolean => outcome === 'in_doubt' || outcome === 'not_run';

/** The steps of a run as they are told, event by event. */
function reader(book: Book): (event: RunEvent) => void {
  let resumedAt = 0;
  return (event) => {
    if (event.event === 'run_resumed') resumedAt = event.seq;
    if (event.event === 'step_started') {
      begin(book, event.host, event.step, event.seq, resumedAt);
      const last = entriesOf(book, event.host, event.step).at(-1);
      if (last) last.isEarly = event.isEarly === true;
    }
    // What was undone is to be done again.
    else if (event.event === 'obligation_closed' && event.redo !== undefined)
      entriesOf(book, event.host, event.redo).pop();
    else if (event.event === 'step_progress') advance(entriesOf(book, event.host, event.step).at(-1), event);
    else if (event.event === 'step_kept') {
      const last = entriesOf(book, event.host, event.step).at(-1);
      if (last) keptOf(last.tries, event.item).set(event.name, event.value);
    } else if (event.event === 'step_finished' && isUnfinished(event)) {
      const last = entriesOf(book, event.host, event.step).at(-1);
      if (last && event.outcome === 'not_run') last.isPaused = true;
    } else if (event.event === 'step_finished') {
      // A skipped step has no start; neither has one that a resume decided about.
      if (entriesOf(book, event.host, event.step).at(-1)?.finished) {
        begin(book, event.host, event.step, event.seq, resumedAt);
      }
      const list = entriesOf(book, event.host, event.step);
      const last = list.at(-1)?.finished ? undefined : list.pop();
      const finished = endingOf(event);
      const seq = last?.seq ?? event.seq;
      list.push(
        isSettled(finished) ? { ...NOTHING, seq, finished } : { ...(last ?? newEntry(seq)), finished },
      );
    }
  };
}

/** Reads a journal once; `at` gives an event of it again. */
export function historyOf(events: Iterable<RunEvent>, at: (seq: number) => RunEvent): History {
  const book: Book = new Map();
  const hear = reader(book);
  const found = new Map<string, Readonly<Record<string, string>>>();
  const lastOf = new Map<string, number>();
  const boots: Boot[] = [];
  const confirmed = new Set<string>();
  for (const event of events) {
    hear(event);
    if ('step' in event && event.step !== undefined) lastOf.set(event.step, event.seq);
    if (event.event === 'roles_found') found.set(event.cluster, event.roles);
    if (event.event === 'host_connected') boots.push(event);
    if (event.event === 'confirmation_given') confirmed.add(event.question);
  }
  const roles = lastOf.size > 0 ? found : new Map<string, never>();
  const diverged = new Map<string, number>();
  let divergedAll = Number.POSITIVE_INFINITY;

  const pastOf = (entry: Entry | undefined, host: string): Past | undefined => {
    const limit = Math.min(divergedAll, diverged.get(host) ?? Number.POSITIVE_INFINITY);
    if (!entry || entry.seq > limit) return undefined;
    const { items, finished, tries, isPaused, isEarly } = entry;
    const isOpen = !finished && !isPaused;
    return { items, isOpen, isEarly, tries, ...(finished ? { finished } : {}) };
  };
  return {
    take: (step, host) => pastOf(book.get(host)?.get(step)?.shift(), host),
    peek: (step, host) => pastOf(book.get(host)?.get(step)?.[0], host),
    diverge(host, seq) {
      diverged.set(host, Math.min(seq, diverged.get(host) ?? Number.POSITIVE_INFINITY));
    },
    divergeAll(step) {
      divergedAll = Math.min(divergedAll, lastOf.get(step) ?? divergedAll);
    },
    whole: ({ seq }) => at(seq) as Finished,
    roles,
    boots,
    confirmed,
  };
}

/** Ended, and not badly. */
export const wentWell = (outcome: StepOutcome | undefined): boolean =>
  outcome === 'ok' || outcome === 'changed' || outcome === 'skipped';

/** Resume does not run a settled step again: it went well, or its failure was allowed for. */
export function isSettled(finished: Pick<Finished, 'outcome' | 'isForgiven'> | undefined): boolean {
  return finished !== undefined && (wentWell(finished.outcome) || finished.isForgiven === true);
}
