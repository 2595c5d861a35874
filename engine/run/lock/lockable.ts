import type { Cluster } from '../../core/host.ts';
import { selectHosts } from '../../plan/hosts.ts';
import { stepsOf } from '../../plan/plan.ts';
import type { Plan, PlannedPlay, Step } from '../../plan/plan.ts';

const acts = (step: Step): boolean =>
  step.isSelected && step.module !== undefined && step.module.kind !== 'query' && step.checkMode !== true;

/** Hosts that steps of the play may change; what only a template tells may be any. */
function touched(play: PlannedPlay, { inventory, limit }: Plan): string[] {
  const acting = [...stepsOf(play.nodes), ...play.handlers].filter(acts);
  if (acting.length === 0) return [];
  const limited = limit === undefined ? undefined : new Set(selectHosts(limit, inventory));
  const pattern = play.hosts.includes('{{') ? 'all' : play.hosts;
  const own = selectHosts(pattern, inventory).filter((name) => limited?.has(name) ?? true);
  return [...own, ...acting.flatMap(({ delegateTo }) => delegateTo ?? [])];
}

/** Clusters of which a run may change a node: whoever changes one of a pair changes the pair. */
export function lockable(plan: Plan): Cluster[] {
  const hosts = new Set(plan.plays.flatMap((play) => touched(play, plan)));
  return [...plan.inventory.clusters.values()].filter(({ nodes }) => nodes.some((name) => hosts.has(name)));
}
