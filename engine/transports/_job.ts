import { StepFailed, DrillbookError } from '../core/error.ts';
import type { JobEnd, JobId } from '../core/host.ts';
import { body, quote, REFUSED } from './_frame.ts';
import type { Script } from './_frame.ts';
import type { Exchange } from './_shell.ts';

/*
 * A job is a script of an exchange whose output goes to files and whose end is written down, so that it needs no
 * connection: sshd sends no hang-up to what has no terminal, and the shell has read the whole frame before it begins.
 * The files lie in ROOT/jobs/RUN/HOST/:
 *   KEY.pid   `run NONCE SHELL START BOOT SUBSHELL START`; whoever makes it (O_EXCL) runs the script, so it runs once.
 *             At the end the exit code replaces `run` in place, which needs no space on a disk that is full.
 *   KEY.out, KEY.err, and KEY.in.NONCE for a big input until the job has it open.
 */

/** How an exchange of a job ended where no script's exit code can tell: above all exit codes. */
const ABSENT = 1000;
const KILLED = 1001;
const REBOOTED = 1002;
const NOT_BEGUN = 1003;
const TAKEN = 1004;

/** The folder of a run's jobs on a host ($1: jobs/RUN/HOST): where it is already, else where it can be made. */
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
[ -e "$own" ] || mkdir -m 700 "$own" || exit 1
isOurs || { echo "$own is a link or belongs to another user" >&2; exit 1; }
umask 077
mkdir -p "$own/$1" && printf %s "$own/$1"
`;

/**
 * Waits for a job ($1: its files without the ending) and passes its output on as it grows; prints how it ended
 * ($2: the marker). Alive is who has the pid and the start time of the claim, in the same boot.
 */
const ATTACH_SCRIPT = `
isAlive() {
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  wanted=$2
  set -- \${stat##*) }
  [ "$1" != Z ] && [ "\${20}" = "$wanted" ]
}
pause() {
  case $pauses in
    ..........) sleep 0.5 2>/dev/null || sleep 1 ;;
    *) pauses=$pauses. ; sleep 0.1 2>/dev/null || sleep 1 ;;
  esac
}
finish() {
  [ -e "$job.out" ] && cat <&3
  [ -s "$job.err" ] && cat "$job.err" >&2
  printf "$marker%d\\n" "$1"
  printf "$marker" >&2
  exit
}
job=$1 marker=$2 pauses= isLast=
[ -e "$job.pid" ] || finish ${ABSENT}
exec 3<"$job.out"
read -r here </proc/sys/kernel/random/boot_id
while :; do
  code=
  read -r code nonce shell start boot sub begun <"$job.pid"
  case $code in
    '') boot=$here shell=0 sub=0 ;;
    *[!0-9]*) ;;
    *) finish "$code" ;;
  esac
  [ "$boot" = "$here" ] || finish ${REBOOTED}
  if isAlive "$shell" "$start" || isAlive "$sub" "$begun"; then
    isLast=
    cat <&3
  else
    # Between the two looks it may have ended; or it is about to fill in its claim.
    [ "$isLast" = ... ] && finish ${KILLED}
    isLast=$isLast.
  fi
  pause
