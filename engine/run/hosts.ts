import { DrillbookError } from '../core/error.ts';
import { render } from '../parse/template.ts';
import { needsRoles, ROLES, selectHosts } from '../plan/hosts.ts';
import type { PlannedPlay } from '../plan/plan.ts';
import type { HostState } from './host-state.ts';
import { scopeOf } from './scope.ts';
import type { World } from './scope.ts';

function rolesFound(world: World): Map<string, string[]> {
  const found = new Map<string, string[]>(ROLES.map((role) => [role, []]));
  for (const roles of world.roles.values()) {
    for (const [host, role] of Object.entries(roles)) found.set(role, [...(found.get(role) ?? []), host]);
  }
  return found;
}

/** A pattern may be a template; it is the play's and not a host's, so the first host's view has to do. */
function patternOf(play: PlannedPlay, world: World): string {
  const { inventory, playbook } = world.plan;
  const first = world.states.get([...inventory.hosts.keys()][0] ?? '');
  return first && play.hosts.includes('{{')
    ? String(render(play.hosts, scopeOf(first, [playbook.vars], world), 'hosts'))
    : play.hosts;
}

/** The hosts of a play as the roles stand, in the order the play wants. Throws `guard.role` where a role has no holder. */
export function hostsOf(play: PlannedPlay, world: World): HostState[] {
  const { inventory, limit } = world.plan;
  const found = rolesFound(world);
  const limited = limit === undefined ? undefined : new Set(selectHosts(limit, inventory, found));
  const pattern = patternOf(play, world);
  const named = selectHosts(pattern, inventory, found);
  if (named.length === 0 && needsRoles(pattern)) {
    throw new DrillbookError('guard.role', `play \`${play.name}\`: no host is ${pattern} now`, {
      hint: 'see `drillbook status` for what each witness says',
    });
  }
  const names = named.filter((name) => limited?.has(name) ?? true);
  const { order = 'inventory' } = play.play.keywords;
  const rank = (name: string): number => {
    const role = [...world.roles.values()].map((roles) => roles[name]).find(Boolean) ?? '';
    return order === 'primary_first' ? Number(role !== 'primary') : Number(role === 'primary');
  };
  const sorted = order === 'inventory' ? names : names.toSorted((a, b) => rank(a) - rank(b));
  return sorted.flatMap((name) => world.states.get(name) ?? []);
}
