import { DrillbookError } from '../core/error.ts';
import { JournalBroken } from '../run/journal/chain.ts';
import { readJournal, runIds } from '../run/journal/journal.ts';
import { command } from './_command.ts';

/** How much of a journal is as it was written. */
interface Verdict {
  readonly run: string;
  readonly isWhole: boolean;
  /** Events that fit, and the hash of the last of them. */
  readonly events: number;
  readonly head: string | null;
  /** The first event that does not fit; null where that cannot be told. */
  readonly problem?: { readonly event: number | null; readonly code: string; readonly message: string };
}

function judge(stateDir: string, run: string): { verdict: Verdict; error: DrillbookError | undefined } {
  let events = 0;
  let head: string | null = null;
  try {
    const journal = readJournal(stateDir, run);
    try {
      for (const { hash } of journal.rows()) {
        events++;
        head = hash;
      }
    } finally {
      journal.close();
    }
    return { verdict: { run, isWhole: true, events, head }, error: undefined };
  } catch (error) {
    if (!(error instanceof DrillbookError) || !error.code.startsWith('journal.')) throw error;
    const event = error instanceof JournalBroken ? error.seq : null;
    const problem = { event, code: error.code, message: error.message };
    return { verdict: { run, isWhole: false, events, head, problem }, error };
  }
}

export default command({
  summary: 'check that the journal of a run is as it was written: the newest, or the one named',
  usage: '[RUN] [--output plain|json]',
  options: {},
  help: {},
  run({ positionals, output, stateDir }) {
    const run = positionals[0] ?? runIds(stateDir).at(-1);
    if (run === undefined) throw new DrillbookError('usage.run', `there are no runs in ${stateDir}`);
    const { verdict, error } = judge(stateDir, run);
    if (output === 'json' || output === 'jsonl') {
      process.stdout.write(`${JSON.stringify(verdict)}\n`);
      return Promise.resolve(error ? 1 : 0);
    }
    if (error) throw error;
    process.stdout.write(`run ${run} is whole: ${verdict.events} events, head ${verdict.head ?? 'none'}\n`);
    return Promise.resolve(0);
  },
});
