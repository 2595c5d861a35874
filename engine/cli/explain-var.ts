import { DrillbookError } from '../core/error.ts';
import { nearest, suggest } from '../core/nearest.ts';
import { moduleNames } from '../modules/registry.ts';
import { loadInventory } from '../parse/inventory.ts';
import { loadPlaybook } from '../parse/playbook.ts';
import { clusterOf } from '../run/scope.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';
import { namesKnown, settingsOfName } from './_var-settings.ts';

export default command({
  summary: 'every place that sets a variable or setting for a host, weakest first, and which one wins',
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
    const cluster = clusterOf(inventory, host);
    const inForce = cluster && (await (await import('../cluster/stacks.ts')).settingsInForce(cluster));
    const asked = { name, host, inventory, playbook, redactor, inForce };
    const found = settingsOfName(asked);
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
    if (found.length === 0) {
      const near = nearest(name, namesKnown(asked));
      const hint = near === undefined ? '' : `; did you mean \`${near}\`?`;
      process.stderr.write(`nothing sets \`${name}\` for ${host}${hint}\n`);
    }
    return found.length > 0 ? 0 : 1;
  },
});
