import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { zDuration } from '../core/duration.ts';
import { Problems } from '../core/error.ts';
import type { DrillbookError } from '../core/error.ts';
import type { Become, Cluster, Connection, Host } from '../core/host.ts';
import { suggest } from '../core/nearest.ts';
import { becomeSchema } from './become.ts';
import { vars } from './playbook-schema.ts';
import { schemaProblems } from './schema.ts';
import { loadYaml } from './yaml.ts';
import type { Loading, Path, Source } from './yaml.ts';

const connectionSchema = z.strictObject({
  transport: z.enum(['ssh', 'local']).optional(),
  address: z
    .string()
    .optional()
    .describe('IP address or name; from ssh_config or the host’s name when left out'),
  port: z.number().int().min(1).max(65535).optional(),
  user: z.string().optional(),
  password: z.string().optional(),
  identity_file: z.string().optional().describe('Private key on the jump host'),
  passphrase: z.string().optional(),
  known_hosts: z.string().optional(),
  ssh_config: z.string().optional(),
  proxy_jump: z.string().optional(),
  connect_timeout: zDuration.optional(),
  reconnect_timeout: zDuration
    .optional()
    .describe('How long a run waits for a host that was reached before and is away (default 5m)'),
});

const layerKeys = {
  vars: vars.optional(),
  connection: connectionSchema.optional(),
  become: becomeSchema.optional(),
};
const hostSchema = z.strictObject(layerKeys);
const groupSchema = z.strictObject({
  hosts: z.array(z.string()).optional(),
  groups: z.array(z.string()).optional().describe('Groups whose hosts belong to this one too'),
  ...layerKeys,
});
const clusterSchema = z.strictObject({
  stack: z.string(),
  nodes: z.array(z.string()).min(2),
  settings: vars.optional(),
});

export const inventorySchema = z.strictObject({
  ...layerKeys,
  hosts: z.record(z.string(), hostSchema.nullable()),
  groups: z.record(z.string(), groupSchema).optional(),
  clusters: z.record(z.string(), clusterSchema).optional(),
});

type ConnectionText = z.output<typeof connectionSchema>;
type Groups = Readonly<Record<string, z.output<typeof groupSchema>>>;
type Layer = Pick<z.output<typeof groupSchema>, 'vars' | 'connection' | 'become'>;

/** Where a variable of a host was set, for `explain-var`; the last one wins. */
export interface Setting {
  readonly layer: string;
  readonly value: unknown;
}

export interface Inventory {
  readonly file: string;
  readonly source: Source;
  /** In the order of the file. */
  readonly hosts: ReadonlyMap<string, Host>;
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** All settings of a host's variables, weakest first. */
  readonly settings: ReadonlyMap<string, ReadonlyMap<string, readonly Setting[]>>;
}

function localPath(text: string, base: string): string {
  return text.startsWith('~/') ? resolve(homedir(), text.slice(2)) : resolve(dirname(base), text);
}

function connectionOf(layers: readonly Layer[], file: string): Connection {
  const merged: ConnectionText = Object.assign({}, ...layers.map((layer) => layer.connection ?? {}));
  const path = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : localPath(text, file);
  return {
    transport: merged.transport ?? 'ssh',
    address: merged.address,
    port: merged.port,
    user: merged.user,
    password: merged.password,
    identityFile: path(merged.identity_file),
    passphrase: merged.passphrase,
    knownHosts: path(merged.known_hosts),
    sshConfig: path(merged.ssh_config),
    proxyJump: merged.proxy_jump,
    connectTimeoutMs: merged.connect_timeout,
    reconnectTimeoutMs: merged.reconnect_timeout,
  };
}

function becomeOf(layers: readonly Layer[]): Become | undefined {
  const all = layers.flatMap(({ become }) => become ?? []);
  const base: Become = { user: 'root', method: 'sudo' };
  return all.length === 0 ? undefined : (Object.assign({ ...base }, ...all) as Become);
}

/** The group's hosts with those of the groups in it, each once, in the order of the inventory. */
function members(name: string, groups: Groups, seen: ReadonlySet<string>): string[] {
  const group = groups[name];
  if (!group || seen.has(name)) return [];
  const below = new Set([...seen, name]);
  return [...(group.hosts ?? []), ...(group.groups ?? []).flatMap((inner) => members(inner, groups, below))];
}

/** True when `wanted` is among the groups inside `name`, however deep. */
function isInside(wanted: string, name: string, groups: Groups, seen: Set<string>): boolean {
  if (seen.has(name)) return false;
  seen.add(name);
  const inner = groups[name]?.groups ?? [];
  return inner.includes(wanted) || inner.some((group) => isInside(wanted, group, groups, seen));
}

