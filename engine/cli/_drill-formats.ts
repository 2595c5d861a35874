import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import type { DrillRecord } from '../drill/record.ts';

// Loaded when they are wanted.
const WRITERS = {
  html: async (record: DrillRecord) => (await import('../report/drill/html.ts')).drillPage(record),
  json: async (record: DrillRecord) => Promise.resolve(`${JSON.stringify(record, undefined, 2)}\n`),
  junit: async (record: DrillRecord) => (await import('../report/drill/junit.ts')).drillJunit(record),
  csv: async (record: DrillRecord) => (await import('../report/drill/figures.ts')).drillCsv(record),
} as const;
export type DrillFormat = keyof typeof WRITERS;
const FORMATS = Object.keys(WRITERS) as readonly DrillFormat[];
const ENDINGS: Readonly<Record<string, DrillFormat>> = {
  ...Object.fromEntries(FORMATS.map((format) => [format, format])),
  ...{ htm: 'html', xml: 'junit' },
};

/** The format asked for, or that of the file's ending. */
export function formatOf(format: unknown, out: string | undefined): DrillFormat {
  const wanted = format ?? ENDINGS[out?.split('.').at(-1) ?? ''];
  const found = FORMATS.find((one) => one === wanted);
  if (found !== undefined) return found;
  throw new DrillbookError('usage.option', `a report of a drill is ${FORMATS.join(', ')}`, {
    hint:
      wanted === undefined ? 'give --format, or --out a name that ends so' : suggest(String(wanted), FORMATS),
  });
}

/** The report of a drill. */
export const drillText = (record: DrillRecord, format: DrillFormat): Promise<string> =>
  WRITERS[format](record);
