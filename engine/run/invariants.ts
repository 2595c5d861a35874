import type { ClusterStatus } from '../core/cluster.ts';
import type { Cluster } from '../core/host.ts';
import type { Scope } from '../parse/template.ts';
import type { Plan } from '../plan/plan.ts';
import { overlay } from './context.ts';
import { scopeOf } from './scope.ts';
import type { World } from './scope.ts';

export interface BrokenInvariant {
  readonly name: string;
  readonly message: string;
}

/** The cluster as invariants and drills see it: as written and as read, with the names of those who hold each role. */
export function clusterView(cluster: Cluster, status: ClusterStatus): object {
  const holding = (role: string): string[] =>
    status.nodes.filter((node) => node.role === role).map((node) => node.name);
  return { ...cluster, ...status, primaries: holding('primary'), standbys: holding('standby') };
}

/** The first invariant that is not true in `scope`, and why. */
function broken({ invariants }: Plan, scope: Scope, where: string): BrokenInvariant | undefined {
  for (const { name, condition } of invariants) {
    try {
      if (!condition.test(scope)) return { name, message: `${condition.text} does not hold${where}` };
    } catch (error) {
      return { name, message: `cannot be told${where}: ${(error as Error).message}` };
    }
  }
  return undefined;
}

/** The first of the playbook's invariants that does not hold on a cluster as it is now, or that cannot be told. */
export async function brokenInvariant(
  world: World,
  read: (cluster: string) => Promise<ClusterStatus>,
): Promise<BrokenInvariant | undefined> {
  const { inventory, playbook } = world.plan;
  const scopeOn = (host: string | undefined): Scope | undefined => {
    const state = world.states.get(host ?? '');
    return state && scopeOf(state, [playbook.vars], world);
  };
  for (const [name, cluster] of inventory.clusters) {
    const status = await read(name);
    const roles = status.nodes.map((node) => `${node.name} is ${node.role}`).join(', ');
    const scope = overlay(scopeOn(cluster.nodes[0]) ?? {}, { cluster: clusterView(cluster, status) });
    const found = broken(world.plan, scope, ` on ${name} (${roles})`);
    if (found) return found;
  }
  if (inventory.clusters.size > 0) return undefined;
  return broken(world.plan, scopeOn([...inventory.hosts.keys()][0]) ?? {}, '');
}