/** How many groups are around one, at most. */
function depthOf(name: string, groups: Groups): number {
  const outer = Object.keys(groups).filter((group) => groups[group]?.groups?.includes(name));
  return Math.max(0, ...outer.map((group) => depthOf(group, groups) + 1));
}

type Raw = z.output<typeof inventorySchema>;

/** Hosts and groups that are named and not there, groups that contain themselves, nodes of two clusters. */
function problemsOf({ hosts, groups = {}, clusters = {} }: Raw, source: Source): DrillbookError[] {
  const problems: DrillbookError[] = [];
  const wrong = (path: Path, message: string, hint?: string): void =>
    void problems.push(source.error('parse.inventory', path, message, hint));
  const names = Object.keys(hosts);
  const known = (name: string, path: Path, allowed: readonly string[], what: string): void => {
    if (!allowed.includes(name)) wrong(path, `\`${name}\`: unknown ${what}`, suggest(name, allowed));
  };
  for (const [group, { hosts: own = [], groups: inner = [] }] of Object.entries(groups)) {
    const path = ['groups', group];
    for (const [i, host] of own.entries()) known(host, [...path, 'hosts', i], names, 'host');
    for (const [i, name] of inner.entries())
      known(name, [...path, 'groups', i], Object.keys(groups), 'group');
    if (isInside(group, group, groups, new Set()))
      wrong([...path, 'groups'], `group \`${group}\` contains itself`);
    if (names.includes(group)) wrong(path, `\`${group}\` is a host and a group`);
  }
  const owner = new Map<string, string>();
  for (const [cluster, { nodes }] of Object.entries(clusters)) {
    for (const [i, node] of nodes.entries()) {
      const path = ['clusters', cluster, 'nodes', i];
      known(node, path, names, 'host');
      const other = owner.get(node);
      if (other !== undefined) wrong(path, `\`${node}\` is a node of \`${other}\` already`);
      owner.set(node, cluster);
    }
  }
  return problems;
}

/** Every setting of each variable, in the order of the layers. */
function settingsOf(layers: readonly (readonly [string, Layer])[]): Map<string, Setting[]> {
  const settings = new Map<string, Setting[]>();
  for (const [layer, { vars: values = {} }] of layers)
    for (const [key, value] of Object.entries(values))
      settings.set(key, [...(settings.get(key) ?? []), { layer, value }]);
  return settings;
}

/** Reads an inventory; throws `Problems` with everything that is wrong in it. */
export function loadInventory(file: string, loading: Loading = {}): Inventory {
  const path = resolve(file);
  const source = loadYaml(path, 'inventory', undefined, loading);
  const parsed = inventorySchema.safeParse(source.value);
  if (!parsed.success) throw new Problems(schemaProblems(parsed.error, source, [], inventorySchema));
  const problems = problemsOf(parsed.data, source);
  if (problems.length > 0) throw new Problems(problems);

  const { hosts: rawHosts, groups: rawGroups = {}, clusters: rawClusters = {}, ...all } = parsed.data;
  const names = Object.keys(rawHosts);
  const groups = new Map(
    Object.keys(rawGroups).map((name) => {
      const inside = new Set(members(name, rawGroups, new Set()));
      return [name, names.filter((host) => inside.has(host))] as const;
    }),
  );
  const hosts = new Map<string, Host>();
  const settings = new Map<string, ReadonlyMap<string, readonly Setting[]>>();
  for (const name of names) {
    const own = [...groups].filter(([, inside]) => inside.includes(name)).map(([group]) => group);
    // Outer groups first, so that a group inside another wins over it, as in Ansible; then the larger ones.
    const size = (group: string): number => groups.get(group)?.length ?? 0;
    const sorted = own.toSorted((a, b) => depthOf(a, rawGroups) - depthOf(b, rawGroups) || size(b) - size(a));
    const layers: [string, Layer][] = [
      ['inventory', all],
      ...sorted.map((group): [string, Layer] => [`group ${group}`, rawGroups[group] ?? {}]),
      [`host ${name}`, rawHosts[name] ?? {}],
    ];
    const set = settingsOf(layers);
    const plainLayers = layers.map(([, layer]) => layer);
    settings.set(name, set);
    hosts.set(name, {
      name,
      groups: sorted,
      vars: Object.fromEntries([...set].map(([key, list]) => [key, list.at(-1)?.value])),
      connection: connectionOf(plainLayers, path),
      become: becomeOf(plainLayers),
    });
  }
  const clusters = new Map(
    Object.entries(rawClusters).map(([name, { stack, nodes, settings: own = {} }]): [string, Cluster] => [
      name,
      { name, stack, nodes, settings: own },
    ]),
  );
  return { file: path, source, hosts, groups, clusters, settings };
}
