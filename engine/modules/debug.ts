import { z } from 'zod';
import { query } from '../core/module.ts';

const params = z
  .strictObject({
    msg: z.unknown().optional().describe('What to show: text, or any value.'),
    var: z
      .string()
      .min(1)
      .meta({ cel: true, isValue: true })
      .optional()
      .describe('CEL expression whose value to show.'),
  })
  .refine((given) => given.msg === undefined || given.var === undefined, {
    error: 'give `msg` or `var`, not both',
  });

export default query({
  summary: 'Shows a text or the value of an expression.',
  source: 'docs/language.md (Three kinds of module)',
  params,
  shorthand: 'msg',
  examples: `
- debug: 'The primary is {{cluster.primary}}.'
- debug: { var: 'facts.interfaces.map(i, i.name)' }
`,
  returns: {
    msg: z.unknown().describe('what was shown'),
    value: z.unknown().optional().describe('the value of `var`'),
  },
  async read(ctx, given) {
    if (given.var === undefined) return { result: { msg: given.msg ?? 'Hello world!' } };
    const value = ctx.evaluate(given.var);
    return { result: { msg: `${given.var} = ${JSON.stringify(value)}`, value } };
  },
});
