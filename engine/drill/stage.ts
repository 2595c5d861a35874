import { readStatus } from '../cluster/stacks.ts';
import type { ClusterStatus } from '../core/cluster.ts';
import { Unreachable } from '../core/error.ts';
import type { Context } from '../core/module.ts';
import { compileCondition } from '../parse/condition.ts';
import { clusterView } from '../run/invariants.ts';
import { pause } from '../run/waiting.ts';
import type { Before, Course } from './course.ts';

/** A node whose peer is away takes some seconds to find that out. */
const PATIENCE_MS = 10_000;
const GLANCE_MS = 100;
const LOOK_EVERY_MS = 500;

/** The context with a bound on each exchange: a node that takes longer, or is away, counts as out of reach. */
export function bounded(context: Context, ms: number, isAway: () => boolean = () => false): Context {
  const { name } = context.host;
  return {
    ...context,
    async sh(script, options) {
      let timer: NodeJS.Timeout | undefined;
      const end = performance.now() + ms;
      const late = new Promise<never>((_, reject) => {
        timer = setInterval(() => {
          if (performance.now() > end || isAway())
            reject(new Unreachable(name, 'silent', `${name} does not answer`));
        }, GLANCE_MS);
      });
      const said = context.sh(script, options);
      said.catch(() => undefined);
      try {
        return await Promise.race([said, late]);
      } finally {
        clearInterval(timer);
      }
    },
  };
}

/** The pair as it is now; a node that the watch has lost sight of is not waited for. */
export function look({ request, isAway }: Course): Promise<ClusterStatus> {
  const on = (node: string): Context => bounded(request.on(node), PATIENCE_MS, () => isAway(node));
  return readStatus(request.cluster, on);
}

/** Conditions that do not hold, as written; what cannot be told does not hold. */
export function unmet(
  texts: readonly string[],
  { request: { cluster } }: Course,
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
