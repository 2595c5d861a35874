import { freeId, pair, plainSets, unchanged, withPart } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { childOf, childrenOf, element } from './_xml.ts';
import type { Element } from './_xml.ts';

/** Where options of a kind stand: part of the configuration, its set, and the id that pcs gives a new one. */
const PLACES = {
  cluster: { part: 'crm_config', set: 'cluster_property_set', id: 'cib-bootstrap-options', told: 'property' },
  resources: {
    part: 'rsc_defaults',
    set: 'meta_attributes',
    id: 'build-resource-defaults',
    told: 'resource default',
  },
  operations: {
    part: 'op_defaults',
    set: 'meta_attributes',
    id: 'build-operation-defaults',
    told: 'operation default',
  },
} as const;
export type Options = keyof typeof PLACES;

/** The options named have these values, or are not set where the value is null; others are left as they are. */
export const propertyEdit =
  (of: Options, wanted: Readonly<Record<string, string | null>>): Edit =>
  (configuration) => {
    const place = PLACES[of];
    const part = childOf(configuration, place.part) ?? element(place.part);
    const sets = plainSets(part, place.set);
    const pairs = sets.flatMap((set) => childrenOf(set, 'nvpair'));
    const now = (name: string): readonly string[] =>
      pairs.flatMap(({ attributes }) => (attributes['name'] === name ? [attributes['value'] ?? ''] : []));
    const off = new Map(
      Object.entries(wanted).filter(([name, value]) =>
        value === null
          ? now(name).length > 0
          : now(name).length === 0 || now(name).some((one) => one !== value),
      ),
    );
    if (off.size === 0) return unchanged(configuration);
    const first = sets[0] ?? element(place.set, { id: freeId(part, place.id) });
    const changed = (one: Element): readonly Element[] => {
      const value = off.get(one.attributes['name'] ?? '');
      if (value === undefined) return [one];
      return value === null ? [] : [{ ...one, attributes: { ...one.attributes, value } }];
    };
    const added = [...off].flatMap(([name, value]) =>
      value === null || now(name).length > 0 ? [] : [pair(first.attributes['id'] ?? '', name, value)],
    );
    const edited = (set: Element): Element => ({
      ...set,
      children: [...set.children.flatMap(changed), ...(set === first ? added : [])],
    });
    return {
      configuration: withPart(configuration, place.part, (old) => ({
        ...old,
        children: [...old.children, ...(sets.length === 0 ? [first] : [])].map((set) =>
          set === first || sets.includes(set) ? edited(set) : set,
        ),
      })),
      changes: [...off].map(([name, value]) => ({
        what: `${place.told} ${name}`,
        before: now(name).length === 0 ? 'not set' : now(name).join(', '),
        after: value ?? 'not set',
      })),
    };
  };
