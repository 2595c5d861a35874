import { DrillbookError } from '../core/error.ts';
import { openView } from '../report/view.ts';
import { readJournal, runIds } from '../run/journal.ts';
import { command } from './_command.ts';

export default command({
  summary: 'show what happened in a run: the newest, or the one named',
  usage: '[RUN] [--diff] [--output plain|jsonl]',
  options: { diff: { type: 'boolean' } },
  help: { diff: 'show what changed in files' },
  async run({ positionals, options, output, stateDir, isColor, isVerbose }) {
    const run = positionals[0] ?? runIds(stateDir).at(-1);
    if (run === undefined) throw new DrillbookError('usage.run', `there are no runs in ${stateDir}`);
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
      for (const event of journal.events()) view.show(event);
    } finally {
      await view.close();
      journal.close();
    }
    return 0;
  },
});
