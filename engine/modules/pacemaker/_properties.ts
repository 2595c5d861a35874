import { pairs, pairsOf, unchanged, withPart } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { childOf, childrenOf, element } from './_xml.ts';

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
    const part = childOf(configuration, place.part);
    const now = pairsOf(part, place.set);
    const off = Object.entries(wanted).filter(([name, value]) => (now[name] ?? null) !== value);
    if (off.length === 0) return unchanged(configuration);
    const [first, ...others] = childrenOf(part, place.set);
    const values = Object.fromEntries(
      Object.entries({
        ...pairsOf(part && { ...part, children: first ? [first] : [] }, place.set),
        ...wanted,
      }).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
    );
    const id = first?.attributes['id'] ?? place.id;
    const rest = others.map((set) => ({
      ...set,
      children: set.children.filter(({ attributes }) => !((attributes['name'] ?? '') in wanted)),
    }));
    return {
      configuration: withPart(configuration, place.part, (old) => ({
        ...old,
        children: [
          ...(Object.keys(values).length === 0 ? [element(place.set, { id })] : pairs(place.set, id, values)),
          ...rest,
        ],
      })),
      changes: off.map(([name, value]) => ({
        what: `${place.told} ${name}`,
        before: now[name] ?? 'not set',
        after: value ?? 'not set',
      })),
    };
  };
