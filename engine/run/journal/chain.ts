import { hash } from 'node:crypto';
import { DrillbookError } from '../../core/error.ts';
import type { ErrorDetail } from '../../core/error.ts';
import type { RunEvent } from '../../core/event.ts';

/** A row of the journal. `sealed` is what the line masks, encrypted. */
export interface Row {
  readonly seq: number;
  readonly line: string;
  readonly hash: string;
  readonly sealed: Uint8Array | null;
}

/** The last event that is known to have been written, told a second time outside the journal. */
export interface Head {
  readonly seq: number;
  readonly hash: string;
}

const HINT =
  '`drillbook show` tells what is whole; put the folder of the run back from a copy, or go on with another run by its name';

/** A journal that is not as it was written; `seq` is the first event that does not fit. */
export class JournalBroken extends DrillbookError {
  readonly seq: number;

  constructor(run: string, seq: number, why: string, detail: ErrorDetail = {}) {
    const from = seq === 1 ? '' : ` from event ${seq} on`;
    super('journal.broken', `the journal of run ${run} is damaged${from}: ${why}`, { hint: HINT, ...detail });
    this.name = 'JournalBroken';
    this.seq = seq;
  }
}

/** SHA-256 of the hash before (of the first: the run's id), the line, and the sealed bytes where there are any. */
export const linkOf = (previous: string, line: string, sealed: Uint8Array | null): string =>
  sealed === null
    ? hash('sha256', previous + line)
    : hash('sha256', Buffer.concat([Buffer.from(previous + line), sealed]));

function parsed(line: string): RunEvent | undefined {
  try {
    return JSON.parse(line) as RunEvent;
  } catch {
    return undefined;
  }
}

/** Gives the rows with their events as long as they fit; throws `JournalBroken` at the first that does not. */
export function* checked(
  run: string,
  rows: Iterable<Row>,
  head: Head | undefined,
): Generator<{ readonly row: Row; readonly event: RunEvent }> {
  let previous = run;
  let seq = 0;
  try {
    for (const row of rows) {
      seq++;
      if (row.seq !== seq)
        throw new JournalBroken(run, seq, row.seq > seq ? 'it is missing' : `a row ${row.seq} is before it`);
      const event = parsed(row.line);
      const isItself = event?.seq === seq && event.run === run;
      if (!event || !isItself || row.hash !== linkOf(previous, row.line, row.sealed))
        throw new JournalBroken(run, seq, 'it is not what was written');
      if (head?.seq === seq && head.hash !== row.hash)
        throw new JournalBroken(run, seq, 'it is not the one that `head` tells of');
      yield { row, event };
      previous = row.hash;
    }
  } catch (cause) {
    if (cause instanceof DrillbookError) throw cause;
    throw new JournalBroken(run, seq + 1, (cause as Error).message, { cause });
  }
  if (head && head.seq > seq)
    throw new JournalBroken(run, seq + 1, `it ends there, and there were ${head.seq} events`);
}
