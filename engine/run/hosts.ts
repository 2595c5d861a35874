import { DrillbookError } from '../core/error.ts';
import { render } from '../parse/template.ts';
import { needsRoles, ROLES, rolesLeftOut, selectHosts } from '../plan/hosts.ts';
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

const refused = (play: PlannedPlay, why: string): DrillbookError =>
  new DrillbookError('guard.role', `play \`${play.name}\`: ${why}`, {
    hint: 'see `drillbook status` for what each witness says',
  });

/** Refuses what the roles leave open: a pair with two primaries, a role without a holder, one that may be another's. */
function checkRoles(
  play: PlannedPlay,
  pattern: string,
  { named, chosen }: { readonly named: readonly string[]; readonly chosen: readonly string[] },
  { roles }: World,
): void {
  const unknown = chosen.find((name) => [...roles.values()].some((found) => found[name] === 'unknown'));
  if (unknown !== undefined && (play.play.keywords.order ?? 'inventory') !== 'inventory')
    throw refused(play, `the order goes by role, and that of ${unknown} is not known`);
  if (!needsRoles(pattern)) return;
  for (const found of roles.values()) {
    const isConcerned = named.length === 0 || Object.keys(found).some((name) => chosen.includes(name));
    const primaries = Object.keys(found).filter((name) => found[name] === 'primary');
    if (isConcerned && primaries.length > 1)
      throw refused(play, `${primaries.join(' and ')} are both primary`);
  }
  if (named.length === 0) throw refused(play, `no host is ${pattern} now`);
  const left = rolesLeftOut(pattern);
  if (unknown !== undefined && left.length > 0)
    throw refused(play, `whether ${unknown} is ${left.join(' or ')} is not known`);
}

/** The hosts of a play as the roles stand, in the order the play wants. Throws `guard.role` where they do not tell. */
export function hostsOf(play: PlannedPlay, world: World): HostState[] {
  const { inventory, limit } = world.plan;
  const found = rolesFound(world);
  const limited = limit === undefined ? undefined : new Set(selectHosts(limit, inventory, found));
  const pattern = patternOf(play, world);
  const named = selectHosts(pattern, inventory, found);
  const chosen = named.filter((name) => limited?.has(name) ?? true);
  checkRoles(play, pattern, { named, chosen }, world);
  const { order = 'inventory' } = play.play.keywords;
  const primaries = found.get('primary') ?? [];
  const rank = (name: string): number => Number(primaries.includes(name) === (order === 'standby_first'));
  const sorted = order === 'inventory' ? chosen : chosen.toSorted((a, b) => rank(a) - rank(b));
  return sorted.flatMap((name) => world.states.get(name) ?? []);
}
