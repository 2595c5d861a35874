import { DrillbookError } from '../core/error.ts';
import type { JobId } from '../core/host.ts';

/*
 * A job is the script of an exchange whose output goes to files and whose end is written down, so that it needs no
 * connection: sshd sends no hang-up to what has no terminal, and the shell has read the whole frame before it begins.
 * The files lie in ROOT/jobs/RUN/HOST/:
 *   KEY.pid   `run - - NONCE SHELL START BOOT SUBSHELL START`; whoever makes it (O_EXCL) runs the script, so it runs
 *             once. At the end the exit code replaces `run` and the sizes of both outputs the dashes, in place, which
 *             needs no space on a disk that is full. The code begins where `run` does: a shell reads byte by byte, and
 *             one that reads meanwhile must find every word at its place. The sizes tell whether a power failure has
 *             taken some of it.
 *   KEY.out, KEY.err, and KEY.in.NONCE for a big input until the job has it open.
 *   KEY.type, KEY.tty, KEY.answer.N of a dialogue.
 */

/** What the exchange of a job says where no script's exit code can. */
export const SAYS = { absent: 1000, killed: 1001, rebooted: 1002, notBegun: 1003, taken: 1004 } as const;

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
said=$(mkdir -m 700 "$own" 2>&1)
if ! isOurs; then
  { [ -d "$own" ] || [ -h "$own" ]; } && said="$own is a link or belongs to another user"
  echo "$said" >&2
  exit 1
fi
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
