import { DrillbookError } from '../../core/error.ts';
import type { Path, Source } from '../yaml.ts';
import type { Expanded } from './host-range.ts';
import type { BecomeText, ConnectionText } from './schema.ts';

/** Variables as they stand in a file. */
export interface Placed {
  readonly source: Source;
  readonly path: Path;
  readonly values: Readonly<Record<string, unknown>>;
  /** Written for Ansible: a text in it may be Jinja. */
  readonly isAnsible: boolean;
}

/** What one place says of a group or host. */
export interface Part {
  readonly vars?: Placed | undefined;
  readonly connection?: ConnectionText | undefined;
  readonly become?: BecomeText | undefined;
  /** Against whose folder the paths in `connection` are read. */
  readonly file: string;
}

export interface GroupDraft {
  readonly hosts: Set<string>;
  readonly children: Set<string>;
  readonly parts: Part[];
  /** Among groups of the same depth the higher one wins (`ansible_group_priority`). */
  priority: number;
}

export interface ClusterDraft {
  readonly stack: unknown;
  readonly nodes: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly source: Source;
  readonly path: Path;
  /** Where each node is named, for errors. */
  nodePath(index: number): Path;
}

/** Everything that the sources of an inventory say, before it is put together. */
export interface Draft {
  readonly hosts: Map<string, Part[]>;
  readonly groups: Map<string, GroupDraft>;
  readonly clusters: Map<string, ClusterDraft>;
  readonly problems: DrillbookError[];
  /** Checks of names that another source may still bring. */
  readonly checks: (() => void)[];
}

const newGroup = (): GroupDraft => ({ hosts: new Set(), children: new Set(), parts: [], priority: 1 });

export const newDraft = (): Draft => ({
  hosts: new Map(),
  groups: new Map([
    ['all', newGroup()],
    ['ungrouped', newGroup()],
  ]),
  clusters: new Map(),
  problems: [],
  checks: [],
});

export function groupOf(draft: Draft, name: string): GroupDraft {
  const group = draft.groups.get(name) ?? newGroup();
  draft.groups.set(name, group);
  return group;
}

export function partsOf(draft: Draft, host: string): Part[] {
  const parts = draft.hosts.get(host) ?? [];
  draft.hosts.set(host, parts);
  return parts;
}

/** More hosts than any pair's inventory has: a range with a digit too many. */
const MOST_HOSTS = 20_000;

/** Adds hosts to a group, each with the same variables. A port of the pattern holds where the host is new, as in Ansible. */
export function addHosts(
  draft: Draft,
  group: string,
  { names, port }: Expanded,
  vars: Placed | undefined,
): void {
  for (const name of names) {
    const isNew = !draft.hosts.has(name);
    const parts = partsOf(draft, name);
    groupOf(draft, group).hosts.add(name);
    const own = isNew && port !== undefined ? { ansible_port: port } : {};
    if (vars) parts.push({ vars: { ...vars, values: { ...own, ...vars.values } }, file: vars.source.file });
  }
  if (draft.hosts.size > MOST_HOSTS)
    throw new DrillbookError('parse.inventory', `more than ${MOST_HOSTS} hosts`, {
      hint: 'is there a digit too many in a range?',
    });
}

/** Variables of a group; `ansible_group_priority` among them is no variable but its rank. */
export function addGroupVars(draft: Draft, name: string, vars: Placed): void {
  const group = groupOf(draft, name);
  const { ansible_group_priority: priority, ...values } = vars.values;
  if (priority === undefined) return void group.parts.push({ vars, file: vars.source.file });
  const rank = Number(priority);
  if (Number.isInteger(rank)) group.priority = rank;
  else
    draft.problems.push(
      vars.source.error(
        'parse.inventory',
        [...vars.path, 'ansible_group_priority'],
        '`ansible_group_priority`: a whole number is wanted',
      ),
    );
  group.parts.push({ vars: { ...vars, values }, file: vars.source.file });
}

/** Names a group as one inside another. Throws where the other is inside it already. */
export function addChild(draft: Draft, parent: string, child: string): boolean {
  if (parent === child || isInside(draft, parent, child)) return false;
  groupOf(draft, child);
  groupOf(draft, parent).children.add(child);
  return true;
}

/** True when `wanted` is among the groups inside `name`, however deep. */
function isInside(draft: Draft, wanted: string, name: string, seen = new Set<string>()): boolean {
  if (seen.has(name)) return false;
  seen.add(name);
  const inner = [...(draft.groups.get(name)?.children ?? [])];
  return inner.includes(wanted) || inner.some((group) => isInside(draft, wanted, group, seen));
}
