import type { Draft } from './draft.ts';

/** How groups stand to one another, as Ansible's inventory has it. */
export interface Order {
  /** Hosts of a group with those of the groups in it: its own first, then level by level. */
  hostsOf(group: string): readonly string[];
  /** Groups around a host, outer ones first, then by priority, then by name: the last one wins. */
  groupsOf(host: string): readonly string[];
}

/** Puts hosts of no group into `ungrouped` and groups of no group into `all`, and tells the order of everything. */
export function orderOf(draft: Draft): Order {
  const { groups, hosts } = draft;
  const childrenOf = (name: string): ReadonlySet<string> => groups.get(name)?.children ?? new Set();
  const isChild = new Set([...groups.values()].flatMap(({ children }) => [...children]));
  const roots = [...groups.keys()].filter((name) => name !== 'all' && !isChild.has(name));
  const ungrouped = groups.get('ungrouped');
  const inGroup = new Set(
    [...groups].flatMap(([name, group]) => (name === 'all' || name === 'ungrouped' ? [] : [...group.hosts])),
  );
  for (const host of ungrouped?.hosts ?? []) if (inGroup.has(host)) ungrouped?.hosts.delete(host);
  for (const host of hosts.keys()) if (!inGroup.has(host)) ungrouped?.hosts.add(host);
  for (const name of roots) groups.get('all')?.children.add(name);

  const depths = new Map<string, number>([['all', 0]]);
  const deepen = (name: string): void => {
    const depth = (depths.get(name) ?? 0) + 1;
    for (const child of childrenOf(name)) {
      if ((depths.get(child) ?? 0) >= depth) continue;
      depths.set(child, depth);
      deepen(child);
    }
  };
  deepen('all');

  const walk = (name: string): readonly string[] => {
    const seen = new Set([name]);
    let level = [name];
    while (level.length > 0) {
      level = level.flatMap((group) => [...childrenOf(group)]).filter((group) => !seen.has(group));
      level = [...new Set(level)];
      for (const group of level) seen.add(group);
    }
    return [...new Set([...seen].flatMap((group) => [...(groups.get(group)?.hosts ?? [])]))];
  };
  const hostsOf = new Map(
    [...groups.keys()].map((name) => [name, walk(name).filter((host) => hosts.has(host))]),
  );
  const around = new Map<string, string[]>();
  for (const [name, inside] of hostsOf)
    if (name !== 'all')
      for (const host of inside) {
        const list = around.get(host) ?? [];
        list.push(name);
        around.set(host, list);
      }
  const rank = (name: string): readonly [number, number] => [
    depths.get(name) ?? 0,
    groups.get(name)?.priority ?? 1,
  ];
  return {
    hostsOf: (group) => hostsOf.get(group) ?? [],
    groupsOf: (host) =>
      (around.get(host) ?? []).toSorted((a, b) => {
        const [depth, priority] = rank(a);
        const [otherDepth, otherPriority] = rank(b);
        return depth - otherDepth || priority - otherPriority || (a < b ? -1 : 1);
      }),
  };
}
