import { createHash, randomBytes } from 'node:crypto';
import { DrillbookError, Unreachable } from '../../core/error.ts';
import type { Cluster } from '../../core/host.ts';
import type { Context } from '../../core/module.ts';
import { folderName, isHeld, oneLine, seenOf } from './record.ts';
import type { LockSeen } from './record.ts';
import { LOOK, UNLOCK } from './scripts.ts';

/** The lock of a cluster as its nodes tell it. */
export interface LockLook {
  readonly cluster: Cluster;
  /** By node, in the order of the inventory. */
  readonly seen: readonly LockSeen[];
  /** Nodes that cannot be reached. */
  readonly away: readonly string[];
}

/** Who holds a lock, for `status --output json`. */
export interface LockHolder {
  readonly run: string;
  readonly operator: string;
  readonly from: string;
  readonly since: string;
  readonly isAlive: boolean;
}

/** Reads the lock on the nodes of a cluster; `on` gives a context on a host. Throws `guard.lock` where a node cannot read it. */
export async function lookAtLock(cluster: Cluster, on: (host: string) => Context): Promise<LockLook> {
  const away: string[] = [];
  const look = async (host: string): Promise<LockSeen[]> => {
    try {
      return [seenOf(cluster.name, host, await on(host).sh(LOOK, { args: [folderName(cluster.name)] }))];
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      away.push(host);
      return [];
    }
  };
  const seen = await Promise.all(cluster.nodes.map(look));
  return { cluster, seen: seen.flat(), away };
}

/** What holds the cluster: of several the one that is alive, for that is the one to speak to. */
export function holderOf({ seen }: LockLook): LockHolder | undefined {
  const held = seen.filter(isHeld);
  const one = held.find(({ isAlive }) => isAlive) ?? held[0];
  if (!one) return undefined;
  const { run, operator, from, since, isAlive } = one;
  return { run, operator, from, since, isAlive };
}

/** Six characters that stand for who is put out: another holder has another code. */
export const unlockCode = ({ cluster, seen }: LockLook): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        cluster.name,
        ...seen.filter(isHeld).map(({ host, run, token, holder }) => [host, run, token, holder]),
      ]),
    )
    .digest('hex')
    .slice(0, 6);

/** Puts the holder out on every node where it was seen. Throws `guard.lock` where somebody else has it by now. */
export async function unlock(
  { cluster, seen }: LockLook,
  on: (host: string) => Context,
  { operator, from }: { readonly operator: string; readonly from: string },
): Promise<void> {
  const at = new Date().toISOString();
  const me = randomBytes(8).toString('hex');
  // One after the other: nodes that are one machine have one lock.
  for (const { host, folder, token, holder } of seen.filter(isHeld)) {
    const args = [
      ...[folderName(cluster.name), folder, String(token), holder],
      ...[me, oneLine(operator), oneLine(from), at],
    ];
    const now = seenOf(cluster.name, host, await on(host).sh(UNLOCK, { args }));
    if (now.holder === me || !isHeld(now)) continue;
    throw new DrillbookError(
      'guard.lock',
      `the lock of cluster ${cluster.name} changed on ${host} meanwhile`,
      {
        hint: 'look again: `drillbook unlock` shows who has it now',
      },
    );
  }
}
