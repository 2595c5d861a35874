import { placeText } from '../core/place.ts';
import type { Redactor } from '../core/secret.ts';
import { settingPlace } from '../parse/inventory.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Item, Playbook } from '../parse/playbook.ts';
import { selectHosts } from '../plan/hosts.ts';
import { isSecretInput } from '../plan/inputs.ts';
import { clusterOf } from '../run/scope.ts';

/** One place that sets a variable. */
export interface Setting {
  /** `group backup`, `play Standby first`, `task Packages`, … */
  readonly layer: string;
  readonly place: string | undefined;
  readonly value: unknown;
  /** Holds for the whole of every step; a task's own does so only there. */
  readonly isGeneral: boolean;
}

function* inItems(name: string, items: readonly Item[]): Generator<Setting> {
  for (const item of items) {
    const {
      vars = {},
      name: title,
      register,
    } = item.keywords as { register?: string } & typeof item.keywords;
    const layer = `${item.kind} ${title ?? (item.kind === 'task' ? item.module : '')}`.trim();
    const place = placeText(item.at);
    if (Object.hasOwn(vars, name)) yield { layer, place, value: vars[name], isGeneral: false };
    if (register === name)
      yield { layer: `register of ${layer}`, place, value: 'its result', isGeneral: false };
    if (item.kind === 'block') {
      for (const part of [item.block, item.rescue, item.always]) yield* inItems(name, part);
    } else if (item.module === 'set' && item.params !== null && typeof item.params === 'object') {
      const set = item.params as Readonly<Record<string, unknown>>;
      if (Object.hasOwn(set, name))
        yield { layer: `set by ${layer}`, place, value: set[name], isGeneral: false };
    }
  }
}

function* inPlaybook(
  name: string,
  host: string,
  playbook: Playbook,
  inventory: Inventory,
): Generator<Setting> {
  for (const { name: file, values } of playbook.varsFiles) {
    if (values && Object.hasOwn(values, name))
      yield { layer: `vars_files ${file}`, place: undefined, value: values[name], isGeneral: true };
  }
  if (Object.hasOwn(playbook.own, name)) {
    const place = placeText(playbook.source.placeOf(['vars', name]));
    yield { layer: 'playbook', place, value: playbook.own[name], isGeneral: true };
  }
  for (const { keywords, source, path, tasks, handlers } of playbook.plays) {
    const isHere = keywords.hosts.includes('{{') || selectHosts(keywords.hosts, inventory).includes(host);
    if (!isHere) continue;
    const title = keywords.name ?? keywords.hosts;
    if (Object.hasOwn(keywords.vars ?? {}, name)) {
      const place = placeText(source.placeOf([...path, 'vars', name]));
      yield { layer: `play ${title}`, place, value: keywords.vars?.[name], isGeneral: false };
    }
    yield* inItems(name, [...tasks, ...handlers]);
  }
}

function inInventory(name: string, host: string, inventory: Inventory): Setting[] {
  return (inventory.settings.get(host)?.get(name) ?? []).map((setting) => {
    const { layer, value } = setting;
    return { layer, place: placeText(settingPlace(setting, name)), value, isGeneral: true };
  });
}

/** Settings of the host's cluster, and what is known of it beside them. */
function inCluster(rest: readonly string[], host: string, inventory: Inventory): Setting[] {
  const cluster = clusterOf(inventory, host);
  if (!cluster) return [];
  const layer = `cluster ${cluster.name}`;
  const written = inventory.clusterPlaces.get(cluster.name);
  const placeOf = (path: readonly string[]): string | undefined =>
    written && placeText(written.source.placeOf([...written.path, ...path]));
  const [part = ''] = rest;
  if (part === 'primary' || part === 'standby')
    return [
      { layer: 'found on the nodes when a run starts', place: undefined, value: null, isGeneral: true },
    ];
  const { name, stack, nodes, settings } = cluster;
  const value = { name, stack, nodes, settings }[part];
  return value === undefined ? [] : [{ layer, place: placeOf(rest), value, isGeneral: true }];
}

/** The default of an input, and what -e gives it. */
function inInputs(name: string, { inputs, source }: Playbook, redactor: Redactor): Setting[] {
  const input = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
  if (!input) return [];
  const place = placeText(source.placeOf(['inputs', name]));
  if (isSecretInput(input)) redactor.addDeep(input.default);
  if (input.default === undefined)
    return [{ layer: `input ${name}, given with -e or asked for`, place, value: null, isGeneral: true }];
  return [{ layer: `default of input ${name}`, place, value: input.default, isGeneral: true }];
}

const within = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (at, key) =>
      at !== null && typeof at === 'object' && Object.hasOwn(at, key)
        ? (at as Record<string, unknown>)[key]
        : undefined,
    value,
  );

/** What was asked about: `name`, or a path into its value such as `cluster.settings.database.name`. */
export interface Asked {
  readonly name: string;
  readonly host: string;
  readonly inventory: Inventory;
  readonly playbook: Playbook | undefined;
  readonly redactor: Redactor;
  /** Settings of the host's cluster with the defaults of its stack. */
  readonly inForce: unknown;
}

/** Every place that sets it for the host, weakest first; of a path the ones whose value has it. */
export function settingsOfName({
  name,
  host,
  inventory,
  playbook,
  redactor,
  inForce,
}: Asked): readonly Setting[] {
  const [root = '', ...rest] = name.split('.');
  if (root === 'cluster') {
    const [part = '', ...path] = rest;
    const byDefault = part === 'settings' ? within(inForce, path) : undefined;
    const written = inCluster([part], host, inventory).flatMap((setting) => {
      const value = within(setting.value, path);
      const place =
        rest.length > 1 ? (inCluster(rest, host, inventory)[0]?.place ?? setting.place) : setting.place;
      return value === undefined ? [] : [{ ...setting, value, place }];
    });
    if (written.length > 0 || byDefault === undefined) return written;
    return [{ layer: 'default of the stack', place: undefined, value: byDefault, isGeneral: true }];
  }
  const found =
    root === 'inputs'
      ? playbook
        ? inInputs(rest[0] ?? '', playbook, redactor)
        : []
      : [
          ...inInventory(root, host, inventory),
          ...(playbook ? inPlaybook(root, host, playbook, inventory) : []),
        ];
  const path = root === 'inputs' ? rest.slice(1) : rest;
  return found.flatMap((setting) => {
    const value = within(setting.value, path);
    return value === undefined ? [] : [{ ...setting, value }];
  });
}

/** Names that something sets, for the nearest right word. */
export const namesKnown = ({ host, inventory, playbook }: Asked): readonly string[] => {
  const settings = Object.keys(clusterOf(inventory, host)?.settings ?? {});
  return [
    ...(inventory.settings.get(host)?.keys() ?? []),
    ...Object.keys(playbook?.vars ?? {}),
    ...Object.keys(playbook?.inputs ?? {}).map((input) => `inputs.${input}`),
    ...settings.map((setting) => `cluster.settings.${setting}`),
  ];
};
