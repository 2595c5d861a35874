import { DrillbookError } from '../core/error.ts';
import { Redactor } from '../core/secret.ts';
import type { Selection } from '../plan/selection.ts';
import { endOf } from '../run/history.ts';
import { openJournal, runIds } from '../run/journal.ts';
import type { Journal } from '../run/journal.ts';
import { terminalAsk } from './_ask.ts';
import { command } from './_command.ts';
import { checkOptions, executeWithView } from './_execute.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';

const isDone = (journal: Journal): boolean => endOf(journal.events)?.outcome === 'done';

/** A run that ended before its journal had a line is none to go on with. */
function openOrPass(stateDir: string, id: string): Journal | undefined {
  try {
    return openJournal(stateDir, id);
  } catch (error) {
    if (error instanceof DrillbookError && error.code === 'journal.broken') return undefined;
    throw error;
  }
}

const hasBegun = (journal: Journal): boolean =>
  journal.events.some(({ event }) => event === 'step_started' || event === 'step_finished');

/** The named run, or the newest that has done something and not reached its goal: not one that was never confirmed. */
function findRun(stateDir: string, wanted: string | undefined): Journal {
  if (wanted !== undefined) return openJournal(stateDir, wanted);
  for (const id of runIds(stateDir).toReversed()) {
    const journal = openOrPass(stateDir, id);
    const started = journal?.events[0];
    const isReal = started?.event === 'run_started' && !started.isCheck;
    if (journal && isReal && hasBegun(journal) && !isDone(journal)) return journal;
    journal?.close();
  }
  throw new DrillbookError('usage.run', 'there is no unfinished run', { hint: 'see `drillbook runs`' });
}

/** The journal keeps no secrets: those given with -e are asked for, or have to be given again. */
async function secretsAgain(
  withheld: readonly string[],
  given: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const missing = withheld.filter((name) => !Object.hasOwn(given, name));
  const ask = terminalAsk();
  if (missing.length > 0 && !ask) {
    const names = missing.join(', ');
    throw new DrillbookError('usage.secret', `${names}: secret, and so not kept since the run began`, {
      hint: `give it again with -e @FILE or -e ${missing[0]}=…`,
    });
  }
  const secrets: Record<string, unknown> = {};
  for (const name of missing) secrets[name] = await ask?.(`${name}: `, true);
  return secrets;
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
    const journal = findRun(stateDir, positionals[0]);
    const started = journal.events[0];
    if (started?.event !== 'run_started')
      throw new DrillbookError('journal.broken', `run ${journal.run} did not begin`);
    if (isDone(journal)) throw new DrillbookError('usage.run', `run ${journal.run} reached its goal already`);
    const redactor = new Redactor();
    const again = askedOf(
      {
        ...invocation,
        positionals: [started.playbook],
        options: { ...options, inventory: started.inventory },
      },
      redactor,
    );
    const {
      selection,
      inputs,
      withheld = [],
    } = started.options as {
      selection: Selection;
      inputs: Readonly<Record<string, unknown>>;
      withheld?: readonly string[];
    };
    const secrets = await secretsAgain(withheld, again.given);
    const asked = { ...again, selection, given: { ...inputs, ...again.given, ...secrets } };
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
