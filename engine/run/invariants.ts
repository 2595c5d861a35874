import type { ClusterStatus } from '../core/cluster.ts';
import type { Cluster } from '../core/host.ts';
import { overlay } from './context.ts';
import { scopeOf } from './scope.ts';
import type { World } from './scope.ts';

export interface BrokenInvariant {
  readonly name: string;
  readonly message: string;
}

/** The cluster as an invariant sees it: as written and as read, with the names of those who hold each role. */
function viewOf(cluster: Cluster, status: ClusterStatus): object {
  const holding = (role: string): string[] =>
    status.nodes.filter((node) => node.role === role).map((node) => node.name);
  return { ...cluster, ...status, primaries: holding('primary'), standbys: holding('standby') };
}

/** The first of the playbook's invariants that does not hold on a cluster as it is now, or that cannot be told. */
export async function brokenInvariant(
  world: World,
  read: (cluster: string) => Promise<ClusterStatus>,
): Promise<BrokenInvariant | undefined> {
  const { inventory, invariants, playbook } = world.plan;
  for (const [name, cluster] of inventory.clusters) {
    const state = world.states.get(cluster.nodes[0] ?? '');
    if (!state || invariants.length === 0) continue;
    const status = await read(name);
    const scope = overlay(scopeOf(state, [playbook.vars], world), { cluster: viewOf(cluster, status) });
    const roles = status.nodes.map((node) => `${node.name} is ${node.role}`).join(', ');
    for (const { name: invariant, condition } of invariants) {
      try {
        if (condition.test(scope)) continue;
        const message = `${condition.text} does not hold on ${name} (${roles})`;
        return { name: invariant, message };
      } catch (error) {
        return { name: invariant, message: `cannot be told on ${name}: ${(error as Error).message}` };
      }
    }
  }
  return undefined;
}
