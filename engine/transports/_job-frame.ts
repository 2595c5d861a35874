import type { JobId } from '../core/host.ts';
import { body, quote, REFUSED } from './_frame.ts';
import type { Script } from './_frame.ts';
import { FIND_SCRIPT, folderOf, SAYS } from './_job-claim.ts';
import type { Exchange } from './_shell.ts';

/**
 * What a shell is told before its first job, for one that reads byte by byte reads a short frame much faster.
 * `drillbook_claim` asks whether the job is ours to run, in the subshell that is to run it. `drillbook_end` writes down how
 * it ended; both outputs are open for appending, so that the positions tell their sizes. `drillbook_tell` prints an output
 * file of a size ($2): to start `cat` takes longer than most commands, and a builtin loop loses NUL bytes, which the size
 * betrays.
 */
const FUNCTIONS = `
drillbook_claim() {
  read -r drillbook_rest </proc/self/stat
  set -- "$1" "\${drillbook_rest%% *}" \${drillbook_rest##*) }
  set -C
  { true >"$drillbook_job.pid"; } 2>/dev/null || exit
  set +C
  printf 'run %11s %11s %s %s %s %s\\n' - - "$1" "$drillbook_me" "$2" "\${22}" >"$drillbook_job.pid" && return
  rm -f "$drillbook_job.pid"
  exit
}
drillbook_end() {
  [ -e "$drillbook_job.pid" ] || { [ "$2" != ${REFUSED} ] || drillbook_code=$2; return 1; }
  drillbook_code=${SAYS.taken} drillbook_nonce=
  read -r drillbook_rest drillbook_rest drillbook_rest drillbook_nonce drillbook_rest <"$drillbook_job.pid"
  [ "$drillbook_nonce" = "$1" ] || return
  read -r drillbook_rest drillbook_out </proc/$$/fdinfo/3
  read -r drillbook_rest drillbook_err </proc/$$/fdinfo/4
  printf '%-3d %11s %11s' "$2" "$drillbook_out" "$drillbook_err" 1<>"$drillbook_job.pid"
  drillbook_code="$2 $drillbook_out $drillbook_err"
}
drillbook_tell() {
  if [ "$2" -gt 2048 ]; then cat "$1"
  elif [ -s "$1" ]; then
    while IFS= read -r drillbook_rest; do printf '%s\\n' "$drillbook_rest"; done <"$1"
    printf %s "$drillbook_rest"
  fi
}
`;

/** Once in the life of a shell, or for another folder: where the jobs lie, and who the shell is, for their claims. */
const preludeText = (folder: string): string => `${FUNCTIONS}
drillbook_jobs=$( set -- ${folder} make
${FIND_SCRIPT} )
read -r drillbook_me </proc/self/stat
set -- \${drillbook_me##*) }
read -r drillbook_me </proc/sys/kernel/random/boot_id
drillbook_me="$$ \${20} $drillbook_me"
`;

/** What a job is besides its script. */
export interface JobParts extends Script {
  /** An input that was staged under this nonce. */
  readonly staged?: string | undefined;
  /** Standard input that travels in the frame. */
  readonly stdin?: string | undefined;
  /** Another shell follows the output: it is told of the beginning (one byte) and gets nothing else. */
  readonly isFollowed?: boolean | undefined;
  /** Asked before the claim: shell text that fails with a word on standard error where the job cannot be run. */
  readonly needs?: string | undefined;
}

/** What comes between the guards and the script. */
function claimText({ staged, isFollowed, needs }: JobParts, marker: string): string {
  const lines = [
    ...(needs === undefined ? [] : [needs]),
    ...(staged === undefined ? [] : [`exec <"$drillbook_job.in.${staged}" || exit`]),
    `drillbook_claim ${marker}`,
    ...(staged === undefined ? [] : [`rm -f "$drillbook_job".in.*`]),
    // A connection that is cut right here must not end the job.
    ...(isFollowed ? [`trap '' PIPE; printf .`] : []),
    // bash still tells of the traps around a subshell.
    'trap - HUP PIPE',
    `exec >&3 2>&4 3>&- 4>&-`,
    ...(isFollowed ? [] : ['unset drillbook_job']),
  ];
  return lines.join('\n');
}

/** True when what came is not what the job's files hold. */
export const isMaimed = ({ stdout, stderr, notes: [out, err] }: Exchange): boolean =>
  out !== undefined && err !== undefined && (stdout.length !== Number(out) || stderr.length !== Number(err));

/**
 * What a persistent shell reads to begin a job; `isKnown`: it has the folder already. One compound command, so that
 * nothing of a frame cut short is run. The shell that waits for the script must live to write its end, whatever
 * becomes of the connection; a trap that does nothing leaves the script's own signals alone.
 */
export function startFrame(id: JobId, parts: JobParts, isKnown: boolean, marker: string): string {
  const { stdin = '', staged, isFollowed } = parts;
  const inner = `(\n${body({ ...parts, claim: claimText(parts, marker) }, marker)}\n)`;
  const outer = stdin === '' ? `${inner} </dev/null` : `printf %s ${quote(stdin)} | ${inner}`;
  const tell = `{ drillbook_tell "$drillbook_job.out" "$drillbook_out"; drillbook_tell "$drillbook_job.err" "$drillbook_err" >&2; }`;
  return `{ trap : HUP PIPE
${isKnown ? '' : preludeText(folderOf(id))}drillbook_job=$drillbook_jobs/${id.key}
drillbook_code=${SAYS.notBegun}
if [ -e "$drillbook_job.pid" ]; then drillbook_code=${SAYS.taken}; elif [ -n "$drillbook_jobs" ]; then
{ ${outer}
drillbook_end ${marker} $?${isFollowed ? '' : ` && ${tell}`}
} 3>>"$drillbook_job.out" 4>>"$drillbook_job.err"
fi
${staged === undefined ? '' : `rm -f "$drillbook_job.in.${staged}"\n`}trap - HUP PIPE
printf '${marker}%s\\n' "$drillbook_code"; printf ${marker} >&2
}
`;
}

/**
 * Puts standard input ($3 bytes) beside a job ($1 its folder, $2 KEY.in.NONCE, $4 KEY.pid), whole or not at all;
 * not where the job has begun already.
 */
export const STAGE_SCRIPT = `
folder=$( set -- "$1" make
${FIND_SCRIPT} ) || exit
[ -e "$folder/$4" ] && exit
umask 077
set -C
cat >"$folder/$2" && [ "$(wc -c <"$folder/$2")" -eq "$3" ] || { rm -f "$folder/$2"; exit 1; }
`;
