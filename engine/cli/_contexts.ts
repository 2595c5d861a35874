import { withDefaults } from '../cluster/stacks.ts';
import { DrillbookError } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Context } from '../core/module.ts';
import type { Redactor } from '../core/secret.ts';
import type { Inventory } from '../parse/inventory.ts';
import { render } from '../parse/template.ts';
import { connections } from '../run/connections.ts';
import { contextFor } from '../run/context.ts';
import type { ContextTools } from '../run/context.ts';
import { clusterOf } from '../run/scope.ts';
import { openTransport } from '../transports/open.ts';
import { terminalAsk } from './_ask.ts';

export interface Contexts {
  /** The host as a module would see it, with no task around it. */
  on(host: string): Context;
  close(): Promise<void>;
}

/** Contexts for what looks at hosts without a run: the inventory's variables are all there is. */
export function contextsOf(inventory: Inventory, redactor: Redactor, signal: AbortSignal): Contexts {
  const ask = terminalAsk();
  const pool = connections((host, tools) => openTransport(host, { ...tools, ask }), redactor);
  const on = (name: string): Context => {
    const host = inventory.hosts.get(name);
    if (host === undefined) throw new DrillbookError('usage.host', `\`${name}\` is not in the inventory`);
    const { vars } = host;
    const cluster = clusterOf(inventory, name);
    const settings =
      cluster &&
      withDefaults(cluster.stack, render(cluster.settings, vars, `settings of cluster ${cluster.name}`));
    return contextFor(
      host,
      {
        scope: { ...vars, ...(cluster ? { cluster: { ...cluster, settings } } : {}) },
        become: undefined,
        env: {},
        signal,
        file: inventory.file,
        progress: () => undefined,
      },
      tools,
    );
  };
  const tools: ContextTools = {
    connections: pool,
    redactor,
    inventory,
    files: disk,
    guardsOf: () => [],
    async readStatus(name) {
      const { readStatus } = await import('../cluster/stacks.ts');
      const cluster = inventory.clusters.get(name);
      if (cluster === undefined) throw new DrillbookError('usage.cluster', `no cluster \`${name}\``);
      return readStatus(cluster, on);
    },
  };
  return { on, close: () => pool.close() };
}
