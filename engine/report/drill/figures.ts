import type { DrillRecord } from '../../drill/record.ts';
import type { Measures } from '../../drill/measures.ts';

/** One figure of a drill. Times in ms; null where there was nothing to measure. */
export interface Figure {
  readonly figure: string;
  readonly value: number | null;
  readonly unit: 'ms' | 'rows' | 'a second' | 'looks';
  readonly about: string;
  /** It is at least this: clients still had no answer when they stopped. */
  readonly isAtLeast: boolean;
  /** Its goal, where the drill file has one. */
  readonly wanted: number | null;
  readonly isMet: boolean | null;
}

type Plain = readonly [figure: string, value: number | null, unit: Figure['unit'], about: string];

const plainFigures = (measures: Measures): readonly Plain[] => [
  ['rto', measures.rtoMs, 'ms', 'longest time without an acknowledged write'],
  ['rpo', measures.rpo.rows, 'rows', 'acknowledged writes that are lost'],
  [
    'rpo_before_heal',
    measures.rpoBeforeHeal?.rows ?? null,
    'rows',
    'acknowledged writes that were missing before a fault was healed, at the worst',
  ],
  ['rpo_time', measures.rpo.ms, 'ms', 'from the last kept acknowledgement to the last lost one'],
  ['detect', measures.detectMs, 'ms', 'until the other node first took writes, had a VIP or was reached'],
  ['vip', measures.vipMs, 'ms', 'until a client reached the other node by the VIP'],
  ['promote', measures.promoteMs, 'ms', 'until the other node took writes'],
  ['duplicates', measures.duplicates, 'rows', 'written twice, for a client tried again'],
  ['unacknowledged', measures.unacknowledged, 'rows', 'there although no client was told so'],
  ['acknowledged', measures.acknowledged, 'rows', 'acknowledged in all'],
  ['rate', Math.round(measures.rate), 'a second', 'acknowledged before the fault'],
  ...(measures.page
    ? ([
        ['page_gap', measures.page.gapMs, 'ms', 'longest time without a good answer of the page'],
        ['page_bad', measures.page.bad, 'looks', `at the page that failed, of ${measures.page.looks}`],
      ] as const)
    : []),
];

/** The figures of a drill beside their goals; none of one that was not measured. */
export const figuresOf = ({ measures, goals }: DrillRecord): readonly Figure[] =>
  (measures ? plainFigures(measures) : []).map(([figure, value, unit, about]) => {
    const goal = goals.find((one) => one.goal === figure);
    const isAtLeast = figure === 'rto' && measures?.isServing === false;
    return {
      ...{ figure, value, unit, about, isAtLeast },
      ...{ wanted: goal?.wanted ?? null, isMet: goal?.isMet ?? null },
    };
  });

/** `4.3 s`, `≥ 4.3 s`, `12 rows`, `–`. */
export function figureText(value: number | null, unit: Figure['unit'], isAtLeast = false): string {
  if (value === null) return '–';
  const bound = isAtLeast ? '≥ ' : '';
  if (unit === 'ms') return `${bound}${(value / 1000).toFixed(1)} s`;
  return `${bound}${value} ${unit === 'rows' && value === 1 ? 'row' : unit}`;
}

/** RFC 4180: a head, and a row for each figure. */
export const drillCsv = (record: DrillRecord): string =>
  ['drill,started,figure,value,unit,wanted,met,bound', ...figuresOf(record).map((one) => csvRow(record, one))]
    .map((line) => `${line}\r\n`)
    .join('');

const csvRow = (
  { drill, startedAt }: DrillRecord,
  { figure, value, unit, wanted, isMet, isAtLeast }: Figure,
): string =>
  [drill, startedAt, figure, value ?? '', unit, wanted ?? '', isMet ?? '', isAtLeast ? 'at least' : ''].join(
    ',',
  );
