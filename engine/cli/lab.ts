import { spawn } from 'node:child_process';
import { DrillbookError, type ErrorDetail } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { downLab, listLabs, openLab, sshCommand, upLab, type Lab } from '../lab/lab.ts';
import { databases, labStacks, links, type Database, type LabStack, type Link } from '../lab/state.ts';
import { command, type Invocation } from './_command.ts';

type Verb = (invocation: Invocation, name: string, words: readonly string[]) => Promise<number>;

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const usage = (message: string, detail: ErrorDetail = {}): DrillbookError =>
  new DrillbookError('usage.lab', message, detail);

const VERBS: Readonly<Record<string, Verb>> = {
  up: async ({ options, signal }, name) => {
    const lab = await upLab({
      name,
      database: databaseOf(options['database']),
      stack: stackOf(options['stack']),
      nodes: nodeNames(options['nodes']),
      drbd: options['drbd'] === true,
      installed: options['installed'] === true,
      arbiter: options['arbiter'] === true,
      ...(options['disk'] === undefined ? {} : { dataMb: sizeOf(String(options['disk'])) }),
      signal,
      onProgress: say,
    });
    say(`inventory: ${lab.inventory}`);
    return 0;
  },
  down: async ({ options }, name) => {
    const names = options['all'] === true ? await listLabs() : [name];
    for (const one of names) {
      await downLab(one);
      say(`lab ${one} is gone`);
    }
    return 0;
  },
  list: async ({ output }) => {
    const names = await listLabs();
    process.stdout.write(
      output === 'json' ? `${JSON.stringify(names)}\n` : names.map((one) => `${one}\n`).join(''),
    );
    return 0;
  },
  status: async ({ output }, name) => {
    const lab = await openLab(name);
    process.stdout.write(output === 'json' ? `${JSON.stringify(statusOf(lab), null, 2)}\n` : statusText(lab));
    return 0;
  },
  ssh: async (_, name, [node, ...words]) => {
    const { file, args } = await sshCommand(name, required(node, 'ssh NODE [-- COMMAND]'), words);
    return interactive(file, args);
  },
  cut: async ({ options }, name, [node, link]) => {
    const how = options['unplug'] === true ? 'unplugged' : 'silent';
    await (await openLab(name)).cut(required(node, 'cut NODE [LINK]'), linkOf(link), how);
    return 0;
  },
  heal: async (_, name, [node, link]) => {
    await (await openLab(name)).heal(required(node, 'heal NODE [LINK]'), linkOf(link));
    return 0;
  },
  'power-off': async (_, name, [node]) => {
    await (await openLab(name)).powerOff(required(node, 'power-off NODE'));
    return 0;
  },
  'power-on': async ({ signal }, name, [node]) => {
    await (await openLab(name, say)).powerOn(required(node, 'power-on NODE'), signal);
    return 0;
  },
  'replace-disk': async ({ options }, name, [node]) => {
    const size = options['disk'] === undefined ? undefined : sizeOf(String(options['disk']));
    await (await openLab(name)).replaceDisk(required(node, 'replace-disk NODE [--disk MB]'), size);
    return 0;
  },
  'replace-node': async ({ options }, name, [node]) => {
    const size = options['disk'] === undefined ? undefined : sizeOf(String(options['disk']));
    await (await openLab(name)).replaceNode(required(node, 'replace-node NODE [--disk MB]'), size);
    return 0;
  },
};

