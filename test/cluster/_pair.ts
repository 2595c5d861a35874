import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { readStatus, schemaOf, withDefaults } from '../../engine/cluster/stacks.ts';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import { Unreachable } from '../../engine/core/error.ts';
import { disk } from '../../engine/core/files.ts';
import type { Cluster, Host, Transport } from '../../engine/core/host.ts';
import type { Change, Checked, Context, Outcome } from '../../engine/core/module.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { loadModule } from '../../engine/modules/registry.ts';
import { compileCondition } from '../../engine/parse/condition.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { renderText } from '../../engine/parse/template.ts';
import { openTransport } from '../../engine/transports/open.ts';

type Params = Readonly<Record<string, unknown>>;

for (const stack of ['dbackup', 'kwdb', 'usphere']) await schemaOf(stack);

/** As a run sees it. */
export const inForce = (cluster: Cluster): Cluster => ({
  ...cluster,
  settings: withDefaults(cluster.stack, cluster.settings) as Cluster['settings'],
});

/** The nodes of an inventory's first cluster, over real connections. */
export interface Pair {
  readonly cluster: Cluster;
  ctx(node: string): Context;
  status(): Promise<ClusterStatus>;
  /** Runs an action or query. */
  run(node: string, module: string, params?: Params): Promise<Outcome>;
  check(node: string, module: string, params?: Params): Promise<Checked>;
  /**
   * As the runner does it: look, apply, look again. Fails where the change did not take, or where a second run would
   * change something; the changes foreseen.
   */
  reach(node: string, module: string, params?: Params): Promise<readonly Change[]>;
  close(): Promise<void>;
}

/** `become` and `user` are for a login that is not root. */
export function openPair(inventoryFile: string, wish: Partial<Host> & { readonly user?: string } = {}): Pair {
  const inventory = loadInventory(inventoryFile);
  const [written] = inventory.clusters.values();
  if (written === undefined) throw new Error('no cluster in the inventory');
  const cluster = inForce(written);
  const opened = new Map<string, Promise<Transport>>();
  const hostOf = (name: string): Host => {
    const host = inventory.hosts.get(name);
    if (host === undefined) throw new Unreachable(name, 'unknown', `no host ${name}`);
    const user = wish.user ?? host.connection.user;
    return { ...host, become: wish.become ?? host.become, connection: { ...host.connection, user } };
  };
  const via = async (name: string): Promise<Transport> => {
    const host = hostOf(name);
    const known = opened.get(name);
    if (known !== undefined) return known;
    const transport = openTransport(host, { redactor: new Redactor() });
    const opening = transport.open().then(() => transport);
    opened.set(name, opening);
    opening.catch(() => opened.delete(name));
    return opening;
  };
  const ctx = (name: string): Context => {
    const host = hostOf(name);
    const { become } = host;
    const peer = cluster.nodes.find((node) => node !== name) ?? '';
    const scope = { ...host.vars, cluster, host: { name }, peer: { name: peer } };
    return {
      host,
      cluster,
      signal: new AbortController().signal,
      sh: async (script, options) => (await via(name)).sh(script, { become, ...options }),
      async job(script, options) {
        const id = { run: 'test', host: name, key: randomUUID() };
        const end = await (await via(name)).job(id, script, { become, ...options, mode: 'start' });
        if (end.kind !== 'ended') throw new Error(`the job is ${end.kind}`);
        return end.result;
      },
      keep: (_name, find) => find(),
      async dialogue(command, answers, options) {
        const id = { run: 'test', host: name, key: randomUUID() };
        const how = { become, ...options, mode: 'start' as const };
        const end = await (await via(name)).dialogue(id, command, answers, how);
        if (end.kind !== 'ended') throw new Error(`the dialogue is ${end.kind}`);
        return end.result;
      },
      put: async (path, content, mode) =>
        (await via(name)).put(path, Buffer.from(content), {
          become,
          ...(mode === undefined ? {} : { mode }),
        }),
      get: async (path) => (await via(name)).get(path, { become }),
      dial: async (endpoint) => (await via(name)).dial(endpoint),
      on: ctx,
      local: (path) => resolve('templates', path),
      read: (path) => disk.load(path),
      tree: (path) => disk.tree(path),
      render: (template, from) => renderText(template, scope, from),
      evaluate: (expression, extra) => compileCondition(expression).evaluate({ ...scope, ...extra }),
      status: () => readStatus(cluster, ctx),
      restsOfEarlierRuns: () => [],
      obligations: () => [],
      progress: () => undefined,
      secret: () => undefined,
    };
  };
  const load = async (name: string, params: Params) => {
    const module = await loadModule(name);
    return { module, given: module.params.parse(params) };
  };
  const check = async (node: string, name: string, params: Params = {}): Promise<Checked> => {
    const { module, given } = await load(name, params);
    if (module.kind !== 'state') throw new Error(`${name} is no state`);
    return module.check(ctx(node), given);
  };
  return {
    cluster,
    ctx,
    status: () => readStatus(cluster, ctx),
    check,
    async run(node, name, params = {}) {
      const { module, given } = await load(name, params);
      if (module.kind === 'action') return module.run(ctx(node), given);
      if (module.kind === 'query') return module.read(ctx(node), given);
      throw new Error(`${name} is a state`);
    },
    async reach(node, name, params = {}) {
      const { module, given } = await load(name, params);
      if (module.kind !== 'state') throw new Error(`${name} is no state`);
      const found = await module.check(ctx(node), given);
      if (found.changes.length > 0) {
        const after = (await module.apply(ctx(node), given, found)) ?? (await check(node, name, params));
        if (after.changes.length > 0) throw new Error(`did not take: ${JSON.stringify(after.changes)}`);
      }
      const again = await check(node, name, params);
      if (again.changes.length > 0)
        throw new Error(`a second run would change: ${JSON.stringify(again.changes)}`);
      return found.changes;
    },
    async close() {
      await Promise.allSettled([...opened.values()].map(async (one) => (await one).close()));
    },
  };
}
