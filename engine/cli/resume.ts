import { DrillbookError, Problems } from '../core/error.ts';
import type { RunEvent } from '../core/event.ts';
import { Opened } from '../secrets/encrypted.ts';
import type { Selection } from '../plan/selection.ts';
import type { Frozen } from '../run/edits/frozen.ts';
import { isBlank, openJournal, readJournal, runIds } from '../run/journal/journal.ts';
import type { Glance, Journal } from '../run/journal/journal.ts';
import { outputsOf, pinnedFiles } from '../run/edits/pinned.ts';
import { terminalAsk } from './_ask.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS } from './_passwords.ts';
import { checkOptions, executeWithView } from './_execute.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';
import type { Asked } from './_prepare.ts';
import { copyOf } from './_run-files.ts';

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

function checkAsBegun(
  run: string,
  copy: Frozen | undefined,
  acceptChanges: boolean,
  given: Asked['given'],
): void {
  const wrong = (message: string): never => {
    throw new DrillbookError('usage.option', `--as-begun: ${message}`);
  };
  if (!copy) wrong(`run ${run} has no copy of its files`);
  if (acceptChanges) wrong('either that or --accept-changes');
  const [name] = Object.keys(given);
  if (name !== undefined) wrong(`the run goes on with the inputs it began with, and -e ${name} is another`);
}

/** The files as they are now make no plan: the run's own still do. */
function withWayOut(error: unknown, run: string): unknown {
  if (!(error instanceof DrillbookError) || !/^(parse|plan)\./.test(error.code)) return error;
  const problems = error instanceof Problems ? error.problems : [error];
  const message = `run ${run} cannot go on with the files as they are now`;
  const hint = 'mend them, or go on with `--as-begun`: with those the run began with';
  return new Problems([...problems, new DrillbookError('plan.edited', message, { hint })]);
}

export default command({
  summary: 'go on with an unfinished run',
  usage: '[RUN] [--on-interrupt rerun|skip|fail] [--accept-changes | --as-begun]',
  options: {
    extra: PLAN_OPTIONS['extra'] as { type: 'string'; short: string; multiple: true },
    diff: { type: 'boolean' },
    step: { type: 'boolean' },
    forks: { type: 'string' },
    yes: { type: 'string' },
    operator: { type: 'string' },
    'accept-changes': { type: 'boolean' },
    'as-begun': { type: 'boolean' },
    'on-interrupt': { type: 'string' },
    ...PASSWORD_OPTIONS,
    ...KEY_OPTIONS,
  },
  help: {
    extra: PLAN_HELP['extra'] ?? '',
    diff: 'show what changes in files',
    step: 'ask before each step',
    forks: 'hosts side by side at most',
    yes: 'the code that confirms a dangerous run',
    operator: 'who resumes it, for the journal',
    'accept-changes': 'go on with the files as they are now, where what has finished stays as it was',
    'as-begun': 'go on with the files that the run began with, whatever they are now',
    'on-interrupt': 'what to do with a step whose outcome is unknown: rerun, skip or fail',
    ...PASSWORD_HELP,
    ...KEY_HELP,
  },
  async run(invocation) {
    checkOptions(invocation);
    const { positionals, options, stateDir, redactor } = invocation;
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
    const run = findRun(stateDir, positionals[0]);
    if (isDone(glanceAt(stateDir, run)))
      throw new DrillbookError('usage.run', `run ${run} reached its goal already`);
    const journal = openJournal(stateDir, run, redactor);
    const started = startOf(journal);
    const copy = copyOf(stateDir, run);
    const keys = keysOf(invocation, redactor, new Opened(copy?.opened));
    const again = await askedOf(
      {
        ...invocation,
        positionals: [started.playbook],
        options: { ...options, inventory: started.inventory },
      },
      keys,
    );
    const { selection } = started.options as { readonly selection: Selection };
    const acceptChanges = options['accept-changes'] === true;
    const isAsBegun = options['as-begun'] === true;
    if (isAsBegun) checkAsBegun(run, copy, acceptChanges, again.given);
    const asked = { ...again, selection, given: { ...copy?.given, ...again.given } };
    const files = pinnedFiles(
      isAsBegun ? copy?.copy : acceptChanges || !copy ? undefined : outputsOf(copy.copy),
    );
    const prepared = await prepare(asked, redactor, terminalAsk(), files, keys).catch((error: unknown) => {
      throw copy && !isAsBegun ? withWayOut(error, run) : error;
    });
    return executeWithView({
      invocation,
      prepared,
      journal,
      isCheck: started.isCheck,
      options: started.options,
      onInterrupt,
      acceptChanges,
      isAsBegun,
    });
  },
});
