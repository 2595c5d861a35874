import { Problems } from '../../core/error.ts';
import { suggest } from '../../core/nearest.ts';
import type { Path, Source } from '../yaml.ts';
import { addChild, addGroupVars, addHosts, groupOf } from './draft.ts';
import type { Draft, Placed } from './draft.ts';
import { expandHosts } from './host-range.ts';

type Mapping = Readonly<Record<string, unknown>>;

const SECTIONS = ['hosts', 'vars', 'children'];

export const isMapping = (value: unknown): value is Mapping =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** True for a mapping of groups as Ansible writes them, and not of drillbook's own sections. */
export function isAnsibleYaml(value: unknown): boolean {
  if (!isMapping(value)) return false;
  if ('all' in value || 'ungrouped' in value) return true;
  const groups = Object.values(value);
  const isGroup = (group: unknown): boolean =>
    group === null || (isMapping(group) && Object.keys(group).some((key) => SECTIONS.includes(key)));
  return groups.length > 0 && groups.some(isMapping) && groups.every(isGroup) && !('hosts' in value);
}

/** Adds an inventory as Ansible's `yaml` plugin reads it. Throws `Problems` where it has none of its shape. */
export function addAnsibleYaml(draft: Draft, source: Source): void {
  const wrong = (path: Path, message: string, hint?: string): void =>
    void draft.problems.push(source.error('parse.inventory', path, message, hint));

  /** A section as a mapping: one name alone stands for itself. */
  function section(group: Mapping, path: Path, key: string): Mapping {
    const value = group[key];
    if (value === undefined || value === null) return {};
    if (typeof value === 'string') return { [value]: null };
    if (isMapping(value)) return value;
    wrong([...path, key], `\`${key}\`: a mapping is wanted, as Ansible has it`);
    return {};
  }

  function addHostsOf(name: string, group: Mapping, path: Path): void {
    for (const [pattern, own] of Object.entries(section(group, path, 'hosts'))) {
      const at = [...path, 'hosts', pattern];
      if (own !== null && !isMapping(own)) {
        wrong(at, `\`${pattern}\`: the variables of the host are wanted, or nothing`);
        continue;
      }
      try {
        const values: Mapping = own ?? {};
        addHosts(draft, name, expandHosts(pattern), { source, path: at, values, isAnsible: true });
      } catch (error) {
        wrong(at, (error as Error).message);
      }
    }
  }

  function addGroup(name: string, group: unknown, path: Path): void {
    groupOf(draft, name);
    if (group === null) return;
    if (!isMapping(group))
      return wrong(path, `group \`${name}\`: a mapping with ${SECTIONS.join(', ')} is wanted`);
    for (const key of Object.keys(group)) {
      if (SECTIONS.includes(key)) continue;
      wrong([...path, key], `\`${key}\`: unknown key of group \`${name}\``, suggest(key, SECTIONS));
    }
    for (const key of Object.keys(group)) {
      if (key === 'hosts') addHostsOf(name, group, path);
      if (key === 'vars') {
        const vars: Placed = {
          source,
          path: [...path, 'vars'],
          values: section(group, path, 'vars'),
          isAnsible: true,
        };
        addGroupVars(draft, name, vars);
      }
      if (key !== 'children') continue;
      for (const [child, inner] of Object.entries(section(group, path, 'children'))) {
        const at = [...path, 'children', child];
        addGroup(child, inner, at);
        if (!addChild(draft, name, child)) wrong(at, `group \`${name}\` contains itself`);
      }
    }
  }

  if (!isMapping(source.value))
    throw new Problems([source.error('parse.inventory', [], 'an inventory is a mapping of groups')]);
  for (const [name, group] of Object.entries(source.value)) addGroup(name, group, [name]);
}
