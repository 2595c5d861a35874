import { DrillbookError } from '../core/error.ts';
import type { JobId } from '../core/host.ts';
import { body, quote, REFUSED } from './_frame.ts';
import type { Script } from './_frame.ts';
import type { Exchange } from './_shell.ts';

/*
 * A job is the script of an exchange whose output goes to files and whose end is written down, so that it needs no
 * connection: sshd sends no hang-up to what has no terminal, and the shell has read the whole frame before it begins.
 * The files lie in ROOT/jobs/RUN/HOST/:
 *   KEY.pid   `run - - NONCE SHELL START BOOT SUBSHELL START`; whoever makes it (O_EXCL) runs the script, so it runs
 *             once. At the end the exit code replaces `run` and the sizes of both outputs the dashes, in place, which
 *             needs no space on a disk that is full. The sizes tell whether a power failure has taken some of it.
 *   KEY.out, KEY.err, and KEY.in.NONCE for a big input until the job has it open.
 *   KEY.type, KEY.tty, KEY.answer.N of a dialogue.
 */

/** What the exchange of a job says where no script's exit code can. */
export const SAYS = { absent: 1000, killed: 1001, rebooted: 1002, notBegun: 1003, taken: 1004 } as const;

/** Prints the folder of a run's jobs ($1: jobs/RUN/HOST): where it is already, else ($2 is `make`) where it can be. */
export const FIND_SCRIPT = `
main=/var/lib/drillbook own=/var/tmp/drillbook-$(id -u)
isOurs() { [ -d "$own" ] && [ ! -h "$own" ] && [ -O "$own" ]; }
for root in "$main" "$own"; do
  [ -w "$root/$1" ] || continue
  [ "$root" = "$main" ] || isOurs || continue
  printf %s "$root/$1"
  exit
done
[ "$2" = make ] || exit 1
( [ -d "$main" ] || { umask 022; mkdir -p "$main"; } && umask 077 && mkdir -p "$main/$1" ) 2>/dev/null &&
  [ -w "$main/$1" ] && printf %s "$main/$1" && exit
[ -e "$own" ] || [ -h "$own" ] || mkdir -m 700 "$own" || exit 1
isOurs || { echo "$own is a link or belongs to another user" >&2; exit 1; }
umask 077
mkdir -p "$own/$1" && printf %s "$own/$1"
`;

/** Alive is who has the pid ($1) and the start time ($2) of the claim. */
const IS_ALIVE = `
isAlive() {
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  wanted=$2
  set -- \${stat##*) }
  [ "$1" != Z ] && [ "\${20}" = "$wanted" ]
}
`;

/** Reads a claim (of $job) into variables; `code` is empty where there is none or it is not filled in. */
export const READ_CLAIM = `${IS_ALIVE}
read -r here </proc/sys/kernel/random/boot_id
claim() {
  code= out= err= nonce= shell=0 start=0 boot=$here sub=0 begun=0
  [ -s "$job.pid" ] && read -r code out err nonce shell start boot sub begun <"$job.pid"
}
`;

/**
 * Waits for a job ($1: its files without the ending), passes its output on as it grows, and says how it ended ($2: the
 * marker). $3 and $4: seconds between two looks, at first and later.
 */
const ATTACH_SCRIPT = `
job=$1 marker=$2 first=$3 later=$4 pauses= dead=
${READ_CLAIM}
finish() {
  cat <&3
  [ -s "$job.err" ] && cat "$job.err" >&2
  say "$1"
}
isWhole() { [ "$(wc -c <"$job.$1")" -eq "$2" ] 2>/dev/null; }
say() { printf "$marker%d\\n" "$1"; printf "$marker" >&2; exit; }
above() { # Who started this shell, up to the first process.
  chain= pid=$$
  while [ "$pid" -gt 1 ] && { read -r stat <"/proc/$pid/stat"; } 2>/dev/null; do
    set -- \${stat##*) }
    pid=$2 chain="$chain $2"
  done
}
[ -e "$job.pid" ] || say ${SAYS.absent}
exec 3<"$job.out"
above; origin=$chain
while :; do
  # Nobody hears what a shell says whose connection is gone, and it would wait as long as the job runs.
  above; [ "$chain" = "$origin" ] || kill -9 $$
  claim
  case $code in
    run | '') ;;
    *[!0-9]*) ;;
    *)
      [ "$boot" = "$here" ] || { isWhole out "$out" && isWhole err "$err"; } || finish ${SAYS.rebooted}
      finish "$code"
      ;;
  esac
  [ "$boot" = "$here" ] || finish ${SAYS.rebooted}
  if isAlive "$shell" "$start" || isAlive "$sub" "$begun"; then
    dead=
    cat <&3
  else
    # Between the two looks it may have ended; or it is about to fill in its claim.
    [ "$dead" = ... ] && finish ${SAYS.killed}
    dead=$dead.
  fi
  case $pauses in
    ..........) sleep "$later" 2>/dev/null || sleep 1 ;;
    *) pauses=$pauses. ; sleep "$first" 2>/dev/null || sleep 1 ;;
  esac
done
`;

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
  printf '%3d %11s %11s' "$2" "$drillbook_out" "$drillbook_err" 1<>"$drillbook_job.pid"
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

/** `jobs/RUN/HOST`, its parts free of what a path or a shell takes for more than a letter. */
export function folderOf({ run, host, key }: JobId): string {
  for (const name of [run, key]) {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(name))
      throw new DrillbookError('bug', `no name of a job: ${name}`);
  }
  return `jobs/${run}/${hostWord(host)}`;
}

/** A host's name as a folder's: letters, digits, `.`, `_`, `-` and `%`. */
export const hostWord = (host: string): string =>
  encodeURIComponent(host).replace(
    /^\.|[!~*'()]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );

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

/** What it reads to wait for one and to take what it has said and how it ended. */
export const attachFrame = (id: JobId, [first, later]: readonly [number, number], marker: string): string =>
  `( set -- ${folderOf(id)} look
set -- "$( ${FIND_SCRIPT} )/${id.key}" ${marker} ${first} ${later}
${ATTACH_SCRIPT} )
`;

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
