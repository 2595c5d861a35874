import { Problems } from '../../core/error.ts';
import { suggest } from '../../core/nearest.ts';
import { schemaProblems } from '../schema.ts';
import type { Path, Source } from '../yaml.ts';
import { addChild, groupOf, partsOf } from './draft.ts';
import type { Draft, Part } from './draft.ts';
import { inventorySchema } from './schema.ts';
import type { BecomeText, ConnectionText } from './schema.ts';

interface Layer {
  readonly vars?: Readonly<Record<string, unknown>> | undefined;
  readonly connection?: ConnectionText | undefined;
  readonly become?: BecomeText | undefined;
}

function partOf({ vars, connection, become }: Layer, source: Source, path: Path): Part {
  const placed = vars && { source, path: [...path, 'vars'], values: vars, isAnsible: false };
  return { vars: placed, connection, become, file: source.file };
}

/** Adds an inventory in drillbook's own words. Throws `Problems` where it is not one. */
export function addOurs(draft: Draft, source: Source): void {
  const parsed = inventorySchema.safeParse(source.value);
  if (!parsed.success) throw new Problems(schemaProblems(parsed.error, source, [], inventorySchema));
  const { hosts = {}, groups = {}, clusters = {}, ...all } = parsed.data;
  const wrong = (path: Path, message: string, hint?: string): void =>
    void draft.problems.push(source.error('parse.inventory', path, message, hint));
  const check = (known: ReadonlyMap<string, unknown>, what: string, name: string, path: Path): void =>
    void draft.checks.push(() => {
      if (!known.has(name)) wrong(path, `\`${name}\`: unknown ${what}`, suggest(name, known.keys()));
    });

  groupOf(draft, 'all').parts.push(partOf(all, source, []));
  for (const [name, layer] of Object.entries(hosts)) {
    partsOf(draft, name).push(partOf(layer ?? {}, source, ['hosts', name]));
    groupOf(draft, 'all').hosts.add(name);
  }
  for (const [name, { hosts: own = [], groups: inner = [], ...layer }] of Object.entries(groups)) {
    const path = ['groups', name];
    const group = groupOf(draft, name);
    group.parts.push(partOf(layer, source, path));
    for (const [i, host] of own.entries()) {
      check(draft.hosts, 'host', host, [...path, 'hosts', i]);
      group.hosts.add(host);
    }
    for (const [i, child] of inner.entries()) {
      draft.checks.push(() => {
        const at = [...path, 'groups', i];
        if (!draft.groups.has(child))
          wrong(at, `\`${child}\`: unknown group`, suggest(child, draft.groups.keys()));
        else if (!addChild(draft, name, child))
          wrong([...path, 'groups'], `group \`${name}\` contains itself`);
      });
    }
    draft.checks.push(() => {
      if (draft.hosts.has(name)) wrong(path, `\`${name}\` is a host and a group`);
    });
  }
  for (const [name, { stack, nodes, settings = {} }] of Object.entries(clusters)) {
    const path = ['clusters', name];
    const nodePath = (index: number): Path => [...path, 'nodes', index];
    for (const [i, node] of nodes.entries()) check(draft.hosts, 'host', node, nodePath(i));
    if (draft.clusters.has(name)) wrong(path, `cluster \`${name}\` is there already`);
    draft.clusters.set(name, { stack, nodes, settings, source, path, nodePath });
  }
}
