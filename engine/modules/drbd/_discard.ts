import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { bytesText } from '../../core/bytes.ts';
import { lastWords, linesOf } from '../_sh.ts';
import { RESOURCE, unquoted } from './_reunite.ts';
import type { Compress } from './_saved-copy.ts';
import { COPY } from './_saved-copy.ts';

/**
 * `$1` resource, `$2` generation that may be discarded, `$3` folder, `$4` name of the copy, `$5` compress, `$6` bytes, `$7` 1
 * where the disk is declared out of step. In one go, so that nothing gets between copy and discarding: what is given up is
 * what was copied, or nothing. Where the data is gone already, it only connects.
 */
const DISCARD = `
resource=$1 generation=$2 folder=$3 name=$4 compress=$5 bytes=$6 isForced=$7
${RESOURCE}
${COPY}
umask 077
# All but the lowest bit of the generation, which is the role.
isOwn() {
  now=$(drbdadm get-gi "$resource" | cut -c1-16)
  [ "\${now%?}" = "\${generation%?}" ] || return 1
  case "\${now#"\${now%?}"}\${generation#"\${generation%?}"}" in
    00|10|22|32|44|54|66|76|88|98|AA|BA|CC|DC|EE|FE) ;; *) return 1 ;;
  esac
}
saved() { echo "sha256 $(cut -d' ' -f1 "$folder/$name.sha256")"; [ "$compress" != none ] || try "$folder/$name"; }
written() { drbdsetup events2 --now --statistics "$resource" | sed -n 's/^exists device .* written:\\([0-9]*\\) .*/\\1/p'; }
at=$(mktemp -d) || exit
trap 'umount "$at/try" 2>/dev/null; rm -rf "$at" "$folder/$name.part"' EXIT
trap 'exit 143' HUP INT TERM
raise || exit
case $(dstate) in
  Inconsistent) if apart; then part && join; fi || exit; saved; exit 0 ;;
  UpToDate|Consistent|Outdated) ;;
  *) echo "its disk is $(dstate)" >&2; exit 1 ;;
esac
apart || { echo 'it is connected' >&2; exit 67; }
part || exit
isOwn || { echo "its data is of generation $(drbdadm get-gi "$resource" | cut -c1-16)" >&2; exit 67; }
[ "$(drbdadm role "$resource" | cut -d/ -f1)" = Secondary ] || drbdadm secondary "$resource" || exit
disk=$(drbdadm sh-ll-dev "$resource") && before=$(written) || exit
mkdir -p "$folder" && copy "$disk" "$bytes" "$folder/$name" "$compress" || exit
saved
isOwn && [ "$(written)" = "$before" ] && [ "$(drbdadm role "$resource" | cut -d/ -f1)" = Secondary ] && [ "$(cstate)" = StandAlone ] ||
  { echo 'it was written, promoted or connected while it was copied' >&2; exit 67; }
[ "$isForced" != 1 ] || drbdadm invalidate "$resource" || exit
join --discard-my-data
`;

export interface Discarding {
  readonly resource: string;
  readonly generation: string;
  readonly folder: string;
  readonly name: string;
  readonly compress: Compress;
  readonly bytes: number;
  readonly isForced: boolean;
}

export interface Saved {
  readonly sha256: string;
  /** Kind of the file system in it, or that there is none; empty where it was not looked for. */
  readonly holds: string;
  readonly mounts: boolean;
}

/** Saves all of a node's data, then has the node look for its peer as the one that gives way. */
export async function discard(ctx: Context, given: Discarding): Promise<Saved> {
  const { resource, generation, folder, name, compress, bytes, isForced } = given;
  const said = await ctx.job(DISCARD, {
    args: [resource, generation, folder, name, compress, String(bytes), isForced ? '1' : '0'],
    isRepeatable: true,
    onOutput(text) {
      const copied = Number(
        /^copied (\d+)$/m.exec(text.split('\n').findLast((line) => line.startsWith('copied ')) ?? '')?.[1],
      );
      if (copied > 0)
        ctx.progress(`saving ${name}: ${bytesText(copied)} of ${bytesText(bytes)}`, (100 * copied) / bytes);
    },
  });
  const { code, stdout, stderr } = unquoted(said);
  if (code !== 0)
    throw new StepFailed(
      `${resource} on ${ctx.host.name} was not discarded: ${lastWords({ stdout: '', stderr }) || `exit code ${code}`}`,
      { code, stderr },
      {
        hint:
          code === 67 ? 'it is not as it was judged: look again (drbd.divergence)' : 'its data is as it was',
      },
    );
  const lines = linesOf(stdout);
  const value = (word: string): string =>
    lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? '';
  return { sha256: value('sha256'), holds: value('holds'), mounts: lines.includes('mounts') };
}
