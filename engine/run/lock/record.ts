import { durationText } from '../../core/duration.ts';
import { DrillbookError } from '../../core/error.ts';
import type { ShResult } from '../../core/host.ts';

/** How long a lock counts as held by a living run after it was last renewed, by the node's own clock since boot. */
const LEASE_S = 60;

/** What a node says of the lock of its cluster. */
export interface LockSeen {
  readonly host: string;
  /** What the script did or found. */
  readonly word: string;
  readonly folder: string;
  /** Rises with each taking on this node; 0 where it was never taken. */
  readonly token: number;
  readonly state: 'free' | 'held' | 'released' | 'unlocked' | 'damaged';
  readonly ageSeconds: number;
  readonly isAlive: boolean;
  /** The taker's own secretless identity: a run taken up again is another holder. */
  readonly holder: string;
  readonly run: string;
  readonly operator: string;
  /** User and name of the jump host. */
  readonly from: string;
  /** ISO-8601 UTC, by the jump host's clock. */
  readonly since: string;
}

/** The name of a cluster's folder. */
export const folderName = (cluster: string): string => encodeURIComponent(cluster).replace(/^\./, '%2E');

/** One line of a record. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\s]+/gu, ' ').trim();

export const isHeld = ({ state }: LockSeen): boolean => state === 'held' || state === 'damaged';

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** What a lock script printed. Throws `guard.lock` where the node could not keep or read the lock. */
export function seenOf(cluster: string, host: string, { code, stdout, stderr }: ShResult): LockSeen {
  const [
    word = '',
    folder = '',
    token,
    state,
    age,
    holder = '',
    run = '',
    operator = '',
    from = '',
    since = '',
  ] = stdout.split('\n');
  if (code !== 0 || token === undefined) {
    const why = lastLine(stderr) || `its shell ended with code ${code}`;
    throw new DrillbookError(
      'guard.lock',
      `the lock of cluster ${cluster} cannot be kept on ${host}: ${why}`,
      {
        hint: 'without it another run might touch the same nodes; drillbook keeps it in /var/lib/drillbook/locks there',
      },
    );
  }
  const ageSeconds = Number(age);
  return {
    ...{ host, word, folder, token: Number(token), state: state as LockSeen['state'] },
    ...{ ageSeconds, isAlive: state === 'held' && ageSeconds < LEASE_S },
    ...{ holder, run, operator, from, since },
  };
}

/** `run R of ann (root@jump) since 2026-…`. */
export const holderText = ({ run, operator, from, since, state }: LockSeen): string =>
  state === 'damaged' && run === ''
    ? 'somebody whose record is damaged'
    : `run ${run} of ${operator} (${from}) since ${since}`;

/** Whether the holder still renews it, in words. */
export function leaseText({ isAlive, ageSeconds }: LockSeen): string {
  const age = durationText(ageSeconds * 1000);
  return isAlive
    ? `that run is alive (it renewed the lock ${age} ago)`
    : `that run has not renewed the lock for ${age}: its jump host is down, cut off or stopped, or the run ended in doubt`;
}

/** Why a run may not begin. */
export function refusal(cluster: string, seen: LockSeen): DrillbookError {
  if (!isHeld(seen))
    return new DrillbookError('guard.lock', `cluster ${cluster} was taken from this run on ${seen.host}`);
  return new DrillbookError(
    'guard.lock',
    `cluster ${cluster} is locked on ${seen.host} by ${holderText(seen)}; ${leaseText(seen)}`,
    {
      hint: seen.isAlive
        ? 'wait for its end, or stop it where it runs'
        : `go on with it: \`drillbook resume ${seen.run}\` where it ran; or give it up: \`drillbook unlock ${cluster}\``,
    },
  );
}
