import { DrillbookError } from '../core/error.ts';
import type { RunEvent } from '../core/event.ts';
import { openView } from '../report/view.ts';
import { readJournal, runIds } from '../run/journal/journal.ts';
import { isDue, ledgerOf, obligationText } from '../run/obligations/obligations.ts';
import type { Obligation } from '../run/obligations/obligations.ts';
import { command } from './_command.ts';
import { runFiles, runFileText } from './_run-files.ts';
import type { RunFile } from './_run-files.ts';

const fileLine = ({ path, bytes, sha256, now }: RunFile): string =>
  `${sha256 ?? 'too large to be kept'.padEnd(64)}  ${String(bytes).padStart(9)}  ${now.padEnd(6)}  ${path}`;

/** May come after the end of a run. */
const isAside = ({ event }: RunEvent): boolean =>
  event.startsWith('obligation_') || event.startsWith('lock_');

const openLine = (one: Obligation): string => `${isDue(one) ? 'open' : 'stays'}: ${obligationText(one)}`;

export default command({
  summary: 'show what happened in a run: the newest, or the one named',
  usage: '[RUN] [--diff] [--files | --file PATH] [--output plain|jsonl]',
  options: { diff: { type: 'boolean' }, files: { type: 'boolean' }, file: { type: 'string' } },
  help: {
    diff: 'show what changed in files',
    files: 'list the files the run began with, and what has become of them',
    file: 'print one of them as it was, secrets masked',
  },
  async run({ positionals, options, output, stateDir, isColor, isVerbose }) {
    const run = positionals[0] ?? runIds(stateDir).at(-1);
    if (run === undefined) throw new DrillbookError('usage.run', `there are no runs in ${stateDir}`);
    if (typeof options['file'] === 'string') {
      process.stdout.write(await runFileText(stateDir, run, options['file']));
      return 0;
    }
    if (options['files'] === true) {
      const files = runFiles(stateDir, run);
      const isJson = output === 'json' || output === 'jsonl';
      process.stdout.write(
        files.map((file) => `${isJson ? JSON.stringify(file) : fileLine(file)}\n`).join(''),
      );
      return 0;
    }
    const journal = readJournal(stateDir, run);
    const { stdout, stderr } = process;
    const kind = output === 'json' || output === 'jsonl' ? 'jsonl' : 'plain';
    const view = await openView(kind, {
      stdout,
      stderr,
      isColor,
      isVerbose,
      isDiff: options['diff'] === true,
    });
    try {
      const ledger = ledgerOf([]);
      let last: RunEvent | undefined;
      for (const event of journal.events()) {
        view.show(event);
        ledger.hear(event);
        if (!isAside(event)) last = event;
      }
      // A run that ended told it in its recap.
      if (kind === 'plain' && last?.event !== 'run_finished' && last?.event !== 'run_interrupted')
        for (const one of ledger.open()) stdout.write(`  ${openLine(one)}\n`);
    } finally {
      await view.close();
      journal.close();
    }
    return 0;
  },
});
