import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { lastWords } from '../_sh.ts';
import { notRunning } from './_status.ts';
import { childOf, element, parse, write } from './_xml.ts';
import type { Element } from './_xml.ts';

/** The cluster information base: what Pacemaker is told to do (cibadmin(8)). */
export interface Cib {
  /** Its `configuration`; the parts that a module leaves alone are kept as they are. */
  readonly configuration: Element;
  /** Counts the changes of the configuration. */
  readonly epoch: string;
  /** The promoted role is called Master before schema 3.7 (Pacemaker 2.1). */
  readonly promotedWord: 'Promoted' | 'Master';
}

const epochOf = ({ attributes }: Element): string =>
  `${attributes['admin_epoch'] ?? '0'}.${attributes['epoch'] ?? '0'}`;

/** Of what `cibadmin --query` printed. */
export const epochIn = (text: string): string => epochOf(parse(text));

function isNew(schema: string | undefined): boolean {
  const [, major, minor] = /^pacemaker-(\d+)\.(\d+)/.exec(schema ?? '') ?? [];
  return Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 7);
}

/** Fails where Pacemaker does not run on the node. */
export async function readCib(ctx: Context): Promise<Cib> {
  const said = await ctx.sh('cibadmin --query', { isLook: true });
  // Not connected (crm_exit_t).
  if (said.code === 102) throw notRunning(ctx);
  if (said.code !== 0) throw new StepFailed(`Pacemaker’s configuration cannot be read: ${lastWords(said)}`);
  const root = parse(said.stdout);
  return {
    configuration: childOf(root, 'configuration') ?? element('configuration'),
    epoch: epochOf(root),
    promotedWord: isNew(root.attributes['validate-with']) ? 'Promoted' : 'Master',
  };
}

/**
 * Standard input: the new configuration. `$1`: the epoch it was made from; a cluster changed meanwhile is left alone. The
 * node that decides is asked: one that has just come in answers with an empty configuration of its own for a moment.
 */
const PUSH = `
dc=$(crmadmin --quiet --dc_lookup 2>/dev/null | sed 's/.*: *//')
[ -n "$dc" ] || { echo 'no node of the cluster decides yet' >&2; exit 1; }
now=$(cibadmin --query --node "$dc" | head -n 1) || exit
field() { printf %s "$now" | sed -n "s/.* $1=\\"\\([0-9]*\\)\\".*/\\1/p"; }
if [ "$(field admin_epoch).$(field epoch)" != "$1" ]; then
  echo "it was changed by someone else at this moment: now $(field admin_epoch).$(field epoch), looked at $1" >&2
  exit 1
fi
cibadmin --replace --scope configuration --xml-pipe
`;

/** Puts a whole new configuration in the place of the one it was made from, in one step for the cluster. */
export async function pushCib(ctx: Context, cib: Cib, configuration: Element): Promise<void> {
  const said = await ctx.job(PUSH, { args: [cib.epoch], stdin: write(configuration), isRepeatable: true });
  if (said.code !== 0)
    throw new StepFailed(
      `Pacemaker has not taken the configuration: ${lastWords(said) || `exit code ${said.code}`}`,
    );
}
