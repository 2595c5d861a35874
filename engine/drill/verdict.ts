import { durationText } from '../core/duration.ts';
import type { Measures } from './measures.ts';
import type { GoalRecord } from './record.ts';
import type { Goals } from './schema.ts';

const FOUND: { readonly [G in keyof Goals]-?: (measures: Measures) => number | null } = {
  rto: ({ rtoMs }) => rtoMs,
  rpo: ({ rpo }) => rpo.rows,
  rpo_before_heal: ({ rpoBeforeHeal }) => rpoBeforeHeal?.rows ?? null,
  detect: ({ detectMs }) => detectMs,
  promote: ({ promoteMs }) => promoteMs,
  duplicates: ({ duplicates }) => duplicates,
};

/** Goals counted in rows; the others are times. */
const isCount = (goal: keyof Goals): boolean => goal.startsWith('rpo') || goal === 'duplicates';

/** The figures against the goals; what could not be measured was not met. */
export const goalsOf = (goals: Goals, measures: Measures): readonly GoalRecord[] =>
  (Object.keys(FOUND) as (keyof Goals)[]).flatMap((goal) => {
    const wanted = goals[goal];
    if (wanted === undefined) return [];
    const found = goal === 'rto' && !measures.isServing ? null : FOUND[goal](measures);
    return [{ goal, wanted, found, isMet: found !== null && found <= wanted }];
  });

/** `4.2s`, `3 rows`. */
export const figureText = (goal: keyof Goals, value: number | null): string =>
  value === null
    ? 'not reached'
    : isCount(goal)
      ? `${value} ${value === 1 ? 'row' : 'rows'}`
      : durationText(value);

export const goalText = ({ goal, wanted, found }: GoalRecord): string =>
  `${goal.replace(/^r[tp]o/, (word) => word.toUpperCase()).replaceAll('_', ' ')} ${figureText(goal, found)}, wanted at most ${figureText(goal, wanted)}`;
