import { isIPv6 } from 'node:net';
import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import type { Inventory } from '../parse/inventory.ts';

/** Roles that the cluster's witnesses give; words of `hosts:` that are known only when the run has looked. */
export const ROLES = ['primary', 'standby', 'free'] as const;

/** Role → hosts that hold it now. */
export type RolesFound = ReadonlyMap<string, readonly string[]>;

/** The words of a pattern: separated by commas, or by colons that stand neither in brackets nor in an IPv6 address. */
const wordsOf = (pattern: string): string[] =>
  pattern
    .split(',')
    .flatMap((part) =>
      isIPv6(bare(part.trim())) ? [part] : (part.match(/(?:[^:[\]]|\[[^\]]*\]|\]|\[)+/g) ?? []),
    )
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

const isGlob = (word: string): boolean => /[*?[]/.test(word);

/** `*`, `?`, `[ab]` and `[!ab]`, or a regular expression after `~`, at the beginning of the name. */
function matcherOf(word: string): RegExp {
  if (word.startsWith('~')) {
    try {
      return new RegExp(`^(?:${word.slice(1)})`);
    } catch (cause) {
      const message = `\`${word}\`: no regular expression: ${(cause as Error).message.replace(/^.*: /, '')}`;
      throw new DrillbookError('plan.hosts', message);
    }
  }
  const source = word.replace(
    /\[(!?)([^\]]+)\]|[^]/g,
    (all, not: string | undefined, set: string | undefined) => {
      if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\^[]/g, '\\$&')}]`;
      return all === '*' ? '.*' : all === '?' ? '.' : RegExp.escape(all);
    },
  );
  return new RegExp(`^${source}$`, 's');
}

/** `word[1]`, `word[-1]`, `word[0:2]` (the last one is among them) and `word[1:]`. */
function slice(hosts: readonly string[], { 1: one, 2: first, 3: last }: RegExpExecArray): readonly string[] {
  if (one !== undefined) return hosts.slice(Number(one)).slice(0, 1);
  return hosts.slice(Number(first), last === '' || last === undefined ? undefined : Number(last) + 1);
}

const SLICE = /\[(?:(-?\d+)|(\d+)[:-](\d*))\]$/;

function hostsOf(word: string, inventory: Inventory, roles: RolesFound | undefined): readonly string[] {
  const names = [...inventory.hosts.keys()];
  if (inventory.hosts.has(word) && !inventory.groups.has(word)) return [word];
  const part = word.startsWith('~') ? null : SLICE.exec(word);
  if (part) {
    const whole = hostsOf(word.slice(0, part.index), inventory, roles);
    const chosen = slice(whole, part);
    if (chosen.length > 0 || whole.length === 0) return chosen;
    const count = whole.length === 1 ? 'one host' : `${whole.length} hosts`;
    throw new DrillbookError(
      'plan.hosts',
      `\`${word}\`: there is no such place among ${count}, counted from 0`,
    );
  }
  if (word === 'all' || word === '*') return names;
  if (word === 'ungrouped') return names.filter((name) => inventory.hosts.get(name)?.groups.length === 0);
  if (ROLES.includes(word as never))
    return roles?.get(word) ?? [...inventory.clusters.values()].flatMap((cluster) => cluster.nodes);
  if (isGlob(word) || word.startsWith('~')) {
    const matcher = matcherOf(word);
    const groups = [...inventory.groups].filter(([name]) => matcher.test(name)).flatMap(([, hosts]) => hosts);
    return [...new Set([...groups, ...names.filter((name) => matcher.test(name))])];
  }
  const found = inventory.groups.get(word) ?? inventory.clusters.get(word)?.nodes;
  if (found) return found;
  const allowed = ['all', ...ROLES, ...inventory.groups.keys(), ...inventory.clusters.keys(), ...names];
  throw new DrillbookError('plan.hosts', `\`${word}\`: no host, group, cluster or role of this name`, {
    hint: suggest(word, allowed),
  });
}

/**
 * Hosts that a pattern names (`a,b`, `a:b`, `!not`, `&and`, globs, `~regex`, `group[0]`, groups, clusters, roles), in the
 * order of the inventory. Without `roles` a role stands for every node that could hold it.
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
