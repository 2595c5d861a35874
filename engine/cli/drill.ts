import { DrillbookError } from '../core/error.ts';
import { command } from './_command.ts';
import { KEY_HELP, KEY_OPTIONS } from './_keys.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS } from './_passwords.ts';

export default command({
  summary: 'carry out a drill: a fault on purpose, and what it costs in time and rows',
  usage: 'FILE -i INVENTORY [--out PAGE]',
  options: {
    inventory: { type: 'string', short: 'i', multiple: true },
    cluster: { type: 'string' },
    out: { type: 'string', short: 'o' },
    yes: { type: 'string' },
    operator: { type: 'string' },
    ...PASSWORD_OPTIONS,
    ...KEY_OPTIONS,
  },
  help: {
    inventory: 'hosts, groups and clusters',
    cluster: 'which pair, where the inventory has several',
    out: 'write the report there too: .html, .json, .xml (JUnit) or .csv',
    yes: 'the code that confirms a drill outside a lab',
    operator: 'who carries it out, for the record',
    ...PASSWORD_HELP,
    ...KEY_HELP,
  },
  async run(invocation) {
    const [file, surplus] = invocation.positionals;
    const spec = invocation.options['inventory'];
    if (file === undefined) throw new DrillbookError('usage.drill', 'which drill?');
    if (surplus !== undefined)
      throw new DrillbookError('usage.drill', `one drill at a time; \`${surplus}\` is one too many`);
    if (typeof spec !== 'string')
      throw new DrillbookError('usage.inventory', 'which inventory?', { hint: 'give it with -i' });
    // What a drill needs is not loaded for its help.
    const { carryOut } = await import('./_drill.ts');
    return carryOut(invocation, file, spec);
  },
});
