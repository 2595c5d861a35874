import { settingsWithDefaults } from '../cluster/stacks.ts';
import type { ClusterStatus } from '../core/cluster.ts';
import type { Module } from '../core/module.ts';
import { registeredFields } from '../core/result.ts';
import type { Inventory } from '../parse/inventory.ts';
import { either, eitherOf, fieldsOf, knownOf, knownOfType } from '../parse/known.ts';
import type { Known } from '../parse/known.ts';
import type { Item, Playbook, Task } from '../parse/playbook.ts';
import type { Input } from '../parse/playbook-schema.ts';
import { placeText } from '../core/place.ts';

const ANYTHING: Known = fieldsOf({}, true);
const TEXTS: Known = { items: 'text' };

const OF_INPUT: Readonly<Record<Input['type'], Known>> = {
  string: 'text',
  secret: 'text',
  path: 'text',
  duration: 'text',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  list: { items: 'any' },
  map: 'any',
};

const inputsOf = ({ inputs }: Playbook): Known =>
  fieldsOf(Object.fromEntries(Object.entries(inputs).map(([name, { type }]) => [name, OF_INPUT[type]])));

/** Variables of these hosts: name → what is known of it on all of them. */
export function inventoryNames({ hosts }: Inventory, names: readonly string[]): Map<string, Known> {
  const found = new Map<string, Known>();
  for (const host of names)
    for (const [name, value] of Object.entries(hosts.get(host)?.vars ?? {})) {
      const [known, other] = [knownOf(value), found.get(name)];
      found.set(name, other === undefined ? known : either(other, known));
    }
  return found;
}

/** Variables that some of these hosts have and others not: name → the others. */
export function partialNames({ hosts }: Inventory, names: readonly string[]): Map<string, readonly string[]> {
  const lacking = (name: string): string[] =>
    names.filter((host) => !Object.hasOwn(hosts.get(host)?.vars ?? {}, name));
  const all = new Set(names.flatMap((host) => Object.keys(hosts.get(host)?.vars ?? {})));
  return new Map(
    [...all].flatMap((name) => (lacking(name).length > 0 ? [[name, lacking(name)] as const] : [])),
  );
}

const hasHosts = ({ hosts }: Inventory): boolean => hosts.size > 0;

const CLUSTER = { name: 'text', stack: 'text', nodes: TEXTS } satisfies Record<string, Known>;

/** What stands in every scope beside variables; without an inventory, as far as it can be told. */
export function engineNames(
  playbook: Playbook,
  inventory: Inventory,
  facts: Module | undefined,
): Map<string, Known> {
  const all = [...inventory.hosts.keys()];
  const settings = [...inventory.clusters.values()].map(({ stack, settings: own }) => {
    const whole = settingsWithDefaults(stack, own);
    // Where templates keep the defaults from being told, any name may be there.
    return whole === undefined ? ANYTHING : knownOf(whole);
  });
  const vars: Known = hasHosts(inventory) ? { fields: inventoryNames(inventory, all) } : ANYTHING;
  const address = { name: 'text', address: 'text' } satisfies Record<string, Known>;
  const ofFacts = facts?.returns['facts'];
  const names = new Map<string, Known>([
    ['inputs', inputsOf(playbook)],
    ['host', fieldsOf({ ...address, groups: TEXTS })],
    [
      'groups',
      hasHosts(inventory)
        ? fieldsOf(Object.fromEntries(['all', ...inventory.groups.keys()].map((name) => [name, TEXTS])))
        : ANYTHING,
    ],
    ['run', fieldsOf({ id: 'text', operator: 'text', is_check: 'boolean' })],
    [
      'hosts',
      hasHosts(inventory) ? fieldsOf(Object.fromEntries(all.map((name) => [name, ANYTHING]))) : ANYTHING,
    ],
  ]);
  if (facts) names.set('facts', ofFacts ? knownOfType(ofFacts) : ANYTHING);
  if (hasHosts(inventory) && inventory.clusters.size === 0) return names;
  names.set('peer', fieldsOf({ ...address, vars }));
  const own = settings.length > 0 ? eitherOf(settings) : ANYTHING;
  return names.set('cluster', fieldsOf({ ...CLUSTER, settings: own, primary: 'text', standby: 'text' }));
}

/** What an invariant sees of a cluster: as written and as read. */
export function clusterOfInvariants(engine: ReadonlyMap<string, Known>): Known {
  const nodes = {
    items: fieldsOf({
      name: 'text',
      address: 'text',
      online: 'boolean',
      role: 'text',
      witnesses: 'any',
      services: 'any',
    }),
  } satisfies Known;
  const read = {
    cluster: 'text',
    stack: 'text',
    state: 'text',
    nodes,
    replication: fieldsOf({ kind: 'text', state: 'text', lagSeconds: 'any', percent: 'any' }),
    vips: { items: fieldsOf({ address: 'text', holders: TEXTS }) },
    heartbeats: { items: fieldsOf({ from: 'text', to: 'text', state: 'text' }) },
    arbitration: 'any',
    problems: { items: fieldsOf({ code: 'text', message: 'text', hint: 'text' }) },
  } satisfies Record<keyof ClusterStatus, Known>;
  const cluster = engine.get('cluster');
  const settings =
    typeof cluster === 'object' && 'fields' in cluster ? cluster.fields.get('settings') : undefined;
  return fieldsOf({ name: 'text', settings: settings ?? 'any', ...read, primaries: TEXTS, standbys: TEXTS });
}

const results = { plain: new WeakMap<Module, Known>(), looped: new WeakMap<Module, Known>() };

/** What a task's result is known by: its `register`, and in its own conditions `result`. */
export function resultOf(module: Module | undefined, hasLoop: boolean): Known {
  if (!module) return 'any';
  const before = hasLoop ? results.looped : results.plain;
  const known = before.get(module);
  if (known !== undefined) return known;
  const fields = Object.entries(registeredFields(module, hasLoop));
  const made = fieldsOf(Object.fromEntries(fields.map(([name, type]) => [name, knownOfType(type)])));
  before.set(module, made);
  return made;
}

/** What a task gives values to, beside its `vars`. */
export function givenBy(task: Task, module: Module | undefined): [string, Known][] {
  const { register, loop } = task.keywords;
  const params = task.module === 'set' && task.params !== null && typeof task.params === 'object';
  const set = params
    ? Object.entries(task.params as object).map(([name, value]) => [name, knownOf(value)] as const)
    : [];
  const registered =
    register === undefined ? [] : [[register, resultOf(module, loop !== undefined)] as const];
  return [...registered, ...set].map(([name, known]) => [name, known]);
}

/** Every name that a task of the playbook gives a value to, and where the first one does. */
export function givenLater(playbook: Playbook): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (items: readonly Item[]): void => {
    for (const item of items) {
      if (item.kind === 'block') for (const part of [item.block, item.rescue, item.always]) visit(part);
      else
        for (const [name] of givenBy(item, undefined))
          if (!found.has(name)) found.set(name, placeText(item.at).split('/').at(-1) ?? '');
    }
  };
  for (const play of playbook.plays) {
    visit(play.tasks);
    visit(play.handlers);
  }
  return found;
}
