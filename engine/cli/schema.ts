import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { command } from './_command.ts';
import { drillJsonSchema, inventoryJsonSchema, playbookJsonSchema } from './_schema.ts';

const SCHEMAS: Readonly<Record<string, () => object | Promise<object>>> = {
  playbook: playbookJsonSchema,
  inventory: inventoryJsonSchema,
  drill: drillJsonSchema,
};

export default command({
  summary: 'print the JSON Schema of playbooks, inventories or drills, for editors',
  usage: '[playbook|inventory|drill]',
  options: {},
  help: {},
  async run({ positionals: [name = 'playbook'] }) {
    const make = SCHEMAS[name];
    if (make === undefined) {
      throw new DrillbookError('usage.schema', `no schema \`${name}\``, {
        hint: suggest(name, Object.keys(SCHEMAS)),
      });
    }
    process.stdout.write(`${JSON.stringify(await make(), null, 2)}\n`);
    return 0;
  },
});
