/** How often a step, or each item of its loop (else item 0), was tried on a host; a resume goes on counting. */
export interface Tries {
  /** What the names of its jobs begin with: the same for as long as it is taken up again. */
  readonly job: string;
  /** The event of the journal that told the intent, or the last decision to run it again. */
  since: number;
  /** Item → times it has ended, or was decided to run again. */
  readonly ran: Map<number, number>;
  /** Item → attempts spent since it ended last. */
  readonly spent: Map<number, number>;
  /** Item → what the attempt in hand has kept. */
  readonly kept: Map<number, Map<string, unknown>>;
}

export const newTries = (seq: number, job = String(seq)): Tries => ({
  job,
  since: seq,
  ran: new Map(),
  spent: new Map(),
  kept: new Map(),
});

/** An attempt failed and the next one follows. */
export function spend(tries: Tries, item: number, attempts: number): void {
  tries.spent.set(item, attempts);
  tries.kept.delete(item);
}

/** An item has ended, or is to run again: from here on it is another time. */
export function endItem(tries: Tries, item: number): void {
  tries.ran.set(item, (tries.ran.get(item) ?? 0) + 1);
  tries.spent.delete(item);
  tries.kept.delete(item);
}

/** What is kept of the attempt in hand. */
export function keptOf(tries: Tries, item: number): Map<string, unknown> {
  const kept = tries.kept.get(item) ?? new Map<string, unknown>();
  tries.kept.set(item, kept);
  return kept;
}
