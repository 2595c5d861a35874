import type { DrillRecord } from '../../drill/record.ts';
import { goalText } from '../../drill/verdict.ts';
import { suitesXml } from '../export/junit.ts';
import type { Case } from '../export/junit.ts';
import { figuresOf, figureText } from './figures.ts';

const caseOf = (
  classname: string,
  name: string,
  ms: number,
  trouble: string | undefined,
  said = '',
): Case => ({
  ...{ classname, name, seconds: ms / 1000, verdict: trouble === undefined ? 'passed' : 'failure' },
  ...{ message: trouble ?? '', detail: '', said },
});

/** JUnit's XML: a case for the drill, for each goal, and for each thing that should happen by itself. */
export function drillJunit(record: DrillRecord): string {
  const { drill, name, startedAt, endedMs, outcome, reasons, goals, checks } = record;
  const figures = figuresOf(record).map(
    ({ figure, value, unit, isAtLeast }) => `${figure} ${figureText(value, unit, isAtLeast)}`,
  );
  const why = outcome === 'passed' ? undefined : `${outcome}: ${reasons.join('; ')}`;
  return suitesXml(name, startedAt, [
    [name, [caseOf('drill', `drill ${drill}`, endedMs, why, figures.join('\n'))]],
    ...(goals.length === 0
      ? []
      : [
          [
            'goals',
            goals.map((one) => caseOf('goals', one.goal, 0, one.isMet ? undefined : goalText(one))),
          ] as const,
        ]),
    ...(checks.length === 0
      ? []
      : [
          [
            'by itself',
            checks.map((one) =>
              caseOf(
                'by itself',
                one.name,
                one.tookMs ?? one.withinMs,
                one.tookMs === null ? `not within ${one.withinMs / 1000} s` : undefined,
              ),
            ),
          ] as const,
        ]),
  ]);
}
