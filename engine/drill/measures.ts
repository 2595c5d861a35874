import type { Entry, PageLook, Written } from './ledger.ts';

/** From when to when, in ms since the drill began. */
export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** How many rows were looked for and not found. */
export interface Loss {
  readonly rows: number;
  /** From the last acknowledgement that was kept before the first lost one, to the last lost one. */
  readonly ms: number;
  /** The first of them. */
  readonly numbers: readonly number[];
}

export interface Measures {
  /** Longest time without an acknowledged write that touches the time from the first fault on; the whole of it. A lower bound where not `isServing`. */
  readonly rtoMs: number;
  readonly gap: Span;
  /** False where no write was acknowledged in the last second before the clients stopped. */
  readonly isServing: boolean;
  readonly rpo: Loss;
  /** Acknowledged rows that were not there right before a fault was healed, at the worst: its node may bring them back. Null where nobody answered. */
  readonly rpoBeforeHeal?: Loss | null;
  readonly acknowledged: number;
  /** Rows a second before the fault. */
  readonly rate: number;
  /** Numbers that stand in the table more than once, for a client tried again. */
  readonly duplicates: number;
  /** Numbers that are there although no client was told so. */
  readonly unacknowledged: number;
  /** What clients got instead of an answer: words of the library or server → how often. */
  readonly errors: Readonly<Record<string, number>>;
  readonly detectMs: number | null;
  readonly promoteMs: number | null;
  /** Until a client reached another server by the VIP. */
  readonly vipMs: number | null;
  /** The page on the VIP: longest time without a good answer, and answers that were not. */
  readonly page: { readonly gapMs: number; readonly bad: number; readonly looks: number } | null;
}

const MOST_NUMBERS = 20;
const SERVING_MS = 1000;

/** The longest stretch without a moment of `times` (sorted) that ends after `fromMs`. */
export function longestGap(times: readonly number[], whole: Span, fromMs: number): Span {
  let longest: Span = { fromMs, untilMs: fromMs };
  let before = whole.fromMs;
  for (const at of [...times, whole.untilMs]) {
    if (at >= fromMs && at - before > longest.untilMs - longest.fromMs)
      longest = { fromMs: before, untilMs: at };
    before = at;
  }
  return longest;
}

/** Rows of the ledger: number → the attempts that are there. */
export type Rows = ReadonlyMap<number, readonly number[]>;

/** Acknowledged rows that are not there; another attempt that is there was acknowledged to nobody. */
export function lossOf(entries: readonly Entry[], there: Rows): Loss {
  const acks = entries
    .flatMap(({ n, attempt, ackMs }) =>
      ackMs === undefined ? [] : [{ n, ackMs, isThere: there.get(n)?.includes(attempt) === true }],
    )
    .toSorted((a, b) => a.ackMs - b.ackMs);
  const lost = acks.filter(({ isThere }) => !isThere);
  const [first, last] = [lost[0], lost.at(-1)];
  if (first === undefined || last === undefined) return { rows: 0, ms: 0, numbers: [] };
  const kept = acks.findLast(({ isThere, ackMs }) => ackMs <= first.ackMs && isThere);
  return {
    rows: lost.length,
    ms: last.ackMs - (kept?.ackMs ?? first.ackMs),
    numbers: lost.slice(0, MOST_NUMBERS).map(({ n }) => n),
  };
}

/** Words → how often, the most frequent first. */
function counted(words: readonly (string | undefined)[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const word of words) if (word !== undefined) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a));
}

/** What the nodes were seen to do, changes only. */
export interface Seen {
  readonly ms: number;
  readonly node: string;
  readonly role: string;
  readonly isWritable: boolean;
  readonly vips: readonly string[];
  readonly replication: string;
}

export interface Observed {
  readonly written: Written;
  /** What is in the table at the end. */
  readonly there: Rows;
  /** The same right before each fault was healed, and when that was asked; of those where somebody answered. */
  readonly thereBefore: readonly { readonly askedMs: number; readonly rows: Rows }[];
  readonly pages: readonly PageLook[] | undefined;
  readonly seen: readonly Seen[];
  /** When the clients wrote. */
  readonly whole: Span;
  /** When the first fault was in force. */
  readonly faultMs: number;
  /** Primary before, and the name its server gives itself. */
  readonly primary: string;
  readonly server: string;
}

/** The smaller of those that are there. */
const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b);

/** All figures of a drill. Pure. */
export function measure(observed: Observed): Measures {
  const { written, there, thereBefore, pages, seen, whole, faultMs, primary, server } = observed;
  const { entries, reaches } = written;
  const acks = entries.flatMap(({ ackMs }) => ackMs ?? []).toSorted((a, b) => a - b);
  const gap = longestGap(acks, whole, faultMs);
  const missing = thereBefore.map(({ askedMs, rows }) =>
    lossOf(
      entries.filter(({ ackMs = Infinity }) => ackMs < askedMs),
      rows,
    ),
  );
  const acknowledged = new Set(entries.flatMap(({ n, ackMs }) => (ackMs === undefined ? [] : [n])));
  const since = (ms: number | undefined): number | null =>
    ms === undefined ? null : Math.max(0, ms - faultMs);
  const others = seen.filter(({ node, ms }) => node !== primary && ms >= faultMs);
  const first = reaches.find(
    (reach) => reach.ms >= faultMs && reach.server !== undefined && reach.server !== server,
  );
  const good = pages?.filter(({ isOk }) => isOk).map(({ ms }) => ms);
  const pageGap = good && longestGap(good, whole, faultMs);
  return {
    rtoMs: gap.untilMs - gap.fromMs,
    gap,
    isServing: (acks.at(-1) ?? -Infinity) > whole.untilMs - SERVING_MS,
    rpo: lossOf(entries, there),
    rpoBeforeHeal: missing.toSorted((a, b) => b.rows - a.rows)[0] ?? null,
    acknowledged: acknowledged.size,
    rate: acks.filter((ms) => ms < faultMs).length / Math.max(0.001, (faultMs - whole.fromMs) / 1000),
    duplicates: [...there.values()].filter((attempts) => attempts.length > 1).length,
    unacknowledged: [...there.keys()].filter((n) => !acknowledged.has(n)).length,
    errors: counted([...entries, ...reaches].map(({ error }) => error)),
    detectMs: since(
      least(others.find(({ vips, isWritable }) => vips.length > 0 || isWritable)?.ms, first?.ms),
    ),
    promoteMs: since(others.find(({ isWritable }) => isWritable)?.ms),
    vipMs: since(first?.ms),
    page:
      pages && pageGap
        ? {
            gapMs: pageGap.untilMs - pageGap.fromMs,
            bad: pages.filter(({ isOk }) => !isOk).length,
            looks: pages.length,
          }
        : null,
  };
}
