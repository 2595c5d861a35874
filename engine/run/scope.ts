import { withDefaults } from '../cluster/stacks.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster, Host } from '../core/host.ts';
import type { Inventory } from '../parse/inventory.ts';
import { render } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Plan, Vars } from '../plan/plan.ts';
import type { HostState } from './host-state.ts';
import { hide } from './unforeseen.ts';

/** What every scope of a run is made from. */
export interface World {
  readonly plan: Plan;
  readonly states: ReadonlyMap<string, HostState>;
  /** Cluster → node → role, as found. */
  readonly roles: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly run: { readonly id: string; readonly operator: string; readonly is_check: boolean };
}

export const clusterOf = (inventory: Inventory, host: string): Cluster | undefined =>
  [...inventory.clusters.values()].find((cluster) => cluster.nodes.includes(host));

/** The jump host itself, which `delegate_to: localhost` means where the inventory has no host of that name. */
const JUMP_HOST: Host = { name: 'localhost', groups: [], vars: {}, connection: { transport: 'local' } };

export const hostNamed = (inventory: Inventory, name: string): Host | undefined =>
  inventory.hosts.get(name) ?? (name === JUMP_HOST.name ? JUMP_HOST : undefined);

/** Adds a name whose value is rendered when it is first read; reading it while it renders is a cycle. */
function lazy(scope: object, name: string, make: () => unknown): void {
  let value: unknown;
  let stage: 'new' | 'busy' | 'done' = 'new';
  Object.defineProperty(scope, name, {
    enumerable: true,
    configurable: true,
    get() {
      if (stage === 'busy')
        throw new DrillbookError('plan.template', `variable \`${name}\` is defined by itself`);
      if (stage === 'done') return value;
      stage = 'busy';
      try {
        value = make();
        stage = 'done';
      } finally {
        if (stage === 'busy') stage = 'new';
      }
      return value;
    },
  });
}

function clusterView(cluster: Cluster, world: World, scope: Scope): object {
  const roles = Object.entries(world.roles.get(cluster.name) ?? {});
  const holder = (role: string): object => {
    const [holder, ...others] = roles.filter(([, held]) => held === role);
    return holder && others.length === 0 ? { [role]: holder[0] } : {};
  };
  const view = {
    name: cluster.name,
    stack: cluster.stack,
    nodes: cluster.nodes,
    ...holder('primary'),
    ...holder('standby'),
  };
  lazy(view, 'settings', () =>
    withDefaults(cluster.stack, render(cluster.settings, scope, `settings of cluster ${cluster.name}`)),
  );
  return view;
}

const hostView = (state: HostState): object => ({
  name: state.host.name,
  address: state.host.connection.address ?? state.host.name,
  groups: state.host.groups,
});

/** A host as others see it: its variables are rendered as it sees them itself. */
function otherView(state: HostState, world: World, more: object = {}): object {
  const view = { ...hostView(state), ...more };
  lazy(view, 'vars', () => {
    const own = scopeOf(state, [], world);
    const vars = {};
    for (const name of Object.keys(state.host.vars)) lazy(vars, name, () => own[name]);
    return vars;
  });
  return view;
}

/**
 * The names a step sees on a host. Weakest first: inventory (all < group < host) < playbook < play < block < task
 * < set and registered < -e. Everything rendered is rendered late, so that variables may use one another.
 */
export function scopeOf(state: HostState, layers: readonly Vars[], world: World, extra: Vars = {}): Scope {
  const { plan, states, run } = world;
  const scope: Record<string, unknown> = {};
  for (const vars of [state.host.vars, ...layers]) {
    for (const [name, value] of Object.entries(vars)) lazy(scope, name, () => render(value, scope, name));
  }
  const put = (name: string, value: unknown): void => {
    Object.defineProperty(scope, name, { value, enumerable: true, configurable: true });
  };
  for (const [name, value] of [...state.set, ...state.registered]) put(name, value);
  for (const [name, step] of state.unforeseen) hide(scope, name, step);
  for (const [name, value] of Object.entries(plan.inputs.overrides)) put(name, value);
  const inputs = { ...plan.inputs.given };
  for (const [name, value] of Object.entries(plan.inputs.defaults))
    lazy(inputs, name, () => render(value, scope, `input ${name}`));
  put('inputs', inputs);
  put('host', hostView(state));
  put('facts', state.facts);
  put('run', run);
  lazy(scope, 'hosts', () => hostsView(world));
  lazy(scope, 'groups', () => groupsOf(plan.inventory));
  if (state.failure) put('failure', state.failure);
  const cluster = clusterOf(plan.inventory, state.host.name);
  if (cluster) {
    put('cluster', clusterView(cluster, world, scope));
    const other = states.get(cluster.nodes.find((node) => node !== state.host.name) ?? '');
    if (other) lazy(scope, 'peer', () => otherView(other, world));
  }
  for (const [name, value] of Object.entries(extra)) put(name, value);
  return scope;
}

const groupsOf = ({ hosts, groups }: Inventory): object => ({
  ...Object.fromEntries(groups),
  all: [...hosts.keys()],
});

function hostsView(world: World): object {
  const view = ([name, state]: [string, HostState]): [string, object] => {
    const own = Object.fromEntries([...state.set, ...state.registered]);
    const more = { facts: state.facts, ...own, ...world.plan.inputs.overrides };
    return [name, otherView(state, world, more)];
  };
  return Object.fromEntries([...world.states].map(view));
}
