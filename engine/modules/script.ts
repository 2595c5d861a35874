import { basename } from 'node:path';
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
  wouldRun,
} from './_command.ts';
import { readLocal } from './_local.ts';

const params = z.strictObject({
  src: z.string().meta({ localFile: true }).describe('Script on the jump host.'),
  args: z.array(z.coerce.string()).default([]).describe('Arguments of the script, taken as they are.'),
  executable: z.string().optional().describe('Program to run it with (default: its #! line).'),
  chdir,
  creates,
  removes,
});

// In a directory of its own, so that $0 keeps its name and no one else can put a file in its place.
const RUN = `${GUARD}
drillbook_dir=$(umask 077; mktemp -d "\${TMPDIR:-/tmp}/drillbook.XXXXXX") || exit 1
trap 'rm -rf -- "$drillbook_dir"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
drillbook_file=$drillbook_dir/$1
drillbook_with=$2
shift 2
cat >"$drillbook_file" && chmod 700 "$drillbook_file" || exit 1
if [ -n "$drillbook_with" ]; then "$drillbook_with" "$drillbook_file" "$@"; else "$drillbook_file" "$@"; fi </dev/null`;

export default action({
  summary: 'Runs a script of the jump host on the node, and leaves nothing of it behind.',
  source: 'execve(2), sh(1)',
  params,
  shorthand: 'src',
  examples: `
- script: collect-logs.sh
- script: { src: check.py, args: [--since, '2 days'], executable: /usr/bin/python3 }
`,
  returns: returnsOfCommand,
  isResumable: true,
  wouldChange: wouldRun,
  async run(ctx, given) {
    const name = basename(given.src);
    const said = await ctx.job(RUN, {
      args: [...guardArgs(given), name, given.executable ?? '', ...given.args],
      stdin: await readLocal(ctx, given.src),
    });
    return commandOutcome(said, given, [name, ...given.args]);
  },
});
