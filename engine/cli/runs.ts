import { DrillbookError } from '../core/error.ts';
import { oneLine, padEnd, padStart, pen, type Pen } from '../report/text.ts';
import { durationText } from '../report/wording.ts';
import { isBlank, readJournal, runIds } from '../run/journal/journal.ts';
import { isDue, ledgerOf } from '../run/obligations/obligations.ts';
import { command } from './_command.ts';

/**
 * One run in a list; `outcome` is `unfinished` for one that can be resumed and has not ended, `damaged` where the
 * journal is not as it was written.
 */
interface Row {
  readonly run: string;
  readonly name: string;
  readonly playbook: string;
  readonly at: string;
  /** From its start to the last that is known of it. */
  readonly tookMs: number;
  readonly operator: string;
  readonly isCheck: boolean;
  readonly outcome: string;
  readonly exitCode: number | null;
  /** What it has bent and nobody put right, as its journal tells. */
  readonly open: readonly string[];
}

function rowOf(stateDir: string, run: string): Row | undefined {
  if (isBlank(stateDir, run)) return undefined;
  const journal = readJournal(stateDir, run);
  try {
    const { first: started, last, bends, isDamaged } = journal.glance();
    if (started?.event !== 'run_started') return undefined;
    const end = last?.event === 'run_finished' ? last : undefined;
    const { name, playbook, at, operator, isCheck } = started;
    const tookMs = Math.max(0, Date.parse(last?.at ?? at) - Date.parse(at));
    const outcome = isDamaged ? 'damaged' : (end?.outcome ?? 'unfinished');
    const due = ledgerOf(bends).open().filter(isDue);
    const open = due.map(({ obligation }) => obligation);
    return {
      run,
      name,
      playbook,
      at,
      tookMs,
      operator,
      isCheck,
      outcome,
      exitCode: end?.exitCode ?? null,
      open,
    };
  } finally {
    journal.close();
  }
}

const COLOURS: Readonly<Record<string, 'green' | 'red' | 'magenta' | 'yellow'>> = {
  ...{
    done: 'green',
    failed: 'red',
    stopped: 'red',
    damaged: 'red',
    in_doubt: 'magenta',
    unfinished: 'yellow',
  },
};

function lineOf({ run, at, tookMs, name, operator, isCheck, outcome, open }: Row, { paint }: Pen): string {
  const what = padEnd(`${isCheck ? 'check ' : ''}${outcome.replace('_', ' ')}`, 16);
  const mark = open.length === 0 ? '' : paint('magenta', `  open: ${open.join(', ')}`);
  const when = at.slice(0, 19).replace('T', ' ');
  const took = padStart(durationText(tookMs), 12);
  return `${run}  ${when}  ${paint(COLOURS[outcome] ?? 'reset', what)}  ${took}  ${padEnd(oneLine(operator), 10)}  ${oneLine(name)}${mark}`;
}

export default command({
  summary: 'list the runs, newest first',
  usage: '[--limit N]',
  options: { limit: { type: 'string', short: 'n' } },
  help: { limit: 'at most so many (20)' },
  run({ options, output, stateDir, isColor }) {
    const limit = Math.max(1, Number(options['limit'] ?? 20) || 20);
    const rows: Row[] = [];
    let old = 0;
    for (const id of runIds(stateDir).toReversed()) {
      if (rows.length >= limit) break;
      try {
        const row = rowOf(stateDir, id);
        if (row) rows.push(row);
      } catch (error) {
        if (error instanceof DrillbookError && error.code === 'journal.old') old++;
        else process.stderr.write(`${id}: ${(error as Error).message}\n`);
      }
    }
    if (output === 'json' || output === 'jsonl') {
      process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return Promise.resolve(0);
    }
    const colours = pen(isColor);
    for (const line of rows.map((row) => lineOf(row, colours))) process.stdout.write(`${line}\n`);
    if (rows.length === 0) process.stderr.write('no runs yet\n');
    if (old > 0) process.stderr.write(`${old} of an earlier version of drillbook are not shown\n`);
    return Promise.resolve(0);
  },
});
