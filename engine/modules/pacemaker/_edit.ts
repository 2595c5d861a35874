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

/** Names and values of the `nvpair`s of an element's set. */
export const pairsOf = (parent: Element | undefined, set: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    childrenOf(parent, set)
      .flatMap((one) => childrenOf(one, 'nvpair'))
      .map(({ attributes }) => [attributes['name'] ?? '', attributes['value'] ?? '']),
  );

/** A set of `nvpair`s; nothing for none. */
export const pairs = (
  set: string,
  id: string,
  values: Readonly<Record<string, string>>,
): readonly Element[] =>
  Object.keys(values).length === 0
    ? []
    : [
        element(
          set,
          { id },
          Object.entries(values).map(([name, value]) =>
            element('nvpair', { id: `${id}-${name}`, name, value }),
          ),
        ),
      ];

export const told = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ');
