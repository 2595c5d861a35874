import { z } from 'zod';
import { DrillbookError } from '../core/error.ts';
import { action } from '../core/module.ts';
import {
  chdir,
  commandOutcome,
  creates,
  GUARD,
  guardArgs,
  removes,
  returnsOfCommand,
  standardInput,
  stdin,
  stdinAddNewline,
  wouldRun,
} from './_command.ts';
import { splitWords } from './_sh.ts';

const params = z
  .strictObject({
    cmd: z
      .string()
      .optional()
      .describe(
        'Command line; quotes keep words together, but no shell sees it: no pipes, globs or variables.',
      ),
    argv: z
      .array(z.coerce.string())
      .min(1)
      .optional()
      .describe('The words of the command as a list, taken as they are.'),
    chdir,
    creates,
    removes,
    stdin,
    stdin_add_newline: stdinAddNewline,
  })
  .refine((given) => (given.cmd === undefined) !== (given.argv === undefined), {
    error: 'give either `cmd` or `argv`',
  });

export default action({
  summary: 'Runs a program with its arguments, without a shell in between.',
  source: 'execve(2)',
  params,
  shorthand: 'cmd',
  examples: `
- command: /opt/scutech/dbackup3/bin/hactl status
  register: ha
  changed_when: false
- command: { argv: [useradd, --comment, 'A name; with "anything"', backup], creates: /home/backup }
`,
  returns: returnsOfCommand,
  isResumable: true,
  wouldChange: wouldRun,
  async run(ctx, given) {
    const words = given.argv ?? splitWords(given.cmd ?? '');
    if (words.length === 0) throw new DrillbookError('step.words', 'the command is empty');
    const said = await ctx.job(`${GUARD}"$@"`, {
      args: [...guardArgs(given), ...words],
      stdin: standardInput(given),
    });
    return commandOutcome(said, given, words);
  },
});
