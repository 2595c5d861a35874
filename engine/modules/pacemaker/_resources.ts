import { StepFailed } from '../../core/error.ts';
import type { Agent } from './_agents.ts';
import { byId, pairsOf, replaced, told, unchanged, withPairs, withPart } from './_edit.ts';
import type { Edit } from './_edit.ts';
import type { Operation, WantedGroup, WantedResource } from './_params.ts';
import { childOf, childrenOf, element, within } from './_xml.ts';
import type { Element } from './_xml.ts';

type Values = Readonly<Record<string, string>>;

/** Of Pacemaker's own commands, and of operators in an emergency: left as they are unless they are given. */
const LEFT = ['target-role', 'is-managed', 'maintenance'];

const LEGACY: Values = { Promoted: 'Master', Unpromoted: 'Slave', Master: 'Promoted', Slave: 'Unpromoted' };

/** A role as this schema spells it. */
export const spelled = (role: string, promotedWord: 'Promoted' | 'Master'): string =>
  promotedWord === 'Master' ? (LEGACY[role] ?? role) : role;
const modern = (role: string): string =>
  role === 'Master' || role === 'Slave' ? (LEGACY[role] ?? role) : role;

function agentOf({ attributes }: Element): string {
  const { class: kind = '', provider, type = '' } = attributes;
  return [kind, ...(provider === undefined ? [] : [provider]), type].join(':');
}

const seconds = (time: string): string => (/^\d+$/.test(time) ? `${time}s` : time);

/** The operations that the resource is to have: those given, and what the agent advises for the others. */
function operationsOf(wanted: WantedResource, { actions }: Agent): readonly Values[] {
  const given = wanted.operations.map(({ name, interval, timeout, role, on_fail }: Operation): Values => {
    const advised = actions.find((one) => one['name'] === name && modern(one['role'] ?? '') === (role ?? ''));
    const limit = timeout ?? advised?.['timeout'] ?? actions.find((one) => one['name'] === name)?.['timeout'];
    return {
      name,
      interval: seconds(interval),
      ...(limit === undefined ? {} : { timeout: seconds(limit) }),
      ...(role === undefined ? {} : { role }),
      ...(on_fail === undefined ? {} : { 'on-fail': on_fail }),
    };
  });
  const isGiven = (name: string): boolean => given.some((one) => one['name'] === name);
  const advised = actions
    .filter(
      ({ name = '', depth = '0' }) =>
        !['meta-data', 'validate-all', 'status'].includes(name) && depth === '0',
    )
    .filter(({ name = '' }) => !isGiven(name))
    .map(({ name = '', interval = '0', timeout, role }): Values => ({
      name,
      interval: seconds(interval),
      ...(timeout === undefined ? {} : { timeout: seconds(timeout) }),
      ...(role === undefined ? {} : { role: modern(role) }),
    }));
  return [...given, ...advised];
}

const opsIn = (primitive: Element | undefined): readonly Element[] =>
  childrenOf(primitive, 'operations').flatMap((one) => childrenOf(one, 'op'));

const operationIn = (op: Element): Values => {
  const { id: _, ...rest } = op.attributes;
  return {
    ...rest,
    ...(rest['timeout'] === undefined ? {} : { timeout: seconds(rest['timeout']) }),
    interval: seconds(rest['interval'] ?? '0'),
    ...(rest['role'] === undefined ? {} : { role: modern(rest['role']) }),
    // OCF_CHECK_LEVEL.
    ...pairsOf(op, 'instance_attributes'),
  };
};

/** What is inside of the operation as the resource has it: of the same interval, or the only one of its name and role. */
function insideOf(old: Element | undefined, wanted: Values, all: readonly Values[]): readonly Element[] {
  const isAlike = (one: Values): boolean => one['name'] === wanted['name'] && one['role'] === wanted['role'];
  const alike = opsIn(old).filter((op) => isAlike(operationIn(op)));
  const same = alike.find((op) => operationIn(op)['interval'] === wanted['interval']);
  const only = alike.length === 1 && all.filter(isAlike).length === 1 ? alike[0] : undefined;
  return (same ?? only)?.children ?? [];
}

const withoutLeft = (meta: Values, given: Values): Values =>
  Object.fromEntries(Object.entries(meta).filter(([name]) => !LEFT.includes(name) || name in given));
const onlyLeft = (meta: Values, given: Values): Values =>
  Object.fromEntries(Object.entries(meta).filter(([name]) => LEFT.includes(name) && !(name in given)));

const operationText = ({ name = '', interval = '', ...rest }: Values): string =>
  `${name}${interval === '0s' ? '' : ` every ${interval}`}${told(rest) === '' ? '' : ` (${told(rest)})`}`;

