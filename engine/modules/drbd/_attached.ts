import { StepFailed } from '../../core/error.ts';

/**
 * Shell: `attached VOLUME` prints the disk that the kernel has under a volume of `$resource`, if any, by the name that it was
 * attached by; `isOne NAME NAME` whether two names are of one device.
 */
export const ATTACHED = `
attached() {
  [ ! -e /proc/drbd ] || drbdsetup show "$resource" 2>/dev/null |
    sed -n "/^[[:blank:]]*volume $1 {/,/}/s/^[[:blank:]]*disk[[:blank:]]*\\"\\(.*\\)\\";.*/\\1/p"
}
isOne() { [ "$(readlink -f "$1")" = "$(readlink -f "$2")" ]; }
`;

/** The disk in the file is not the one that is attached: to be put in line with its file would let go of the good one. */
export const refuseOther = (resource: string, attached: string, described: string): never => {
  throw new StepFailed(
    `${resource} is on ${attached}, and its file names ${described}`,
    { attached, described },
    {
      hint: 'nothing was changed; where the disk is to be another, let go of the one that is attached first (drbdadm detach)',
    },
  );
};
