import { z } from 'zod';
import { durationText, zDuration } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';
import { query } from '../core/module.ts';

const params = z.strictObject({
  ends: z
    .string()
    .describe(
      'When the window ends: `02:30` (this machine’s clock; the next one, or the last where that is less than six hours ago) or `2026-11-22T02:30` (ISO 8601). Empty: there is no window.',
    ),
  needs: zDuration
    .optional()
    .describe('How long what is left takes, where no earlier run of this playbook here tells.'),
});

const HOUR = 3_600_000;
const PAST_HOURS = 6;

/** The moment (ms) that `text` names; a time of day is one near `now`. */
export function momentOf(text: string, now: number): number {
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  if (hours === undefined || minutes === undefined) {
    const moment = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(text) ? Date.parse(text) : NaN;
    if (Number.isNaN(moment))
      throw new DrillbookError('step.params', `\`${text}\` is no time: write 02:30 or 2026-11-22T02:30`);
    return moment;
  }
  if (Number(hours) > 23 || Number(minutes) > 59)
    throw new DrillbookError('step.params', `\`${text}\` is no time of day`);
  const earliest = now - PAST_HOURS * HOUR;
  const moment = new Date(earliest);
  moment.setHours(Number(hours), Number(minutes), 0, 0);
  if (moment.getTime() < earliest) moment.setDate(moment.getDate() + 1);
  return moment.getTime();
}

/** The 95th percentile, by nearest rank. */
export function p95(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(0.95 * sorted.length) - 1];
}

const clock = (moment: number): string => {
  const date = new Date(moment);
  return [date.getHours(), date.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':');
};

export default query({
  summary:
    'Holds the time that is left of a maintenance window against what the rest of the run takes. It stands before the point of no return.',
  source: 'docs/language.md (Windows)',
  params,
  shorthand: 'ends',
  examples: `
- name: 'Point of no return: the window is long enough'
  run_once: true
  window: { ends: '{{inputs.window_ends}}', needs: 20m }
`,
  returns: {
    ends: z.string().describe('when it ends, in UTC; empty where there is no window'),
    left_s: z.number().optional().describe('seconds until then'),
    needed_s: z
      .number()
      .optional()
      .describe('seconds that the rest of the run takes: 95 of 100 earlier runs took no longer'),
    runs: z.number().describe('earlier runs of this playbook on this inventory that tell'),
  },
  async read(ctx, { ends, needs }) {
    if (ends === '') return { result: { ends, runs: 0 } };
    const now = Date.now();
    const moment = momentOf(ends, now);
    const left = moment - now;
    const rests = ctx.restsOfEarlierRuns();
    const needed = p95(rests) ?? needs;
    const result = {
      ends: new Date(moment).toISOString(),
      left_s: Math.round(left / 1000),
      ...(needed === undefined ? {} : { needed_s: Math.round(needed / 1000) }),
      runs: rests.length,
    };
    const window =
      left > 0
        ? `the window ends at ${clock(moment)}, in ${durationText(left)}`
        : `the window ended at ${clock(moment)}`;
    const source = rests.length > 0 ? `95 of 100 runs; ${rests.length} known` : 'as given';
    const failed =
      needed === undefined
        ? `${window}; how long what is left takes is not known, for no earlier run of this playbook here went well: give \`needs\``
        : left < needed
          ? `${window}; what is left takes ${durationText(needed)} (${source})`
          : undefined;
    return Promise.resolve({ result, ...(failed === undefined ? {} : { failed }) });
  },
});
