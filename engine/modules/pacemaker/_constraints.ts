import { StepFailed } from '../../core/error.ts';
import { byId, told, unchanged, withPart } from './_edit.ts';
import type { Edit } from './_edit.ts';
import type { ByAttribute, WantedConstraint } from './_params.ts';
import { spelled } from './_resources.ts';
import { childOf, childrenOf, element } from './_xml.ts';
import type { Element } from './_xml.ts';

type Word = 'Promoted' | 'Master';

/** A constraint as it is to be, and what tells it from others of its kind. */
interface Wanted {
  readonly element: Element;
  readonly isSame: (old: Element) => boolean;
  readonly resources: readonly string[];
}

function wantedOf(wanted: WantedConstraint, word: Word): Wanted {
  if ('colocation' in wanted) {
    const { resource, with: other, with_role: role, score } = wanted.colocation;
    return {
      element: element('rsc_colocation', {
        id: `colocation-${resource}-${other}-${score}`,
        rsc: resource,
        'with-rsc': other,
        'with-rsc-role': role === undefined ? undefined : spelled(role, word),
        score,
      }),
      isSame: ({ attributes }) => attributes['rsc'] === resource && attributes['with-rsc'] === other,
      resources: [resource, other],
    };
  }
  if ('order' in wanted) {
    const { first, first_action, then, then_action, kind } = wanted.order;
    return {
      element: element('rsc_order', {
        id: `order-${first}-${then}-${kind.toLowerCase()}`,
        first,
        'first-action': first_action,
        then,
        'then-action': then_action,
        kind,
      }),
      isSame: ({ attributes }) => attributes['first'] === first && attributes['then'] === then,
      resources: [first, then],
    };
  }
  const { location } = wanted;
  if ('node' in location) {
    const { resource, node, score } = location;
    return {
      element: element('rsc_location', {
        id: `location-${resource}-${node}-${score}`,
        rsc: resource,
        node,
        score,
      }),
      isSame: ({ attributes }) => attributes['rsc'] === resource && attributes['node'] === node,
      resources: [resource],
    };
  }
  return ruled(location, word);
}

/** The rule of the manual for connectivity: not where the attribute is not defined or below the minimum. */
function ruled({ resource, attribute, minimum, role }: ByAttribute, word: Word): Wanted {
  const id = `location-${resource}-${attribute}`;
  const rule = element(
    'rule',
    {
      id: `${id}-rule`,
      'boolean-op': 'or',
      score: '-INFINITY',
      role: role === undefined ? undefined : spelled(role, word),
    },
    [
      element('expression', { id: `${id}-rule-expr`, attribute, operation: 'not_defined' }),
      element('expression', {
        id: `${id}-rule-expr-1`,
        attribute,
        operation: 'lt',
        value: String(minimum),
        type: 'number',
      }),
    ],
  );
  return {
    element: element('rsc_location', { id, rsc: resource }, [rule]),
    isSame: (old) =>
      old.attributes['rsc'] === resource &&
      childrenOf(childOf(old, 'rule'), 'expression').some((one) => one.attributes['attribute'] === attribute),
    resources: [resource],
  };
}

/** What counts of a constraint, in words. */
function text({ attributes: { id: _, ...attributes }, children }: Element): string {
  const modern = Object.fromEntries(
    Object.entries({
      // What Pacemaker takes where nothing is said.
      ...('first' in attributes
        ? { 'first-action': 'start', 'then-action': attributes['first-action'] ?? 'start', kind: 'Mandatory' }
        : {}),
      ...attributes,
    }).map(([name, value]) => [
      name,
      value === 'Master' ? 'Promoted' : value === 'Slave' ? 'Unpromoted' : value,
    ]),
  );
  return [told(modern), ...children.map(text)].filter(Boolean).join('; ');
}

const KINDS: Readonly<Record<string, string>> = {
  rsc_colocation: 'colocation',
  rsc_order: 'order',
  rsc_location: 'location',
};

/** The constraint is there (or not); one of its kind between the same resources gives way to it. */
export const constraintEdit =
  (wanted: WantedConstraint, word: Word, isAbsent = false): Edit =>
  (configuration) => {
    const { element: made, isSame, resources } = wantedOf(wanted, word);
    const part = childOf(configuration, 'constraints') ?? element('constraints');
    const old = part.children.find((one) => one.name === made.name && isSame(one));
    const what = `${KINDS[made.name] ?? made.name} of ${resources.join(' and ')}`;
    const without = part.children.filter((one) => one !== old);
    if (isAbsent) {
      if (old === undefined) return unchanged(configuration);
      return {
        configuration: withPart(configuration, 'constraints', () => ({ ...part, children: without })),
        changes: [{ what, before: text(old), after: 'none' }],
      };
    }
    for (const id of resources)
      if (byId(configuration, 'resources', id) === undefined)
        throw new StepFailed(`${what}: there is no resource ${id}`);
    if (old !== undefined && text(old) === text(made)) return unchanged(configuration);
    return {
      configuration: withPart(configuration, 'constraints', () => ({
        ...part,
        children: [...without, made],
      })),
      changes: [{ what, before: old === undefined ? 'none' : text(old), after: text(made) }],
    };
  };
