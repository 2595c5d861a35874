import { matchesGlob } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import type { Inventory } from '../parse/inventory.ts';

/** Roles that the cluster's witnesses give; words of `hosts:` that are known only when the run has looked. */
export const ROLES = ['primary', 'standby', 'free'] as const;

/** Role → hosts that hold it now. */
export type RolesFound = ReadonlyMap<string, readonly string[]>;

const isGlob = (word: string): boolean => /[*?[]/.test(word);
const wordsOf = (pattern: string): string[] =>
  pattern
    .split(/[,:]/)
    .map((word) => word.trim())
    .filter(Boolean);
const bare = (word: string): string => word.replace(/^[!&]/, '');

/** True when the pattern names a role, so that it can be resolved only on the nodes. */
export const needsRoles = (pattern: string): boolean =>
  wordsOf(pattern).some((word) => ROLES.includes(bare(word) as never));

/** Roles whose holders a pattern leaves out: `primary` for `all:!primary`. */
export const rolesLeftOut = (pattern: string): string[] =>
  wordsOf(pattern)
    .filter((word) => word.startsWith('!') && ROLES.includes(bare(word) as never))
    .map(bare);

function hostsOf(word: string, inventory: Inventory, roles: RolesFound | undefined): readonly string[] {
  const names = [...inventory.hosts.keys()];
  if (word === 'all') return names;
  if (ROLES.includes(word as never))
    return roles?.get(word) ?? [...inventory.clusters.values()].flatMap((cluster) => cluster.nodes);
  if (isGlob(word)) {
    const groups = [...inventory.groups]
      .filter(([name]) => matchesGlob(name, word))
      .flatMap(([, hosts]) => hosts);
    return [...names.filter((name) => matchesGlob(name, word)), ...groups];
  }
  const found =
    inventory.groups.get(word) ??
    inventory.clusters.get(word)?.nodes ??
    (inventory.hosts.has(word) ? [word] : undefined);
  if (found) return found;
  const allowed = ['all', ...ROLES, ...inventory.groups.keys(), ...inventory.clusters.keys(), ...names];
  throw new DrillbookError('plan.hosts', `\`${word}\`: no host, group, cluster or role of this name`, {
    hint: suggest(word, allowed),
  });
}

/**
 * Hosts that a pattern names (`a,b`, `a:b`, `!not`, `&and`, globs, groups, clusters, roles), in the order of the
 * inventory. Without `roles` a role stands for every node that could hold it.
 */
export function selectHosts(pattern: string, inventory: Inventory, roles?: RolesFound): readonly string[] {
  const words = wordsOf(pattern);
  const named = words.filter((word) => !/^[!&]/.test(word));
  const chosen = new Set(
    (named.length > 0 ? named : ['all']).flatMap((word) => hostsOf(word, inventory, roles)),
  );
  for (const word of words) {
    if (!/^[!&]/.test(word)) continue;
    const hosts = hostsOf(bare(word), inventory, roles);
    for (const host of chosen) if (hosts.includes(host) === (word[0] === '!')) chosen.delete(host);
  }
  return [...inventory.hosts.keys()].filter((host) => chosen.has(host));
}
