import { FIND_SCRIPT, READ_CLAIM } from './_job-claim.ts';
import { KILL_SCRIPT } from './_kill.ts';

/**
 * Ends the job whose claim was read. The shell that waits for it is left, for it writes down how it ended; what is left
 * of one whose shell is gone goes whole.
 */
export const END_CLAIMED = `
endClaimed() {
  if isAlive "$shell" "$start"; then ( set -- "$shell" "$begun"
${KILL_SCRIPT} )
  elif isAlive "$sub" "$begun"; then ( set -- "$sub" "$begun"
${KILL_SCRIPT} )
    kill -KILL "$sub" 2>/dev/null
  fi
}
`;

/**
 * Ends a job ($1 its folder, $2 its key) wherever it was begun; where there is none yet, what the shell ($3) that is
 * about to begin it runs.
 */
export const KILL_JOB_SCRIPT = `
job=$( set -- "$1" look
${FIND_SCRIPT} )/$2
${READ_CLAIM}${END_CLAIMED}
claim
if [ "$code" = run ]; then
  [ "$boot" != "$here" ] || endClaimed
elif [ ! -e "$job.pid" ] && [ -n "$3" ]; then
  set -- "$3"
${KILL_SCRIPT}
fi
exit 0
`;
