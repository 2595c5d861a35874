import { z } from 'zod';
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

const params = z.strictObject({
  cmd: z.string().min(1).describe('Shell text. Put values into it with the `sh` helper: {{sh path}}.'),
  executable: z.string().optional().describe("Absolute path of the shell (default: the node's /bin/sh)."),
  chdir,
  creates,
  removes,
  stdin,
  stdin_add_newline: stdinAddNewline,
});

// In both the text is on no process list, and may be longer than an argument can be (128 KiB).
const IN_SH = `${GUARD}
drillbook_text=$1
set --
( eval "unset drillbook_text; $drillbook_text" )`;
const IN_OTHER = `${GUARD}
exec 4<&0
printf '%s\\n' "$1" | { exec 3<&0 0<&4 4<&-; "$2" /dev/fd/3; }`;

export default action({
  summary: 'Runs text in a shell: pipes, redirections, variables.',
  source: 'sh(1)',
  params,
  shorthand: 'cmd',
  examples: `
- shell: 'journalctl -u {{sh unit}} --since today | grep -c Failed'
  register: failures
  changed_when: false
- shell: { cmd: 'set -o pipefail; mysqldump dbackup3 | gzip > catalog.sql.gz', executable: /bin/bash, chdir: /backup, creates: catalog.sql.gz }
`,
  returns: returnsOfCommand,
  isResumable: true,
  wouldChange: wouldRun,
  async run(ctx, given) {
    const args = guardArgs(given);
    const said = await ctx.job(given.executable === undefined ? IN_SH : IN_OTHER, {
      args: given.executable === undefined ? [...args, given.cmd] : [...args, given.cmd, given.executable],
      stdin: standardInput(given),
    });
    return commandOutcome(said, given, [given.executable ?? '/bin/sh', '-c', given.cmd]);
  },
});
