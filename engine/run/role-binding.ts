import type { BoundRole } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster, Guard, Host } from '../core/host.ts';
import type { Step } from '../plan/plan.ts';
import { clusterOf, scopeOf } from './scope.ts';
import type { World } from './scope.ts';

/** The role a step is bound to: asked about in every exchange that acts, and in none that only looks. */
export interface RoleBinding {
  guards(): readonly Guard[];
  whileActing<T>(act: () => Promise<T>): Promise<T>;
}

const FREE: RoleBinding = { guards: () => [], whileActing: (act) => act() };

async function guardOf(cluster: Cluster, host: Host, role: BoundRole, world: World): Promise<Guard> {
  const { roleGuard } = await import('../cluster/stacks.ts');
  const state = world.states.get(host.name);
  // As the host itself sees them, and not the one whose step is delegated to it.
  const view = state && scopeOf(state, [world.plan.playbook.vars], world)['cluster'];
  const { settings } = (view ?? cluster) as Pick<Cluster, 'settings'>;
  return roleGuard({ ...cluster, settings }, host.name, role);
}

/** Binds a step to `role` on the host it acts on. Throws `guard.role` where that host is in no cluster. */
export async function roleBinding(
  role: BoundRole | undefined,
  { module }: Step,
  host: Host,
  world: World,
): Promise<RoleBinding> {
  if (role === undefined) return FREE;
  const cluster = clusterOf(world.plan.inventory, host.name);
  if (!cluster) {
    // What a module asks for of itself is about nodes of a pair.
    if (role === module?.role) return FREE;
    throw new DrillbookError(
      'guard.role',
      `${host.name} is in no cluster of the inventory, so it has no role`,
    );
  }
  const guards = [await guardOf(cluster, host, role, world)];
  // An attempt that ran out of time may still be on its way out when the next one begins.
  let acting = 0;
  return {
    guards: () => (acting > 0 ? guards : []),
    async whileActing(act) {
      acting++;
      try {
        return await act();
      } finally {
        acting--;
      }
    },
  };
}
