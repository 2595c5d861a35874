import type { BoundRole } from '../core/cluster.ts';
import type { DrillbookError } from '../core/error.ts';
import type { Module } from '../core/module.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Inherited } from './expanding.ts';
import { selectHosts } from './hosts.ts';
import { stepsOf } from './plan.ts';
import type { PlannedPlay, Step } from './plan.ts';

const ofHosts = (pattern: string): BoundRole | undefined =>
  pattern === 'primary' || pattern === 'standby' ? pattern : undefined;

/**
 * The role that a step is bound to: by its keyword, its module, or, where it destroys something, by the role its play
 * is for. Who acts elsewhere (`delegate_to`) is not what the play is for. Looks are bound to nothing.
 */
export function roleOf(
  module: Module | undefined,
  { role, delegateTo }: Inherited,
  destroys: string | undefined,
  hosts: string,
): BoundRole | undefined {
  if (module === undefined || module.kind === 'query' || role === 'any') return undefined;
  const isOfPlay = destroys !== undefined && delegateTo === undefined;
  return role ?? module.role ?? (isOfPlay ? ofHosts(hosts) : undefined);
}

/** Hosts of a pattern, as far as it is known; one that is wrong is told elsewhere. */
function candidatesOf(pattern: string, inventory: Inventory): readonly string[] {
  try {
    return pattern.includes('{{') ? [] : selectHosts(pattern, inventory);
  } catch {
    return [];
  }
}

/** Steps bound by a keyword to a role that their host can never have, since it is in no cluster. */
export function roleProblems(
  plays: readonly PlannedPlay[],
  inventory: Inventory,
  limit: string | undefined,
): DrillbookError[] {
  if (inventory.hosts.size === 0) return [];
  const limited = limit === undefined ? undefined : selectHosts(limit, inventory);
  const nodes = new Set([...inventory.clusters.values()].flatMap((cluster) => cluster.nodes));
  return plays.flatMap((play) => {
    const problemOf = (step: Step): DrillbookError[] => {
      const { role, module, delegateTo, source, path } = step;
      if (role === undefined || role === module?.role) return [];
      const hosts = delegateTo === undefined ? candidatesOf(play.hosts, inventory) : [delegateTo];
      const stranger = hosts
        .filter((host) => delegateTo !== undefined || (limited?.includes(host) ?? true))
        .find((host) => !host.includes('{{') && !nodes.has(host));
      if (stranger === undefined) return [];
      const message = `role: ${stranger} belongs to no cluster of the inventory, so it is never ${role.replace('_', ' ')}`;
      return [source.error('plan.role', path, message, '`role: any` lifts a role that is set further out')];
    };
    return [...stepsOf(play.nodes), ...play.handlers].flatMap(problemOf);
  });
}
