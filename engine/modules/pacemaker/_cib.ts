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
  readonly featureSet: string | undefined;
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
    featureSet: root.attributes['crm_feature_set'],
    epoch: epochOf(root),
    promotedWord: isNew(root.attributes['validate-with']) ? 'Promoted' : 'Master',
  };
}

/**
 * Standard input: the configuration looked at, and the new one, a line each. `$1`: the epoch of the former; a cluster changed
 * meanwhile is left alone. The node that decides is asked: one that has just come in answers with an empty configuration of
 * its own for a moment. Pacemaker takes a patch only where the version is the one that it names: one that was refused since
 * what runs has changed in between, and not what is to run, is tried again.
 */
const PUSH = `
dc=$(crmadmin --quiet --dc_lookup 2>/dev/null | sed 's/.*: *//')
[ -n "$dc" ] || { echo 'no node of the cluster decides yet' >&2; exit 1; }
umask 077
dir=$(mktemp -d) || exit
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$dir/both" && sed -n 1p "$dir/both" >"$dir/old" && sed -n 2p "$dir/both" >"$dir/new" || exit
# It ends with 1 where they differ.
diff=$(crm_diff --original "$dir/old" --new "$dir/new" --no-version) || [ -n "$diff" ] || exit 1
field() { printf %s "$now" | sed -n "s/.* $1=\\"\\([0-9]*\\)\\".*/\\1/p"; }
version() { echo "<$1 admin_epoch=\\"$(field admin_epoch)\\" epoch=\\"$2\\" num_updates=\\"$3\\"/>"; }
tried=
while :; do
  now=$(cibadmin --query --no-children --node "$dc" 2>&1) || {
    echo "the configuration of $dc cannot be read: $(echo "$now" | tail -n 1)" >&2
    exit 1
  }
  epoch=$(field epoch)
  if [ "$(field admin_epoch).$epoch" != "$1" ]; then
    echo "it was changed by someone else at this moment: now $(field admin_epoch).$epoch, looked at $1" >&2
    exit 1
  fi
  [ -n "$diff" ] || exit 0
  [ "$(field num_updates)" != "$tried" ] || { cat "$dir/said" >&2; exit 1; }
  tried=$(field num_updates)
  versions="<version>$(version source "$epoch" "$tried")$(version target $((epoch + 1)) 0)</version>"
  printf %s "$diff" | sed "1s|<diff [^>]*>|&$versions|" | cibadmin --patch --xml-pipe 2>"$dir/said" && exit
done
`;

/** Puts a new configuration in the place of the one it was made from, in one step for the cluster. */
export async function pushCib(ctx: Context, cib: Cib, configuration: Element): Promise<void> {
  const whole = (one: Element): string =>
    `${write(element('cib', { crm_feature_set: cib.featureSet }, [one]))}\n`;
  const stdin = whole(cib.configuration) + whole(configuration);
  const said = await ctx.job(PUSH, { args: [cib.epoch], stdin, isRepeatable: true });
  if (said.code !== 0)
    throw new StepFailed(
      `Pacemaker has not taken the configuration: ${lastWords(said) || `exit code ${said.code}`}`,
    );
}
