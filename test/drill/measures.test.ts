import { describe, expect, test } from 'vitest';
import type { Entry, Reach } from '../../engine/drill/ledger.ts';
import { lossOf, longestGap, measure } from '../../engine/drill/measures.ts';
import type { Observed, Rows, Seen } from '../../engine/drill/measures.ts';
import { goalsOf, goalText } from '../../engine/drill/verdict.ts';

const ack = (n: number, ackMs: number, attempt = 1): Entry => ({
  ...{ n, attempt, sentMs: ackMs - 5, ackMs, server: 'a', error: undefined },
});
const unheard = (n: number, sentMs: number, error: string, attempt = 1): Entry => ({
  ...{ n, attempt, sentMs, ackMs: undefined, server: 'a', error },
});
/** Rows by their numbers, each the first attempt; `n.attempt` for another. */
const there = (...rows: readonly number[]): Rows => {
  const found = new Map<number, number[]>();
  for (const row of rows) {
    const n = Math.floor(row);
    found.set(n, [...(found.get(n) ?? []), Math.round((row - n) * 10) || 1]);
  }
  return found;
};
const reach = (ms: number, server: string | undefined): Reach => ({
  ...{ ms, server, error: server === undefined ? 'ETIMEDOUT' : undefined },
});
const seen = (ms: number, node: string, role: string, vips: readonly string[] = []): Seen => ({
  ...{ ms, node, role, isWritable: role === 'primary', vips, replication: 'normal' },
});

const WHOLE = { fromMs: 0, untilMs: 10_000 };

describe('the longest time without an acknowledged write', () => {
  test('lies between two acknowledgements around the fault', () => {
    expect(longestGap([900, 1000, 4200, 9990], { fromMs: 0, untilMs: 9995 }, 1100)).toEqual({
      ...{ fromMs: 4200, untilMs: 9990 },
    });
    expect(longestGap([900, 1000, 4200, 4300], { fromMs: 0, untilMs: 4400 }, 1100)).toEqual({
      ...{ fromMs: 1000, untilMs: 4200 },
    });
  });

  test('does not count what was slow before the fault', () => {
    expect(longestGap([100, 5000, 5100, 5400], { fromMs: 0, untilMs: 5500 }, 5050)).toEqual({
      ...{ fromMs: 5100, untilMs: 5400 },
    });
  });

  test('lasts to the end where nothing was acknowledged any more, and from the start where nothing ever was', () => {
    expect(longestGap([1000], WHOLE, 1100)).toEqual({ fromMs: 1000, untilMs: 10_000 });
    expect(longestGap([], WHOLE, 1100)).toEqual(WHOLE);
  });
});

describe('acknowledged rows that are lost', () => {
  const entries = [ack(1, 100), ack(2, 200), ack(4, 250), ack(3, 300), ack(5, 900)];

  test('are counted, with the time from the last kept one to the last lost one', () => {
    expect(lossOf(entries, there(1, 2, 5))).toEqual({ rows: 2, ms: 100, numbers: [4, 3] });
  });

  test('are none where all are there, and none that nobody acknowledged', () => {
    expect(lossOf([...entries, unheard(6, 950, 'ETIMEDOUT')], there(1, 2, 3, 4, 5))).toEqual({
      ...{ rows: 0, ms: 0, numbers: [] },
    });
  });

  test('are lost too where another attempt is there, which nobody acknowledged', () => {
    const again = [...entries, unheard(6, 950, 'ETIMEDOUT'), ack(6, 1000, 2)];
    expect(lossOf(again, there(1, 2, 3, 4, 5, 6)).numbers).toEqual([6]);
    expect(lossOf(again, there(1, 2, 3, 4, 5, 6.2)).rows).toBe(0);
  });

  test('are all of them where the table is empty', () => {
    expect(lossOf(entries, there())).toEqual({ rows: 5, ms: 800, numbers: [1, 2, 4, 3, 5] });
  });
});

