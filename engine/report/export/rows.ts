import { pen } from '../text.ts';
import { changeText } from '../wording.ts';
import type { Chronicle, StepResult } from './chronicle.ts';

/** What a table has of one step on one host. */
export interface Row {
  readonly started: string;
  readonly ended: string | null;
  readonly host: string;
  readonly play: string;
  readonly step: string;
  readonly name: string;
  readonly module: string;
  /** The outcome, or `under_way` where its end is not known. */
  readonly outcome: string;
  readonly isForgiven: boolean;
  readonly seconds: number;
  readonly attempts: number;
  readonly reason: string;
  readonly changes: string;
}

const PLAIN = pen(false, true);

/** One line for each change. */
export const changesText = ({ changes }: StepResult): string =>
  changes.map((change) => changeText(change, PLAIN)).join('\n');

/** Every step on every host, in the order in which they began. */
export function rowsOf({ steps, plays }: Chronicle): readonly Row[] {
  const names = new Map(plays.map(({ id, name }) => [id, name]));
  const rows = steps.flatMap(({ id, name, module, play, results }) =>
    results.map((result): Row => ({
      ...{ started: result.from, ended: result.until, host: result.host, step: id, name, module },
      play: names.get(play) ?? play,
      outcome: result.outcome ?? 'under_way',
      isForgiven: result.isForgiven,
      seconds: result.durationMs / 1000,
      attempts: 1 + Math.max(0, ...result.words.map(({ attempt }) => attempt ?? 0)),
      reason: result.reason ?? '',
      changes: changesText(result),
    })),
  );
  return rows.toSorted((a, b) => a.started.localeCompare(b.started));
}