done
`;

/**
 * Once in the life of a shell, or for another folder: where the jobs lie, and for their claims the shell's pid and
 * start time, and the boot. Kept in variables, for a shell that reads byte by byte reads a short frame much faster.
 */
const preludeText = (folder: string): string => `drillbook_jobs=$( set -- ${folder} make
${FIND_SCRIPT} )
read -r drillbook_me </proc/self/stat
set -- \${drillbook_me##*) }
read -r drillbook_me </proc/sys/kernel/random/boot_id
drillbook_me="$$ \${20} $drillbook_me"
`;

/** Asks whether the job is ours to run, in the subshell that is to run it. */
const claimText = (marker: string): string => `exec >>"$drillbook_job.out" 2>>"$drillbook_job.err" || exit
read -r drillbook_stat </proc/self/stat
set -- \${drillbook_stat%% *} \${drillbook_stat##*) }
set -C
{ true >"$drillbook_job.pid"; } 2>/dev/null || exit
set +C
printf 'run %s %s %s %s\\n' ${marker} "$drillbook_me" "$1" "\${21}" >"$drillbook_job.pid" || { rm -f "$drillbook_job.pid"; exit; }
unset drillbook_jobs drillbook_job drillbook_me drillbook_stat`;

/** `jobs/RUN/HOST` as a word of shell. */
export function folderOf({ run, host, key }: JobId): string {
  for (const name of [run, key]) {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(name))
      throw new DrillbookError('bug', `no name of a job: ${name}`);
  }
  return quote(`jobs/${run}/${encodeURIComponent(host).replace(/^\./, '%2E')}`);
}

/**
 * What a persistent shell reads to begin a job; `isKnown`: it has the folder already. One compound command, so that
 * nothing of a frame cut short is run. The shell that waits for the script must live to write its end, whatever
 * becomes of the connection; a trap that does nothing leaves the script's own signals alone.
 */
export function startFrame(
  id: JobId,
  script: Script,
  stdin: string,
  isKnown: boolean,
  marker: string,
): string {
  const inner = `(\n${body({ ...script, claim: claimText(marker) }, marker)}\n)`;
  const outer = stdin === '' ? `${inner} </dev/null` : `printf %s ${quote(stdin)} | ${inner}`;
  return `{ trap : HUP PIPE
${isKnown ? '' : preludeText(folderOf(id))}drillbook_job=$drillbook_jobs/${id.key}
drillbook_code=${NOT_BEGUN} drillbook_nonce=
if [ -e "$drillbook_job.pid" ]; then drillbook_code=${TAKEN}; elif [ -n "$drillbook_jobs" ]; then
${outer}
drillbook_end=$?
[ -e "$drillbook_job.pid" ] && read -r drillbook_code drillbook_nonce drillbook_rest <"$drillbook_job.pid"
if [ "$drillbook_nonce" = ${marker} ]; then
drillbook_code=$drillbook_end
printf %3d $drillbook_code 1<>"$drillbook_job.pid"
[ -s "$drillbook_job.out" ] && cat "$drillbook_job.out"
[ -s "$drillbook_job.err" ] && cat "$drillbook_job.err" >&2
elif [ -e "$drillbook_job.pid" ]; then drillbook_code=${TAKEN}
elif [ $drillbook_end = ${REFUSED} ]; then drillbook_code=${REFUSED}
fi
fi
trap - HUP PIPE
printf '${marker}%d\\n' $drillbook_code; printf ${marker} >&2
}
`;
}

/** What it reads to wait for one and to take what it has said and how it ended. */
export const attachFrame = (id: JobId, marker: string): string =>
  `( set -- ${folderOf(id)} look
set -- "$( ${FIND_SCRIPT} )/${id.key}" ${marker}
${ATTACH_SCRIPT} )
`;

/** True when the exchange found the job begun already. */
export const isTaken = ({ code }: Exchange): boolean => code === TAKEN;
/** True when the exchange found nowhere to put the job, as when its folder was removed meanwhile. */
export const isHomeless = ({ code }: Exchange): boolean => code === NOT_BEGUN;

/** What an exchange of a job means. */
export function jobEnd(host: string, { code, stdout, stderr }: Exchange): JobEnd<Exchange> {
  const output = stdout.toString() + stderr.toString();
  switch (code) {
    case ABSENT:
      return { kind: 'absent' };
    case KILLED:
      return { kind: 'lost', reason: 'killed', output };
    case REBOOTED:
      return { kind: 'lost', reason: 'rebooted', output };
    case NOT_BEGUN:
      throw new StepFailed(
        `no job can be begun on ${host}: ${stderr.toString().trim().split('\n').at(-1) ?? ''}`,
      );
    default:
      return { kind: 'ended', result: { code, stdout, stderr } };
  }
}
