import type { Host } from '../../core/host.ts';
import { compileCondition } from '../../parse/condition.ts';
import { compile, eachTemplate } from '../../parse/template.ts';
import type { Reference } from '../../parse/template.ts';
import { fullParams, paramMeta } from '../../plan/params.ts';
import type { Plan, Step, Vars } from '../../plan/plan.ts';
import { clusterOf } from '../scope.ts';

/** What a step reads beside its own text: label (`variable size`, `input wait`) → value as written, if it has one. */
export type Uses = Map<string, unknown>;

function templateReferences(value: unknown): readonly Reference[] {
  const found: Reference[] = [];
  eachTemplate(value, [], (text) => {
    try {
      found.push(...compile(text).references);
    } catch {
      // A file that only looks like a template.
    }
  });
  return found;
}

/** The names a step's own text reads; `contents` are those of its files. */
function ownReferences(step: Step, contents: readonly string[]): readonly Reference[] {
  const { module } = step;
  const params = module ? fullParams(module, step.params) : step.params;
  const cel: string[] = [];
  const templates: unknown[] = [step.keywords, step.environment, step.become, step.delegateTo, contents];
  for (const [name, value] of Object.entries(Object(params) as Vars)) {
    if (module && paramMeta(module, name).cel) cel.push(...[value].flat().map(String));
    else templates.push(value);
  }
  if (typeof params === 'string') templates.push(params);
  const { when, until, changedWhen = [], failedWhen = [] } = step;
  const conditions = [...when, ...until, ...changedWhen, ...failedWhen, ...cel.map(compileCondition)];
  return [...conditions.flatMap(({ references }) => references), ...templateReferences(templates)];
}

/** Modules of a system (`mysql.replication`) read the settings of their cluster by themselves. */
const readsCluster = ({ moduleName, undo }: Step): boolean =>
  moduleName.includes('.') || (undo !== undefined && readsCluster(undo));

/** Everything a step reads on a host, through as many variables as it takes; values are not rendered. */
export function usesOf(step: Step, host: Host, plan: Plan, contents: readonly string[]): Uses {
  const references = [step, ...(step.undo ? [step.undo] : [])].flatMap((one) =>
    ownReferences(one, one === step ? contents : []),
  );
  const whole: readonly Reference[] = readsCluster(step) ? [CLUSTER] : [];
  return collected([...references, ...whole], step.vars, host, plan);
}

/** The same for the invariants, by the first host of the inventory. */
export function usesOfInvariants(plan: Plan): Uses {
  const [host] = plan.inventory.hosts.values();
  const references = plan.invariants.flatMap(({ condition }) => condition.references);
  return host ? collected(references, [plan.playbook.vars], host, plan) : new Map();
}

const CLUSTER: Reference = { root: 'cluster', rest: [], offset: 0, isOptional: false };

function collected(references: readonly Reference[], layers: readonly Vars[], host: Host, plan: Plan): Uses {
  const { inventory, inputs } = plan;
  const uses: Uses = new Map();

  const add = (label: string, value: unknown, on: Host): void => {
    if (uses.has(label)) return;
    uses.set(label, value);
    follow(templateReferences(value), on);
  };
  const variable = (name: string, on: Host): void => {
    const own = [on.vars, ...(on === host ? layers : []), inputs.overrides];
    const values = own.flatMap((layer) => (Object.hasOwn(layer, name) ? [layer[name]] : []));
    add(on === host ? `variable ${name}` : `variable ${name} of ${on.name}`, values.at(-1), on);
  };
  const wholeHost = (on: Host, rest: readonly string[]): void => {
    const [part, name] = rest;
    if (part === undefined || part === 'address')
      add(`address of ${on.name}`, on.connection.address ?? on.name, on);
    if (part === undefined || part === 'groups') add(`groups of ${on.name}`, on.groups, on);
    if (part === 'vars' && name !== undefined) variable(name, on);
    else if (part === undefined || part === 'vars') for (const key of Object.keys(on.vars)) variable(key, on);
  };
  const cluster = (rest: readonly string[]): void => {
    const own = clusterOf(inventory, host.name);
    if (!own) return;
    const [part, name] = rest;
    if (part === undefined || part === 'stack') add('stack of the cluster', own.stack, host);
    if (part === undefined || part === 'nodes') add('nodes of the cluster', own.nodes, host);
    if (part !== undefined && part !== 'settings') return;
    for (const key of name === undefined ? Object.keys(own.settings) : [name])
      add(`setting ${key} of the cluster`, own.settings[key], host);
  };
  const input = (name: string): void => {
    const known = { ...inputs.defaults, ...inputs.given };
    add(`input ${name}`, known[name], host);
  };
  const follow = (references: readonly Reference[], on: Host): void => {
    for (const { root, rest } of references) {
      const [first] = rest;
      if (root === 'inputs')
        for (const name of first === undefined
          ? Object.keys({ ...inputs.defaults, ...inputs.given })
          : [first])
          input(name);
      else if (root === 'cluster') cluster(rest);
      else if (root === 'host') wholeHost(on, first === undefined ? ['address'] : rest);
      else if (root === 'peer') {
        const other = clusterOf(inventory, on.name)?.nodes.find((name) => name !== on.name);
        const peer = inventory.hosts.get(other ?? '');
        if (peer) wholeHost(peer, rest);
      } else if (root === 'hosts') {
        const named = first === undefined ? undefined : inventory.hosts.get(first);
        for (const each of named ? [named] : inventory.hosts.values())
          wholeHost(each, named ? rest.slice(1) : []);
      } else variable(root, on);
    }
  };
  follow(references, host);
  return uses;
}
