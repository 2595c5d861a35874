import { readStatus } from '../cluster/stacks.ts';
import type { ClusterStatus } from '../core/cluster.ts';
import { Unreachable } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { compileCondition } from '../parse/condition.ts';
import { clusterView } from '../run/invariants.ts';
import { pause } from '../run/waiting.ts';

/** A node that is struck may not answer; a look does not wait longer for it. */
const PATIENCE_MS = 2500;
const LOOK_EVERY_MS = 500;

export interface Before {
  readonly primary: string;
  readonly standby: string;
}

/** The context with a bound on each exchange: a node that takes longer counts as out of reach. */
export function bounded(context: Context, ms: number): Context {
  const { name } = context.host;
  return {
    ...context,
    async sh(script, options) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        const why = new Unreachable(name, 'silent', `${name} does not answer within ${ms / 1000} s`);
        timer = setTimeout(() => reject(why), ms);
      });
      const said = context.sh(script, options);
      said.catch(() => undefined);
      try {
        return await Promise.race([said, late]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/** The pair as it is now. */
export const look = (cluster: Cluster, on: (node: string) => Context): Promise<ClusterStatus> =>
  readStatus(cluster, (node) => bounded(on(node), PATIENCE_MS));

/** Conditions that do not hold, as written; what cannot be told does not hold. */
export function unmet(
  texts: readonly string[],
  cluster: Cluster,
  status: ClusterStatus,
  before?: Before,
): readonly string[] {
  const scope = { cluster: clusterView(cluster, status), ...(before ? { before } : {}) };
  return texts.filter((text) => {
    try {
      return !compileCondition(text).test(scope);
    } catch {
      return true;
    }
  });
}

/** Looks until `test` says yes, `ms` at most; the time it took, or undefined. */
export async function until(
  test: () => Promise<boolean>,
  ms: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const startedAt = performance.now();
  for (;;) {
    const isMet = await test();
    const tookMs = performance.now() - startedAt;
    if (isMet) return tookMs;
    if (signal.aborted || tookMs >= ms) return undefined;
    await pause(Math.min(LOOK_EVERY_MS, ms - tookMs), signal);
  }
}
