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
import type { Path, Source } from './yaml.ts';

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
});

const settings = {
  vars: vars.optional(),
  connection: connectionSchema.optional(),
  become: becomeSchema.optional(),
};
const hostSchema = z.strictObject(settings);
const groupSchema = z.strictObject({
  hosts: z.array(z.string()).optional(),
  groups: z.array(z.string()).optional().describe('Groups whose hosts belong to this one too'),
  ...settings,
});
const clusterSchema = z.strictObject({
  stack: z.string(),
  nodes: z.array(z.string()).min(2),
  settings: vars.optional(),
});

export const inventorySchema = z.strictObject({
  ...settings,
  hosts: z.record(z.string(), hostSchema.nullable()),
  groups: z.record(z.string(), groupSchema).optional(),
  clusters: z.record(z.string(), clusterSchema).optional(),
});

type ConnectionText = z.output<typeof connectionSchema>;
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
  };
}

function becomeOf(layers: readonly Layer[]): Become | undefined {
  const all = layers.flatMap(({ become }) => become ?? []);
  const base: Become = { user: 'root', method: 'sudo' };
  return all.length === 0 ? undefined : (Object.assign({ ...base }, ...all) as Become);
}

/** The group's hosts with those of the groups in it, each once, in the order of the inventory. */
function members(
  name: string,
  groups: Readonly<Record<string, z.output<typeof groupSchema>>>,
  seen: ReadonlySet<string>,
): string[] {
  const group = groups[name];
  if (!group || seen.has(name)) return [];
  const below = new Set([...seen, name]);
  return [...(group.hosts ?? []), ...(group.groups ?? []).flatMap((inner) => members(inner, groups, below))];
}

/** True when `wanted` is among the groups inside `name`, however deep. */
function isInside(
  wanted: string,
  name: string,
  groups: Readonly<Record<string, z.output<typeof groupSchema>>>,
  seen: Set<string>,
): boolean {
  if (seen.has(name)) return false;
  seen.add(name);
  const inner = groups[name]?.groups ?? [];
  return inner.includes(wanted) || inner.some((group) => isInside(wanted, group, groups, seen));
}

/** Reads an inventory; throws `Problems` with everything that is wrong in it. */
export function loadInventory(file: string, onSecret?: (value: string) => void): Inventory {
  const path = resolve(file);
  const source = loadYaml(path, 'inventory', undefined, onSecret);
  const parsed = inventorySchema.safeParse(source.value);
  if (!parsed.success) throw new Problems(schemaProblems(parsed.error, source, [], inventorySchema));
  const { hosts: rawHosts, groups: rawGroups = {}, clusters: rawClusters = {}, ...all } = parsed.data;
  const names = Object.keys(rawHosts);
  const problems: DrillbookError[] = [];
  const known = (name: string, where: Path, allowed: readonly string[], what: string): void => {
    if (!allowed.includes(name))
      problems.push(
        source.error('parse.inventory', where, `\`${name}\`: unknown ${what}`, suggest(name, allowed)),
      );
  };
  for (const [group, { hosts = [], groups = [] }] of Object.entries(rawGroups)) {
    for (const [i, host] of hosts.entries()) known(host, ['groups', group, 'hosts', i], names, 'host');
    for (const [i, inner] of groups.entries())
      known(inner, ['groups', group, 'groups', i], Object.keys(rawGroups), 'group');
    if (isInside(group, group, rawGroups, new Set()))
      problems.push(
        source.error('parse.inventory', ['groups', group, 'groups'], `group \`${group}\` contains itself`),
      );
    if (names.includes(group))
      problems.push(source.error('parse.inventory', ['groups', group], `\`${group}\` is a host and a group`));
  }
  const owner = new Map<string, string>();
  for (const [cluster, { nodes }] of Object.entries(rawClusters)) {
    for (const [i, node] of nodes.entries()) {
      known(node, ['clusters', cluster, 'nodes', i], names, 'host');
      const other = owner.get(node);
      if (other !== undefined)
        problems.push(
          source.error(
            'parse.inventory',
            ['clusters', cluster, 'nodes', i],
            `\`${node}\` is a node of \`${other}\` already`,
          ),
        );
      owner.set(node, cluster);
    }
  }
  if (problems.length > 0) throw new Problems(problems);

  const groups = new Map(
    Object.keys(rawGroups).map((name) => {
      const inside = new Set(members(name, rawGroups, new Set()));
      return [name, names.filter((host) => inside.has(host))] as const;
    }),
  );
  const hosts = new Map<string, Host>();
  const explained = new Map<string, ReadonlyMap<string, readonly Setting[]>>();
  for (const name of names) {
    const own = [...groups].filter(([, inside]) => inside.includes(name)).map(([group]) => group);
    // Outer groups first, so that a group inside another wins over it, as in Ansible.
    const sorted = own.toSorted((a, b) => (groups.get(b)?.length ?? 0) - (groups.get(a)?.length ?? 0));
    const layers: [string, Layer][] = [
      ['inventory', all],
      ...sorted.map((group): [string, Layer] => [`group ${group}`, rawGroups[group] ?? {}]),
      [`host ${name}`, rawHosts[name] ?? {}],
    ];
    const settingsOf = new Map<string, Setting[]>();
    for (const [layer, { vars: values = {} }] of layers) {
      for (const [key, value] of Object.entries(values)) {
        settingsOf.set(key, [...(settingsOf.get(key) ?? []), { layer, value }]);
      }
    }
    explained.set(name, settingsOf);
    const plainLayers = layers.map(([, layer]) => layer);
    hosts.set(name, {
      name,
      groups: sorted,
      vars: Object.fromEntries([...settingsOf].map(([key, list]) => [key, list.at(-1)?.value])),
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
  return { file: path, source, hosts, groups, clusters, settings: explained };
}
