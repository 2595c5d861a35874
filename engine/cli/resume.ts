import { DrillbookError } from '../core/error.ts';
import type { RunEvent } from '../core/event.ts';
import { Redactor } from '../core/secret.ts';
import type { Selection } from '../plan/selection.ts';
import { isBlank, openJournal, readJournal, runIds } from '../run/journal.ts';
import type { Glance, Journal } from '../run/journal.ts';
import { terminalAsk } from './_ask.ts';
import { command } from './_command.ts';
import { checkOptions, executeWithView } from './_execute.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';

const isDone = ({ last }: Glance): boolean => last?.event === 'run_finished' && last.outcome === 'done';

function glanceAt(stateDir: string, run: string): Glance {
  const journal = readJournal(stateDir, run);
  try {
    return journal.glance();
  } finally {
    journal.close();
  }
}

/** The named run, or the newest that has done something and not reached its goal: not one that was never confirmed. */
function findRun(stateDir: string, wanted: string | undefined): string {
  if (wanted !== undefined) return wanted;
  for (const id of runIds(stateDir).toReversed()) {
    if (isBlank(stateDir, id)) continue;
    const glance = glanceAt(stateDir, id);
    const isReal = glance.first?.event === 'run_started' && !glance.first.isCheck;
    if (isReal && glance.hasBegun && !isDone(glance)) return id;
  }
  throw new DrillbookError('usage.run', 'there is no unfinished run', { hint: 'see `drillbook runs`' });
}

/** How the run began, with what it was given. Makes the secrets known that it began with. */
function startOf(journal: Journal): Extract<RunEvent, { event: 'run_started' }> {
  for (const event of journal.past()) {
    if (event.event === 'run_started') return event;
    break;
  }
  throw new DrillbookError('usage.run', `run ${journal.run} did not begin`, { hint: 'see `drillbook runs`' });
}

export default command({
  summary: 'go on with an unfinished run',
  usage: '[RUN] [--on-interrupt rerun|skip|fail] [--accept-changes]',
  options: {
    extra: PLAN_OPTIONS['extra'] as { type: 'string'; short: string; multiple: true },
    diff: { type: 'boolean' },
    step: { type: 'boolean' },
    forks: { type: 'string' },
    yes: { type: 'string' },
    operator: { type: 'string' },
    'accept-changes': { type: 'boolean' },
    'on-interrupt': { type: 'string' },
  },
  help: {
    extra: PLAN_HELP['extra'] ?? '',
    diff: 'show what changes in files',
    step: 'ask before each step',
    forks: 'hosts side by side at most',
    yes: 'the code that confirms a dangerous run',
    operator: 'who resumes it, for the journal',
    'accept-changes': 'go on although the playbook was edited',
    'on-interrupt': 'what to do with a step whose outcome is unknown: rerun, skip or fail',
  },
  async run(invocation) {
    checkOptions(invocation);
    const { positionals, options, stateDir } = invocation;
    const onInterrupt = options['on-interrupt'];
    if (
      onInterrupt !== undefined &&
      onInterrupt !== 'rerun' &&
      onInterrupt !== 'skip' &&
      onInterrupt !== 'fail'
    ) {
      throw new DrillbookError(
        'usage.option',
        `--on-interrupt ${String(onInterrupt)}: rerun, skip or fail is wanted`,
      );
    }
    const redactor = new Redactor();
    const run = findRun(stateDir, positionals[0]);
    if (isDone(glanceAt(stateDir, run)))
      throw new DrillbookError('usage.run', `run ${run} reached its goal already`);
    const journal = openJournal(stateDir, run, redactor);
    const started = startOf(journal);
    const again = askedOf(
      {
        ...invocation,
        positionals: [started.playbook],
        options: { ...options, inventory: started.inventory },
      },
      redactor,
    );
    const { selection, inputs } = started.options as {
      selection: Selection;
      inputs: Readonly<Record<string, unknown>>;
    };
    const asked = { ...again, selection, given: { ...inputs, ...again.given } };
    const prepared = await prepare(asked, redactor, terminalAsk());
    const acceptChanges = options['accept-changes'] === true;
    return executeWithView({
      invocation,
      prepared,
      journal,
      isCheck: started.isCheck,
      options: started.options,
      onInterrupt,
      acceptChanges,
    });
  },
});
