import type { Change } from '../../core/module.ts';
import { childOf, childrenOf, element, within } from './_xml.ts';
import type { Element } from './_xml.ts';

/** A configuration and how it came to differ from the one it was made from. */
export interface Edited {
  readonly configuration: Element;
  readonly changes: readonly Change[];
}

/** What makes a new configuration of one; changes nothing where it is as wanted. */
export type Edit = (configuration: Element) => Edited;

export const unchanged = (configuration: Element): Edited => ({ configuration, changes: [] });

/** One edit after the other. */
export const together =
  (edits: readonly Edit[]): Edit =>
  (configuration) =>
    edits.reduce<Edited>((sofar, edit) => {
      const next = edit(sofar.configuration);
      return { configuration: next.configuration, changes: [...sofar.changes, ...next.changes] };
    }, unchanged(configuration));

/** The configuration with one of its parts made anew. */
export function withPart(configuration: Element, name: string, change: (part: Element) => Element): Element {
  const parts = configuration.children.some((child) => child.name === name)
    ? configuration.children
    : [...configuration.children, element(name)];
  return {
    ...configuration,
    children: parts.map((part) => (part.name === name ? change(part) : part)),
  };
}

/** The tree with the element of an id replaced, by none where `change` gives nothing. */
export function replaced(root: Element, id: string, change: (old: Element) => readonly Element[]): Element {
  return {
    ...root,
    children: root.children.flatMap((child) =>
      child.attributes['id'] === id ? change(child) : [replaced(child, id, change)],
    ),
  };
}

export function byId(configuration: Element, part: string, id: string): Element | undefined {
  const root = childOf(configuration, part);
  return root && [...within(root)].find((one) => one !== root && one.attributes['id'] === id);
}

/** Sets of options that always hold. Those with a rule, or that stand elsewhere (id-ref), are left to whoever made them. */
export const plainSets = (parent: Element | undefined, set: string): readonly Element[] =>
  childrenOf(parent, set).filter(
    (one) => !('id-ref' in one.attributes) && childOf(one, 'rule') === undefined,
  );

const isOwn = ({ attributes }: Element): boolean => !('id-ref' in attributes);

/** Names and values of an element's options; the first of a name counts. */
export const pairsOf = (parent: Element | undefined, set: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    plainSets(parent, set)
      .flatMap((one) => childrenOf(one, 'nvpair').filter(isOwn))
      .map(({ attributes }) => [attributes['name'] ?? '', attributes['value'] ?? ''] as const)
      .reverse(),
  );

/** A set's `nvpair`. */
export const pair = (set: string, name: string, value: string): Element =>
  element('nvpair', { id: `${set}-${name}`, name, value });

/** The id, or another where the element has it already. */
export const freeId = (root: Element, id: string): string =>
  [...within(root)].some(({ attributes }) => attributes['id'] === id) ? `${id}-own` : id;

/** The element with these options and no others; `id` is that of a set made anew. */
export function withPairs(
  parent: Element,
  set: string,
  id: string,
  values: Readonly<Record<string, string>>,
): Element {
  const found = plainSets(parent, set);
  const first = found[0] ?? element(set, { id: freeId(parent, id) });
  const made = Object.entries(values).map(([name, value]) => pair(first.attributes['id'] ?? '', name, value));
  const children = found.includes(first) ? parent.children : [...parent.children, first];
  return {
    ...parent,
    children: children.flatMap((one) => {
      if (one !== first && !found.includes(one)) return [one];
      const inside = [...one.children.filter((child) => !isOwn(child)), ...(one === first ? made : [])];
      return inside.length === 0 ? [] : [{ ...one, children: inside }];
    }),
  };
}

export const told = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ');
