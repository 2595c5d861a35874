import type { JobId } from '../core/host.ts';
import { FIND_SCRIPT, folderOf, READ_CLAIM, SAYS } from './_job-claim.ts';

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
say() { printf "$marker%d\\n" "$1"; printf "$marker" >&2; exit 0; }
above() { # Who started this shell, up to the first process.
  chain= pid=$$
  while [ "$pid" -gt 1 ] && { read -r stat <"/proc/$pid/stat"; } 2>/dev/null; do
    set -- \${stat##*) }
    pid=$2 chain="$chain $2"
  done
}
[ -e "$job.pid" ] || say ${SAYS.absent}
exec 3<"$job.out" || exit 1
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
 * What a persistent shell reads to wait for a job, and to take what it has said and how it ended. Files that are gone all of
 * a sudden must not keep it from answering.
 */
export const attachFrame = (id: JobId, [first, later]: readonly [number, number], marker: string): string =>
  `( set -- ${folderOf(id)} look
set -- "$( ${FIND_SCRIPT} )/${id.key}" ${marker} ${first} ${later}
${ATTACH_SCRIPT} ) || { printf '${marker}${SAYS.killed}\\n'; printf ${marker} >&2; }
`;
