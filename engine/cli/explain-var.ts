import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { moduleNames } from '../modules/registry.ts';
import { loadInventory, settingPlace } from '../parse/inventory.ts';
import type { Inventory } from '../parse/inventory.ts';
import { loadPlaybook } from '../parse/playbook.ts';
import type { Item, Playbook } from '../parse/playbook.ts';
import { placeText } from '../core/place.ts';
import { selectHosts } from '../plan/hosts.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';

interface Setting {
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

export default command({
  summary: 'every place that sets a variable for a host, weakest first, and which one wins',
  usage: 'NAME -i INVENTORY --host HOST [PLAYBOOK]',
  options: {
    inventory: { type: 'string', short: 'i', multiple: true },
    host: { type: 'string' },
    ...KEY_OPTIONS,
  },
  help: { inventory: 'hosts, groups and clusters', host: 'whose variable', ...KEY_HELP },
  async run({ positionals, options, output, redactor }) {
    const [name, book] = positionals;
    const { inventory: file, host } = options;
    if (name === undefined || typeof file !== 'string' || typeof host !== 'string') {
      throw new DrillbookError('usage.explain', 'a variable, an inventory and a host are wanted', {
        hint: 'drillbook explain-var NAME -i INVENTORY --host HOST [PLAYBOOK]',
      });
    }
    const keys = keysOf({ options }, redactor);
    const inventory = await withKeys(keys, () => loadInventory(file, keys.loading));
    if (!inventory.hosts.has(host)) {
      const hint = suggest(host, inventory.hosts.keys());
      throw new DrillbookError('usage.host', `no host \`${host}\` in this inventory`, { hint });
    }
    const playbook =
      book === undefined
        ? undefined
        : await withKeys(keys, () => loadPlaybook(book, { modules: moduleNames(), ...keys.loading }));
    const found = [
      ...inInventory(name, host, inventory),
      ...(playbook ? inPlaybook(name, host, playbook, inventory) : []),
    ];
    const winner = found.findLast(({ isGeneral }) => isGeneral);
    const rows = found.map((one) => ({ ...one, value: redactor.value(one.value), isWinner: one === winner }));
    if (output === 'json' || output === 'jsonl') {
      process.stdout.write(`${JSON.stringify({ name, host, settings: rows })}\n`);
      return found.length > 0 ? 0 : 1;
    }
    for (const { layer, place, value, isGeneral, isWinner } of rows) {
      const note = isWinner ? '  ← wins' : isGeneral ? '' : '  (from there on, over the others)';
      process.stdout.write(
        `${layer}: ${JSON.stringify(value)}${note}\n${place === undefined ? '' : `  ${place}\n`}`,
      );
    }
    if (found.length === 0) process.stderr.write(`nothing sets \`${name}\` for ${host}\n`);
    return found.length > 0 ? 0 : 1;
  },
});
