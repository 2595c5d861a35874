import { leftOut } from '../plan/left-out.ts';
import type { Plan } from '../plan/plan.ts';
import type { Selection } from '../plan/selection.ts';
import { harmless } from '../report/text.ts';
import { createJournal, newRunId } from '../run/journal/journal.ts';
import { terminalAsk } from './_ask.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS } from './_passwords.ts';
import { checkOptions, executeWithView } from './_execute.ts';
import { keysOf } from './_keys.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';

const MOST_NAMES = 8;

/** What the run passes over, before it begins: a forgotten tag is seen here. */
function tellLeftOut({ plays }: Plan, { startAt, tags, skipTags }: Selection): void {
  const left = leftOut(plays).filter(({ tags: own }) => !own.includes('never'));
  if (left.length === 0 || (startAt ?? tags ?? skipTags) === undefined) return;
  const names = left.slice(0, MOST_NAMES).map(({ name }) => name);
  const more = left.length > names.length ? ` and ${left.length - names.length} more` : '';
  const steps = left.length === 1 ? '1 step is' : `${left.length} steps are`;
  process.stderr.write(`${harmless(`${steps} left out: ${names.join('; ')}${more}`)}\n`);
}

export default command({
  summary: 'run a playbook',
  usage: 'PLAYBOOK -i INVENTORY [-e NAME=VALUE] [--check] [--diff]',
  options: {
    ...PLAN_OPTIONS,
    check: { type: 'boolean' },
    diff: { type: 'boolean' },
    step: { type: 'boolean' },
    forks: { type: 'string' },
    yes: { type: 'string' },
    operator: { type: 'string' },
    ...PASSWORD_OPTIONS,
  },
  help: {
    ...PLAN_HELP,
    check: 'look only: tell what a run would change',
    diff: 'show what changes in files',
    step: 'ask before each step',
    forks: 'hosts side by side at most',
    yes: 'the code that confirms a dangerous run (`plan` shows it)',
    operator: 'who runs it, for the journal',
    ...PASSWORD_HELP,
  },
  async run(invocation) {
    const { redactor } = invocation;
    checkOptions(invocation);
    const keys = keysOf(invocation, redactor);
    const asked = await askedOf(invocation, keys);
    const prepared = await prepare(asked, redactor, terminalAsk(), undefined, keys);
    const journal = createJournal(invocation.stateDir, newRunId(new Date()), redactor);
    tellLeftOut(prepared.plan, asked.selection);
    const isCheck = invocation.options['check'] === true;
    return executeWithView({
      invocation,
      prepared,
      journal,
      isCheck,
      options: { selection: asked.selection },
    });
  },
});
