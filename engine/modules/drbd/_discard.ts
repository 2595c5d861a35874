import { StepFailed } from '../../core/error.ts';
import type { ShResult } from '../../core/host.ts';
import type { Context } from '../../core/module.ts';
import { bytesText } from '../../core/bytes.ts';
import { lastWords, linesOf } from '../_sh.ts';
import { RESOURCE, unquoted } from './_reunite.ts';
import type { Compress } from './_saved-copy.ts';
import { COPY } from './_saved-copy.ts';

/** What tells that a disk is what it was copied as: its generation but for the lowest bit, which is the role, its boot, and what was written. */
const SAME = `
isOwn() {
  now=$(drbdadm get-gi "$resource" | cut -c1-16)
  [ "\${now%?}" = "\${generation%?}" ] || return 1
  case "\${now#"\${now%?}"}\${generation#"\${generation%?}"}" in
    00|10|22|32|44|54|66|76|88|98|AA|BA|CC|DC|EE|FE) ;; *) return 1 ;;
  esac
}
boot() { cat /proc/sys/kernel/random/boot_id; }
written() { drbdsetup events2 --now --statistics "$resource" | sed -n 's/^exists device .* written:\\([0-9]*\\) .*/\\1/p'; }
`;

/**
 * `$1` resource, `$2` generation that may be discarded, `$3` folder, `$4` name of the copy, `$5` compress, `$6` bytes. Parted
 * and secondary it is copied, and stays so. Where the data is gone already, its copy is told.
 */
const SAVE = `
resource=$1 generation=$2 folder=$3 name=$4 compress=$5 bytes=$6
${RESOURCE}${SAME}${COPY}
umask 077
saved() { echo "sha256 $(cut -d' ' -f1 "$folder/$name.sha256")"; [ "$compress" != none ] || try "$folder/$name"; }
at=$(mktemp -d) || exit
trap 'umount "$at/try" 2>/dev/null; rm -rf "$at" "$folder/$name.part"' EXIT
trap 'exit 143' HUP INT TERM
raise || exit
case $(dstate) in
  Inconsistent) saved; exit 0 ;;
  UpToDate|Consistent|Outdated) ;;
  *) echo "its disk is $(dstate)" >&2; exit 1 ;;
esac
# Saved and filled from its peer, and then it lost power.
if [ -e "$folder/$name" ] && ! isOwn; then saved; exit 0; fi
apart || { echo 'it is connected' >&2; exit 67; }
part || exit
isOwn || { echo "its data is of generation $(drbdadm get-gi "$resource" | cut -c1-16)" >&2; exit 67; }
[ "$(drbdadm role "$resource" | cut -d/ -f1)" = Secondary ] || drbdadm secondary "$resource" || exit
disk=$(drbdadm sh-ll-dev "$resource") && before="$(boot) $(written)" || exit
mkdir -p "$folder" && copy "$disk" "$bytes" "$folder/$name" "$compress" || exit
saved
echo "state $before"
`;

/**
 * `$1` resource, `$2` generation, `$3` 1 where the disk is declared out of step, `$4` boot and `$5` what was written, as it was
 * copied. What is given up is what was copied, or nothing; where it is gone already, it only connects.
 */
const GIVE_UP = `
resource=$1 generation=$2 isForced=$3
${RESOURCE}${SAME}
raise || exit
if [ -z "$4" ] || [ "$(dstate)" = Inconsistent ]; then if apart; then part && join; fi; exit; fi
[ "$(boot)" = "$4" ] || { echo 'it was rebooted since it was copied' >&2; exit 75; }
apart || { echo 'it is connected' >&2; exit 67; }
isOwn && [ "$(written)" = "$5" ] && [ "$(drbdadm role "$resource" | cut -d/ -f1)" = Secondary ] && [ "$(cstate)" = StandAlone ] ||
  { echo 'it was written, promoted or connected since it was copied' >&2; exit 67; }
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

/** What a copy is of: boot of the node, and what was written in it; undefined where the data is gone already. */
type Copied = readonly string[] | undefined;

const notDiscarded = (ctx: Context, resource: string, { code, stderr }: ShResult): StepFailed =>
  new StepFailed(
    `${resource} on ${ctx.host.name} was not discarded: ${lastWords({ stdout: '', stderr }) || `exit code ${code}`}`,
    { code, stderr },
    {
      hint:
        code === 67 ? 'it is not as it was judged: look again (drbd.divergence)' : 'its data is as it was',
    },
  );

/** Saves all of a node's data, which no longer looks for its peer. */
export async function save(ctx: Context, given: Discarding): Promise<{ saved: Saved; copied: Copied }> {
  const { resource, generation, folder, name, compress, bytes } = given;
  const said = unquoted(
    await ctx.job(SAVE, {
      args: [resource, generation, folder, name, compress, String(bytes)],
      isRepeatable: true,
      onOutput(text) {
        const copied = Number(
          /^copied (\d+)$/m.exec(text.split('\n').findLast((line) => line.startsWith('copied ')) ?? '')?.[1],
        );
        if (copied > 0)
          ctx.progress(`saving ${name}: ${bytesText(copied)} of ${bytesText(bytes)}`, (100 * copied) / bytes);
      },
    }),
  );
  if (said.code !== 0) throw notDiscarded(ctx, resource, said);
  const lines = linesOf(said.stdout);
  const value = (word: string): string =>
    lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? '';
  return {
    saved: { sha256: value('sha256'), holds: value('holds'), mounts: lines.includes('mounts') },
    copied: lines
      .find((line) => line.startsWith('state '))
      ?.split(' ')
      .slice(1),
  };
}

/** Has it look for its peer as the one that gives way; false where it has been rebooted since it was copied. */
export async function giveUp(
  ctx: Context,
  { resource, generation, isForced }: Discarding,
  copied: Copied,
): Promise<boolean> {
  const args = [resource, generation, isForced ? '1' : '0', ...(copied ?? [])];
  const said = unquoted(await ctx.job(GIVE_UP, { args, isRepeatable: true }));
  if (said.code !== 0 && said.code !== 75) throw notDiscarded(ctx, resource, said);
  return said.code === 0;
}