/** One line for each thing that counts, for the operator's eye and for comparison; `given` are the meta attributes wanted. */
const text = (primitive: Element, given: Values, clone?: Values): string => {
  const options = told(pairsOf(primitive, 'instance_attributes'));
  const meta = told(withoutLeft(pairsOf(primitive, 'meta_attributes'), given));
  return [
    agentOf(primitive),
    ...(options === '' ? [] : [`options ${options}`]),
    ...(meta === '' ? [] : [`meta ${meta}`]),
    ...opsIn(primitive)
      .map((op) => operationText(operationIn(op)))
      .sort(),
    ...(clone === undefined ? [] : [`clone ${told(clone)}`]),
  ].join('\n');
};

/** As wanted; of the one that is there, what nothing is said of is kept: utilization, sets with rules, a description. */
function primitive(
  wanted: WantedResource,
  operations: readonly Values[],
  old: Element | undefined,
  word: 'Promoted' | 'Master',
): Element {
  const { name: id, agent, options } = wanted;
  const [kind, ...rest] = agent.split(':');
  const [provider, type] = kind === 'ocf' ? rest : [undefined, rest.join(':')];
  const ops = operations.map((one) => {
    const { role, ...others } = one;
    const base = `${id}-${one['name'] ?? ''}-interval-${one['interval'] ?? ''}`;
    const isTwin =
      operations.filter(({ name, interval }) => name === one['name'] && interval === one['interval']).length >
      1;
    return element(
      'op',
      {
        id: isTwin && role !== undefined ? `${base}-${role.toLowerCase()}` : base,
        ...others,
        ...(role === undefined ? {} : { role: spelled(role, word) }),
      },
      insideOf(old, one, operations),
    );
  });
  const kept = old?.children.filter(({ name }) => name !== 'operations') ?? [];
  const bare = element('primitive', { ...old?.attributes, id, class: kind, provider, type }, kept);
  const meta = old === undefined ? {} : onlyLeft(pairsOf(old, 'meta_attributes'), wanted.meta);
  const made = withPairs(
    withPairs(bare, 'instance_attributes', `${id}-instance_attributes`, options),
    'meta_attributes',
    `${id}-meta_attributes`,
    { ...meta, ...wanted.meta },
  );
  return ops.length === 0 ? made : { ...made, children: [...made.children, element('operations', {}, ops)] };
}

/** The clone's meta attributes as wanted: undefined for a resource that runs once. */
function cloneOf({ promotable, clone }: WantedResource): Values | undefined {
  if (promotable !== undefined) return { ...promotable, promotable: 'true' };
  return clone;
}

/** The clone right around a resource; a `master` is one, of Pacemaker before 2.0. */
const holderOf = (configuration: Element, resource: Element): Element | undefined =>
  [...within(configuration)].find(
    ({ name, children }) => (name === 'clone' || name === 'master') && children.includes(resource),
  );

/** The resource is as wanted; one that is new stands at the end, outside of groups. */
export const resourceEdit =
  (wanted: WantedResource, agent: Agent, word: 'Promoted' | 'Master'): Edit =>
  (configuration) => {
    const { name } = wanted;
    const old = byId(configuration, 'resources', name);
    if (old !== undefined && old.name !== 'primitive')
      throw new StepFailed(`${name} is there already, and is a ${old.name}`);
    const holder = old && holderOf(configuration, old);
    const oldClone = holder?.attributes['id'] === `${name}-clone` ? holder : undefined;
    const isCloned = oldClone !== undefined;
    const clone = cloneOf(wanted);
    if (holder !== undefined && clone !== undefined && oldClone?.name !== 'clone')
      throw new StepFailed(
        `${name} runs on all nodes already, as the ${holder.name} ${holder.attributes['id'] ?? ''}, and is to be the clone ${name}-clone: that cannot be changed while it is there`,
        {},
        { hint: 'remove it first (state: absent)' },
      );
    if (old !== undefined && isCloned !== (clone !== undefined))
      throw new StepFailed(
        `${name} runs ${isCloned ? 'on all nodes' : 'once'}, and is to run ${isCloned ? 'once' : 'on all nodes'}: that cannot be changed while it is there`,
        {},
        { hint: 'remove it first (state: absent)' },
      );
    const cloneMeta = pairsOf(oldClone, 'meta_attributes');
    const made = primitive(wanted, operationsOf(wanted, agent), old, word);
    const before = old && text(old, wanted.meta, oldClone && withoutLeft(cloneMeta, clone ?? {}));
    const after = text(made, wanted.meta, clone);
    if (before === after) return unchanged(configuration);
    const around = oldClone ?? element('clone', { id: `${name}-clone` });
    const whole =
      clone === undefined
        ? made
        : withPairs(
            { ...around, children: [made, ...around.children.filter((one) => one !== old)] },
            'meta_attributes',
            `${name}-clone-meta_attributes`,
            { ...onlyLeft(cloneMeta, clone), ...clone },
          );
    return {
      configuration: withPart(configuration, 'resources', (part) =>
        old === undefined
          ? { ...part, children: [...part.children, whole] }
          : replaced(part, isCloned ? `${name}-clone` : name, () => [whole]),
      ),
      changes: [{ what: `resource ${name}`, before: before ?? 'none', after }],
    };
  };