const observed: Observed = {
  written: {
    entries: [
      ack(1, 500),
      ack(2, 1000),
      unheard(3, 2000, 'PROTOCOL_SEQUENCE_TIMEOUT'),
      ack(3, 5200, 2),
      unheard(4, 5100, 'ECONNRESET'),
      ack(5, 9800),
    ],
    reaches: [reach(100, 'a'), reach(3000, undefined), reach(4600, 'b'), reach(5000, 'b')],
  },
  there: there(1, 3, 3.2, 4, 5),
  thereBefore: [],
  pages: [100, 1500, 2200, 4700, 9900].map((ms) => ({ ms, isOk: ms !== 2200, error: undefined })),
  seen: [
    seen(0, 'dbk1', 'primary', ['v']),
    seen(0, 'dbk2', 'standby'),
    seen(4500, 'dbk2', 'unknown', ['v']),
    seen(4900, 'dbk2', 'primary', ['v']),
  ],
  whole: WHOLE,
  ...{ faultMs: 2000, primary: 'dbk1', server: 'a' },
};

test('a whole drill in figures', () => {
  expect(measure(observed)).toEqual({
    ...{ rtoMs: 4600, gap: { fromMs: 5200, untilMs: 9800 }, isServing: true },
    rpo: { rows: 1, ms: 500, numbers: [2] },
    rpoBeforeHeal: null,
    ...{ acknowledged: 4, rate: 1, duplicates: 1, unacknowledged: 1 },
    errors: { PROTOCOL_SEQUENCE_TIMEOUT: 1, ECONNRESET: 1, ETIMEDOUT: 1 },
    ...{ detectMs: 2500, promoteMs: 2900, vipMs: 2600 },
    page: { gapMs: 5200, bad: 1, looks: 5 },
  });
});

test('what was missing before the healing counts what was acknowledged by then, at the worst', () => {
  const at = (askedMs: number, ...all: readonly Rows[]) =>
    measure({ ...observed, thereBefore: all.map((rows) => ({ askedMs, rows })) }).rpoBeforeHeal;
  expect(at(6000, there(3.2))).toEqual({ rows: 2, ms: 500, numbers: [1, 2] });
  expect(at(6000, there(1, 2, 3.2))?.rows).toBe(0);
  expect(at(6000, there(1, 2, 3.2), there(3.2), there(1, 2, 3.2))?.rows).toBe(2);
});

test('without a takeover there is no time for one', () => {
  const calm = { ...observed, seen: observed.seen.slice(0, 2), pages: undefined };
  const { entries } = observed.written;
  const { detectMs, promoteMs, vipMs, page } = measure({
    ...calm,
    written: { entries, reaches: [reach(3000, 'a')] },
  });
  expect([detectMs, promoteMs, vipMs, page]).toEqual([null, null, null, null]);
});

test('a goal is met up to its bound, and never by what could not be measured', () => {
  const measures = measure(observed);
  const told = (goals: Parameters<typeof goalsOf>[0]) => goalsOf(goals, measures).map(({ isMet }) => isMet);
  expect(told({ rto: 4600, rpo: 1, detect: 2500, promote: 2900, duplicates: 1 })).toEqual(
    Array(5).fill(true),
  );
  expect(told({ rto: 4599, rpo: 0, detect: 2499, promote: 2899, duplicates: 0 })).toEqual(
    Array(5).fill(false),
  );
  const before = { ...measures, rpoBeforeHeal: { rows: 3, ms: 9, numbers: [] } };
  expect(goalsOf({ rpo_before_heal: 2 }, before).map(goalText)).toEqual([
    'RPO before heal 3 rows, wanted at most 2 rows',
  ]);
  const silent = { ...measures, isServing: false, promoteMs: null };
  expect(goalsOf({ rto: 60_000, promote: 60_000 }, silent).map(goalText)).toEqual([
    'RTO not reached, wanted at most 1m',
    'promote not reached, wanted at most 1m',
  ]);
});