export default command({
  summary: 'Real Debian nodes on this machine, for the demo, the tests and rehearsals',
  usage: `${Object.keys(VERBS).join('|')} [NODE] [LINK]`,
  options: {
    name: { type: 'string', default: 'lab' },
    database: { type: 'string', default: 'mariadb' },
    stack: { type: 'string', default: 'dbackup' },
    nodes: { type: 'string', default: '2' },
    drbd: { type: 'boolean' },
    installed: { type: 'boolean' },
    arbiter: { type: 'boolean' },
    disk: { type: 'string' },
    all: { type: 'boolean' },
    unplug: { type: 'boolean' },
  },
  help: {
    name: 'name of the lab; several can be up side by side (default: lab)',
    database: 'up: mariadb (10.11, Debian 12) or mysql (9.x, Debian sid)',
    nodes: 'up: how many nodes (dbk1, dbk2, …), or their names with commas between',
    stack:
      'up: the product that the nodes are for: dbackup, or kwdb or usphere (packages of DRBD and Pacemaker in a repository on the nodes)',
    drbd: 'up: nodes with a kernel of their own that has DRBD, and a data disk; slower than containers; at power-off they lose what was never synced, which a container keeps',
    installed:
      'up: kwdb, usphere: with the packages of the cluster installed, which takes minutes in nodes of --drbd',
    arbiter: 'up: a third node, for a quorum device; usphere without it: ping',
    disk: 'up, replace-disk, replace-node: size of the data disk in MiB (default: 256, or as the old one)',
    all: 'down: every lab on this machine',
    unplug:
      'cut: pull the cable out, so that the node (no virtual machine) loses its carrier; else frames vanish silently',
  },
  run: async (invocation) => {
    const [verb = '', ...words] = invocation.positionals;
    const work = VERBS[verb];
    if (work === undefined) {
      throw usage(`lab has no verb \`${verb}\``, { hint: suggest(verb, Object.keys(VERBS)) });
    }
    return work(invocation, String(invocation.options['name'] ?? 'lab'), words);
  },
});

function required(word: string | undefined, form: string): string {
  if (word === undefined) throw usage(`a node is missing: lab ${form}`);
  return word;
}

function databaseOf(word: unknown): Database {
  const found = databases.find((one) => one === (word ?? 'mariadb'));
  if (found === undefined) {
    throw usage(`a lab has no database \`${String(word)}\``, { hint: `allowed: ${databases.join(', ')}` });
  }
  return found;
}

function stackOf(word: unknown): LabStack {
  const found = labStacks.find((one) => one === (word ?? 'dbackup'));
  if (found === undefined) {
    throw usage(`a lab knows no stack \`${String(word)}\``, { hint: `allowed: ${labStacks.join(', ')}` });
  }
  return found;
}

function sizeOf(text: string): number {
  const size = Number(text);
  if (Number.isInteger(size) && size >= 16 && size <= 1_048_576) return size;
  throw usage(`\`${text}\` is no size of a disk`, { hint: 'MiB, from 16 to 1048576' });
}

function linkOf(word: string | undefined): Link | undefined {
  if (word === undefined) return undefined;
  const found = links.find((one) => one === word);
  if (found === undefined) {
    throw usage(`a node has no link \`${word}\``, {
      hint: `allowed: ${links.join(', ')}; none for all of them`,
    });
  }
  return found;
}

function nodeNames(word: unknown): readonly string[] {
  const text = String(word ?? '2');
  if (!/^\d+$/.test(text)) return text.split(',');
  const count = Number(text);
  if (count < 1 || count > 9) throw usage(`a lab has 1 to 9 nodes, not ${text}`);
  return Array.from({ length: count }, (_, i) => `dbk${i + 1}`);
}

function statusOf(lab: Lab): Record<string, unknown> {
  const nodes = lab.nodes.map(({ pid, ...node }) => ({ ...node, isOn: pid !== undefined, pid: pid ?? null }));
  return { name: lab.name, database: lab.database, inventory: lab.inventory, nodes };
}

function statusText(lab: Lab): string {
  const lines = lab.nodes.map((node) => {
    const cuts = node.cuts.length > 0 ? `  cut: ${node.cuts.join(', ')}` : '';
    return `  ${node.name}  ${node.pid === undefined ? 'off' : 'on '}  ${node.address}${cuts}\n`;
  });
  return `${lab.name} (${lab.database})  ${lab.inventory}\n${lines.join('')}`;
}

function interactive(file: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 255));
  });
}
