import { hostname, userInfo } from 'node:os';
import type { Cluster, Guard, Host, ShResult, Transport } from '../../core/host.ts';
import { folderName, oneLine, seenOf } from './record.ts';
import type { LockSeen } from './record.ts';
import { FENCE, HAS_ENDED, RELEASE, RENEW, TAKE } from './scripts.ts';

/** Who takes locks: a run in one process. */
export interface Taker {
  /** Its own in this process: a run that is taken up again is another holder. */
  readonly id: string;
  readonly run: string;
  readonly operator: string;
  /** `root@jump`. */
  readonly from: string;
}

/** A node's lock that is ours. */
export interface Held {
  readonly cluster: string;
  readonly host: Host;
  readonly seen: LockSeen;
}

/** User and name of this machine. */
export function whereFrom(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `${process.getuid?.() ?? '?'}@${hostname()}`; // A user id without a name, as containers have.
  }
}

/** `known`: the token it had before; `over`: a holder that is known to have ended. `word` of what it gives is `taken` or `held`. */
export async function takeOn(
  cluster: Cluster,
  host: Host,
  transport: Transport,
  { id, run, operator, from }: Taker,
  { known, over = '' }: { readonly known?: number | undefined; readonly over?: string },
): Promise<LockSeen> {
  const words = [run, operator, from, new Date().toISOString()].map(oneLine);
  const args = [folderName(cluster.name), id, ...words, String(known ?? ''), over];
  return seenOf(cluster.name, host.name, await transport.sh(TAKE, { args, become: host.become }));
}

const mine = ({ seen: { folder, token } }: Held, { id }: Taker): string[] => [
  ...[folder, String(token), id, String(token + 1)],
];

export const renewOn = (transport: Transport, held: Held, taker: Taker): Promise<ShResult> =>
  transport.sh(RENEW, { args: mine(held, taker), become: held.host.become });

export function releaseOn(transport: Transport, held: Held, taker: Taker): Promise<ShResult> {
  const args = [...mine(held, taker), taker.run, new Date().toISOString()];
  return transport.sh(RELEASE, { args, become: held.host.become });
}

/** True when the node knows that the run `seen` tells of has ended since. */
export async function hasEndedOn(
  transport: Transport,
  cluster: Cluster,
  { become }: Host,
  { run, since }: LockSeen,
): Promise<boolean> {
  return (await transport.sh(HAS_ENDED, { args: [folderName(cluster.name), run, since], become })).code === 0;
}

export const fenceOf = (held: Held, taker: Taker): Guard => ({
  code: 'guard.lock',
  script: FENCE,
  args: [...mine(held, taker), `the lock of cluster ${held.cluster} on ${held.host.name}`],
});

/** Lets nothing through. */
export const barredBy = (why: string): Guard => ({ code: 'guard.lock', script: 'refused=$1', args: [why] });
