import { createJournal, newRunId } from '../run/journal/journal.ts';
import { terminalAsk } from './_ask.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS } from './_passwords.ts';
import { checkOptions, executeWithView } from './_execute.ts';
import { keysOf } from './_keys.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';

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
