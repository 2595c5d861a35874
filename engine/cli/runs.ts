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
    const outcome = isDamaged ? 'damaged' : (end?.outcome ?? 'unfinished');
    const due = ledgerOf(bends).open().filter(isDue);
    const open = due.map(({ obligation }) => obligation);
    return { run, name, playbook, at, operator, isCheck, outcome, exitCode: end?.exitCode ?? null, open };
  } finally {
    journal.close();
  }
}

export default command({
  summary: 'list the runs, newest first',
  usage: '[--limit N]',
  options: { limit: { type: 'string', short: 'n' } },
  help: { limit: 'at most so many (20)' },
  run({ options, output, stateDir }) {
    const limit = Math.max(1, Number(options['limit'] ?? 20) || 20);
    const rows: Row[] = [];
    for (const id of runIds(stateDir).toReversed()) {
      if (rows.length >= limit) break;
      try {
        const row = rowOf(stateDir, id);
        if (row) rows.push(row);
      } catch (error) {
        process.stderr.write(`${id}: ${(error as Error).message}\n`);
      }
    }
    if (output === 'json' || output === 'jsonl') {
      process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return Promise.resolve(0);
    }
    for (const { run, at, name, operator, isCheck, outcome, open } of rows) {
      const mark = open.length === 0 ? '' : `  open: ${open.join(', ')}`;
      const what = isCheck ? `check ${outcome}` : outcome;
      process.stdout.write(
        `${run}  ${at.slice(0, 19).replace('T', ' ')}  ${what.padEnd(16)}  ${operator.padEnd(10)}  ${name}${mark}\n`,
      );
    }
    if (rows.length === 0) process.stderr.write('no runs yet\n');
    return Promise.resolve(0);
  },
});
