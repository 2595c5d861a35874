import { resolve } from 'node:path';
import type { ClusterStatus } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Host } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import type { Redactor } from '../core/secret.ts';
import type { Inventory } from '../parse/inventory.ts';
import { compileCondition } from '../parse/condition.ts';
import { render, renderText } from '../parse/template.ts';
import { connections } from '../run/connections.ts';
import { openTransport } from '../transports/open.ts';

export interface Contexts {
  /** The host as a module would see it, with no task around it. */
  on(host: string): Context;
  close(): Promise<void>;
}

/** Contexts for what looks at hosts without a run: the inventory's variables are all there is. */
export function contextsOf(inventory: Inventory, redactor: Redactor, signal: AbortSignal): Contexts {
  const pool = connections(openTransport, redactor);
  const hostOf = (name: string): Host => {
    const host = inventory.hosts.get(name);
    if (host === undefined) throw new DrillbookError('usage.host', `\`${name}\` is not in the inventory`);
    return host;
  };
  const on = (name: string): Context => {
    const host = hostOf(name);
    const { become, vars } = host;
    const found = [...inventory.clusters.values()].find(({ nodes }) => nodes.includes(name));
    const cluster = found && {
      ...found,
      settings: render(found.settings, vars, `settings of cluster ${found.name}`) as Readonly<
        Record<string, unknown>
      >,
    };
    const status = async (): Promise<ClusterStatus> => {
      const { readStatus } = await import('../cluster/stacks.ts');
      if (found === undefined) throw new DrillbookError('usage.cluster', `${name} belongs to no cluster`);
      return readStatus(found, on);
    };
    return {
      host,
      cluster,
      signal,
      sh: async (script, options) => (await pool.get(host)).sh(script, { become, signal, ...options }),
      dialogue: async (text, answers, options) =>
        (await pool.get(host)).dialogue(text, answers, { become, signal, ...options }),
      put: async (path, content, mode) =>
        (await pool.get(host)).put(path, Buffer.from(content), {
          become,
          ...(mode === undefined ? {} : { mode }),
        }),
      get: async (path) => (await pool.get(host)).get(path, { become }),
      dial: async (endpoint) => (await pool.get(host)).dial(endpoint),
      on,
      local: (path) => resolve(path),
      render: (template, from) => renderText(template, vars, from),
      evaluate: (expression, extra) => compileCondition(expression).evaluate({ ...vars, ...extra }),
      status,
      progress: () => undefined,
      secret: (value) => redactor.add(value),
    };
  };
  return { on, close: () => pool.close() };
}
