import type { DrillRecord } from '../drill/record.ts';
import { writerOf } from './_formats.ts';

type Writer = (record: DrillRecord) => Promise<string>;

// Loaded when they are wanted.
const WRITERS: Readonly<Record<string, Writer>> = {
  html: async (record) => (await import('../report/drill/html.ts')).drillPage(record),
  json: (record) => Promise.resolve(`${JSON.stringify(record, undefined, 2)}\n`),
  junit: async (record) => (await import('../report/drill/junit.ts')).drillJunit(record),
  csv: async (record) => (await import('../report/drill/figures.ts')).drillCsv(record),
};

/** What writes the report of a drill in the format asked for, or in that of the file's ending. */
export const drillWriter = (format: unknown, out: string | undefined): Writer =>
  writerOf(WRITERS, format, out);
