import { resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import type { Cluster, Host } from '../core/host.ts';
import type { Place } from '../core/place.ts';
import { isAnsibleYaml } from './inventory/ansible-yaml.ts';
import { clustersOf } from './inventory/clusters.ts';
import type { ClusterDraft, Draft, Part, Placed } from './inventory/draft.ts';
import { newDraft } from './inventory/draft.ts';
import { reach } from './inventory/connection.ts';
import { orderOf } from './inventory/order.ts';
import type { Order } from './inventory/order.ts';
import { absoluteSpec, readSources } from './inventory/sources.ts';
import { varsFolders } from './inventory/vars-folders.ts';
import type { Loading } from './yaml.ts';

export { inventorySchema } from './inventory/schema.ts';
export { absoluteSpec };

/** Where a variable of a host was set, for `explain-var`; the last one wins. */
export interface Setting {
  /** `inventory`, `group NAME` or `host NAME`. */
  readonly layer: string;
  readonly value: unknown;
  /** The variables it stands among. */
  readonly placed: Placed;
}

export interface Inventory {
  /** What was given with -i, paths absolute, in one text: the same inventory is read from it again. */
  readonly spec: string;
  /** The first file of it; local paths are looked for from its folder. */
  readonly file: string;
  /** In the order of the inventory. */
  readonly hosts: ReadonlyMap<string, Host>;
  /** Without `all` and `ungrouped`. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** Where each cluster stands; of Ansible’s inventories, among the variables of its group. */
  readonly clusterPlaces: ReadonlyMap<string, ClusterDraft>;
  /** All settings of a host's variables, weakest first. */
  readonly settings: ReadonlyMap<string, ReadonlyMap<string, readonly Setting[]>>;
  /** Every mapping of variables in it, for checks. */
  readonly vars: readonly Placed[];
}

type Layers = readonly (readonly [string, readonly Part[]])[];

/** Every setting of each variable, in the order of the layers. */
function settingsOf(layers: Layers): Map<string, Setting[]> {
  const settings = new Map<string, Setting[]>();
  for (const [layer, parts] of layers)
    for (const { vars: placed } of parts)
      for (const [key, value] of placed ? Object.entries(placed.values) : []) {
        const list = settings.get(key) ?? [];
        list.push({ layer, value, placed: placed as Placed });
        settings.set(key, list);
      }
  return settings;
}

/** Where a setting stands. */
export const settingPlace = ({ placed }: Setting, name: string): Place =>
  placed.source.placeOf([...placed.path, name]);

/** Everything that is said of each host, weakest first, in Ansible's order. */
function layersOf(
  draft: Draft,
  order: Order,
  folders: ReturnType<typeof varsFolders>,
): (host: string) => Layers {
  const inline = (name: string): readonly Part[] => draft.groups.get(name)?.parts ?? [];
  const inFolders = new Map<string, readonly Part[]>();
  const inFolder = (name: string): readonly Part[] => {
    const parts = inFolders.get(name) ?? folders('group', name);
    inFolders.set(name, parts);
    return parts;
  };
  return (host) => {
    const groups = order.groupsOf(host);
    return [
      ['inventory', inline('all')],
      ...groups.map((name) => [`group ${name}`, inline(name)] as const),
      ['inventory', inFolder('all')],
      ...groups.map((name) => [`group ${name}`, inFolder(name)] as const),
      [`host ${host}`, [...(draft.hosts.get(host) ?? []), ...folders('host', host)]],
    ];
  };
}

export interface InventoryLoading extends Loading {
  /** The folder of the playbook: variables are looked for there too. */
  readonly playbookFolder?: string | undefined;
  /** It may be one to be read beside another that has the hosts. */
  readonly mayLackHosts?: boolean | undefined;
}

/** True for what a YAML file holds that is an inventory, drillbook's own or Ansible's. */
export const isInventory = (value: object): boolean =>
  Object.keys(value).some((key) => ['hosts', 'groups', 'clusters'].includes(key)) || isAnsibleYaml(value);

/** Reads an inventory, whatever it is made of; throws `Problems` with everything that is wrong in it. */
export function loadInventory(given: string, loading: InventoryLoading = {}): Inventory {
  const draft = newDraft();
  const spec = absoluteSpec([given]);
  const { files, folders } = readSources(draft, spec, loading);
  const file = files[0] ?? resolve(spec);
  if (draft.hosts.size > 0 || loading.mayLackHosts !== true) for (const check of draft.checks) check();
  if (draft.problems.length > 0) throw new Problems(draft.problems);
  if (draft.hosts.size === 0 && loading.mayLackHosts !== true)
    throw new DrillbookError('parse.inventory', `${spec} has no host`, {
      at: { file, line: 1, column: 1 },
      hint: 'hosts stand under `hosts:`, in Ansible’s YAML under `all:`, in INI one a line',
    });

  const order = orderOf(draft);
  const all = loading.playbookFolder === undefined ? folders : [...folders, loading.playbookFolder];
  const inFolders = varsFolders([...new Set(all)], loading);
  const layers = layersOf(draft, order, inFolders);
  const hosts = new Map<string, Host>();
  const settings = new Map<string, ReadonlyMap<string, readonly Setting[]>>();
  const placed = new Set<Placed>();
  for (const parts of [...draft.groups.values()].map((group) => group.parts))
    for (const { vars } of parts) if (vars) placed.add(vars);
  for (const name of order.hostsOf('all')) {
    const own = layers(name);
    const set = settingsOf(own);
    const parts = own.flatMap(([, list]) => list);
    for (const { vars } of parts) if (vars) placed.add(vars);
    const vars = Object.fromEntries([...set].map(([key, list]) => [key, list.at(-1)?.value]));
    const fault = (key: string, message: string, hint?: string): void => {
      const from = set.get(key)?.at(-1)?.placed;
      const path = [...(from?.path ?? []), key];
      if (from) draft.problems.push(from.source.error('parse.inventory', path, message, hint));
    };
    settings.set(name, set);
    hosts.set(name, {
      name,
      groups: order.groupsOf(name).filter((group) => group !== 'ungrouped'),
      vars,
      ...reach(name, parts, vars, file, fault),
    });
  }
  const clusterPlaces = clustersOf(draft, order, (group) => inFolders('group', group));
  if (draft.problems.length > 0) throw new Problems(draft.problems);
  return {
    spec,
    file,
    hosts,
    groups: new Map(
      [...draft.groups.keys()]
        .filter((name) => name !== 'all' && name !== 'ungrouped')
        .map((name) => [name, order.hostsOf(name)]),
    ),
    clusters: new Map(
      [...clusterPlaces].map(([name, { stack, nodes, settings: own }]): [string, Cluster] => [
        name,
        { name, stack: String(stack), nodes, settings: own },
      ]),
    ),
    clusterPlaces,
    settings,
    vars: [...placed],
  };
}
