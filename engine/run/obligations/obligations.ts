import type { Happening, RunEvent } from '../../core/event.ts';

type Opened = Extract<RunEvent, { event: 'obligation_opened' }>;

/** Something a run has bent and nobody has put right yet. `obligation` is `NAME@WHERE`. */
export type Obligation = Omit<Opened, 'event' | 'seq'>;

export const keyOf = (name: string, where: string): string => `${name}@${where}`;

/** What is bent and not put right, as far as the events heard so far tell. */
export interface Ledger {
  hear(event: RunEvent): void;
  /** Oldest first. */
  open(): readonly Obligation[];
}

/** A fold over events, of one run or of several in the order of time. */
export function ledgerOf(events: Iterable<RunEvent>): Ledger {
  const open = new Map<string, Obligation>();
  const hear = (event: RunEvent): void => {
    if (event.event !== 'obligation_opened' && event.event !== 'obligation_closed') return;
    open.delete(event.obligation);
    if (event.event === 'obligation_opened') open.set(event.obligation, event);
  };
  for (const event of events) hear(event);
  return { hear, open: () => [...open.values()] };
}

/** Keeps a run from ending well: what is meant to stay does not. */
export const isDue = ({ isLasting }: Obligation): boolean => isLasting !== true;

/** One obligation in a sentence: what is bent, under which word, since when. */
export const obligationText = ({ obligation, host, message, step }: Obligation): string =>
  `${message} (${obligation}, since \`${step}\` on ${host})`;

/** Why a run with open obligations did not end well, and what to do about it; undefined where there is none. */
export function openReason(run: string, open: readonly Obligation[]): string | undefined {
  if (open.length === 0) return undefined;
  const isUndone = open.every(({ undo }) => undo !== undefined);
  const how = isUndone
    ? `\`drillbook resume ${run}\` undoes it`
    : `put it right, then \`drillbook resume ${run}\` or \`drillbook obligations\` sees that it is`;
  return `open: ${open.map(obligationText).join('; ')} — ${how}`;
}

/** The end of an obligation, as the journal tells it. */
export const closed = (
  { obligation, host }: Pick<Obligation, 'obligation' | 'host'>,
  by: string,
  redo?: string,
): Extract<Happening, { event: 'obligation_closed' }> => ({
  event: 'obligation_closed',
  obligation,
  host,
  by,
  ...(redo === undefined ? {} : { redo }),
});