const membersOf = (group: Element | undefined): readonly string[] =>
  childrenOf(group, 'primitive').map(({ attributes }) => attributes['id'] ?? '');

/** The group holds these resources in this order; those it loses go on by themselves. */
export const groupEdit =
  ({ name, resources }: WantedGroup): Edit =>
  (configuration) => {
    const group = byId(configuration, 'resources', name);
    if (group !== undefined && group.name !== 'group')
      throw new StepFailed(`${name} is there already, and is a ${group.name}`);
    if (membersOf(group).join() === resources.join()) return unchanged(configuration);
    const members = resources.map((id) => {
      const one = byId(configuration, 'resources', id);
      if (one?.name !== 'primitive') throw new StepFailed(`group ${name}: there is no resource ${id}`);
      return one;
    });
    const lost = childrenOf(group, 'primitive').filter(
      ({ attributes }) => !resources.includes(attributes['id'] ?? ''),
    );
    const rest = group?.children.filter((one) => one.name !== 'primitive') ?? [];
    const made = element('group', { ...group?.attributes, id: name }, [...members, ...rest]);
    return {
      configuration: withPart(configuration, 'resources', (part) => {
        const bare = [name, ...resources].reduce((sofar, id) => replaced(sofar, id, () => []), part);
        // A group that has lost all its resources to another is none.
        const kept = bare.children.filter((one) => one.name !== 'group' || membersOf(one).length > 0);
        return { ...bare, children: [...kept, ...lost, made] };
      }),
      changes: [
        {
          what: `group ${name}`,
          before: group === undefined ? 'none' : membersOf(group).join(' '),
          after: resources.join(' '),
        },
      ],
    };
  };

/** The clone that is there for the resource alone, else the resource. */
function wholeOf(configuration: Element, id: string): string {
  const one = byId(configuration, 'resources', id);
  return (one && holderOf(configuration, one)?.attributes['id']) ?? id;
}

/** The resource is to be stopped (target-role), as `pcs resource disable` does. */
export const stopEdit =
  (id: string): Edit =>
  (configuration) => {
    const whole = wholeOf(configuration, id);
    const old = byId(configuration, 'resources', whole);
    if (old === undefined || pairsOf(old, 'meta_attributes')['target-role'] === 'Stopped')
      return unchanged(configuration);
    const meta = { ...pairsOf(old, 'meta_attributes'), 'target-role': 'Stopped' };
    const made = withPairs(old, 'meta_attributes', `${whole}-meta_attributes`, meta);
    return {
      configuration: withPart(configuration, 'resources', (part) => replaced(part, whole, () => [made])),
      changes: [{ what: `resource ${id}`, before: 'started', after: 'stopped' }],
    };
  };

/** The resource is not there, nor any constraint that names it, nor a group that it leaves empty. */
export const removalEdit =
  (id: string): Edit =>
  (configuration) => {
    const whole = wholeOf(configuration, id);
    const old = byId(configuration, 'resources', whole);
    if (old === undefined) return unchanged(configuration);
    const part = replaced(childOf(configuration, 'resources') ?? element('resources'), whole, () => []);
    const left = part.children.filter((one) => one.name !== 'group' || membersOf(one).length > 0);
    const ids = new Set(left.flatMap((one) => [...within(one)].map(({ attributes }) => attributes['id'])));
    const isLoose = (constraint: Element): boolean =>
      [...within(constraint)].some(({ attributes }) =>
        ['rsc', 'with-rsc', 'first', 'then'].some((name) => name in attributes && !ids.has(attributes[name])),
      );
    const constraints = childOf(configuration, 'constraints');
    const loose = constraints?.children.filter(isLoose) ?? [];
    const without = withPart(configuration, 'resources', (all) => ({ ...all, children: left }));
    return {
      configuration: withPart(without, 'constraints', (all) => ({
        ...all,
        children: all.children.filter((one) => !loose.includes(one)),
      })),
      changes: [
        {
          what: `resource ${id}`,
          before: [...within(old)]
            .filter(({ name }) => name === 'primitive')
            .map(agentOf)
            .join(),
          after: 'none',
        },
        ...loose.map(({ attributes }) => ({
          what: `constraint ${attributes['id'] ?? ''}`,
          before: 'there',
          after: 'none',
        })),
      ],
    };
  };
