import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import { loadModule, moduleNames } from '../modules/registry.ts';
import { loadInventory } from '../parse/inventory.ts';
import type { Inventory } from '../parse/inventory.ts';
import { loadPlaybook } from '../parse/playbook.ts';
import type { Playbook } from '../parse/playbook.ts';
import { loadYaml } from '../parse/yaml.ts';
import { makePlan, modulesUsed } from '../plan/expand.ts';
import { command } from './_command.ts';

const isYaml = (name: string): boolean => /\.ya?ml$/.test(name);

function* filesUnder(path: string): Generator<string> {
  if (!existsSync(path)) throw new DrillbookError('usage.path', `${path} does not exist`);
  if (!statSync(path).isDirectory()) return yield path;
  for (const name of readdirSync(path).sort()) {
    const inner = join(path, name);
    if (statSync(inner).isDirectory()) yield* filesUnder(inner);
    else if (isYaml(name)) yield inner;
  }
}

const noInventory = (): Inventory => ({
  spec: '',
  file: '',
  vars: [],
  clusterPlaces: new Map(),
  hosts: new Map(),
  groups: new Map(),
  clusters: new Map(),
  settings: new Map(),
});

/** Without an inventory, what only an inventory can tell (hosts, variables) is not held against a playbook. */
async function lintPlaybook(playbook: Playbook, inventory: Inventory | undefined): Promise<void> {
  const modules = new Map(
    await Promise.all(
      [...modulesUsed(playbook)].map(async (name) => [name, await loadModule(name)] as const),
    ),
  );
  try {
    makePlan(playbook, inventory ?? noInventory(), { given: {}, defaults: {}, overrides: {} }, modules);
  } catch (error) {
    if (inventory || !(error instanceof Problems)) throw error;
    const own = error.problems.filter(
      ({ code, message }) =>
        code !== 'plan.hosts' && !(code === 'plan.name' && message.startsWith('unknown variable')),
    );
    if (own.length > 0) throw new Problems(own);
  }
}

function kindOf(file: string): 'playbook' | 'inventory' | 'tasks' | 'vars' | 'other' {
  const { value } = loadYaml(file, 'file');
  if (Array.isArray(value)) return 'tasks';
  if (value === null || typeof value !== 'object') return 'other';
  return 'plays' in value ? 'playbook' : 'hosts' in value ? 'inventory' : 'vars';
}

export default command({
  summary: 'check playbooks and inventories; nothing is touched',
  usage: '[PATH…] [-i INVENTORY]',
  options: { inventory: { type: 'string', short: 'i' } },
  help: { inventory: 'the inventory whose hosts and variables the playbooks use' },
  async run({ positionals, options, output }) {
    const paths =
      positionals.length > 0 ? positionals : ['playbooks', 'inventories'].filter((path) => existsSync(path));
    const given = options['inventory'];
    const problems: DrillbookError[] = [];
    let count = 0;
    /** Read by a playbook, as variables or tasks. */
    const parts = new Set<string>();
    const others: string[] = [];
    for (const file of paths.flatMap((path) => [...filesUnder(resolve(path))])) {
      try {
        const kind = kindOf(file);
        if (kind === 'playbook') {
          const playbook = loadPlaybook(file, { modules: moduleNames() });
          for (const part of playbook.files) parts.add(part);
          await lintPlaybook(playbook, typeof given === 'string' ? loadInventory(given) : undefined);
        } else if (kind === 'inventory') loadInventory(file);
        else if (kind === 'other') others.push(file);
        if (kind === 'playbook' || kind === 'inventory') count++;
      } catch (error) {
        if (error instanceof Problems) problems.push(...error.problems);
        else if (error instanceof DrillbookError) problems.push(error);
        else throw error;
      }
    }
    for (const file of others.filter((name) => !parts.has(name)))
      problems.push(
        new DrillbookError('parse.schema', `${file} holds neither a mapping nor a list of tasks`),
      );
    if (output === 'json' || output === 'jsonl') {
      const rows = problems.map(({ code, message, at, hint }) => ({ code, message, at, hint }));
      process.stdout.write(`${JSON.stringify({ files: count, problems: rows })}\n`);
      return problems.length > 0 ? 2 : 0;
    }
    if (problems.length > 0) throw new Problems(problems);
    process.stdout.write(`${count} ${count === 1 ? 'file' : 'files'} in order\n`);
    return 0;
  },
});
