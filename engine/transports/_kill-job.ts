import { FIND_SCRIPT, READ_CLAIM } from './_job-frame.ts';
import { KILL_SCRIPT } from './_kill.ts';

/**
 * Ends a job ($1 its folder, $2 its key) wherever it was begun; where there is none yet, what the shell ($3) that is
 * about to begin it runs. The shell that waits for it is left: it writes down how it ended.
 */
export const KILL_JOB_SCRIPT = `
job=$( set -- "$1" look
${FIND_SCRIPT} )/$2
${READ_CLAIM}
claim
root=
if [ "$code" = run ] && [ "$boot" = "$here" ]; then
  if isAlive "$shell" "$start"; then set -- "$shell" "$begun"
  elif isAlive "$sub" "$begun"; then root=$sub; set -- "$sub" "$begun"
  else exit 0; fi
elif [ -e "$job.pid" ] || [ -z "$3" ]; then exit 0
else set -- "$3"; fi
( ${KILL_SCRIPT} )
[ -z "$root" ] || kill -KILL "$root" 2>/dev/null
exit 0
`;
