import { z } from 'zod';
import { query } from '../core/module.ts';

const params = z.strictObject({
  that: z
    .union([z.string(), z.array(z.string()).min(1)])
    .meta({ cel: true })
    .describe('CEL condition, or a list of such; all must be true.'),
  fail_msg: z.string().optional().describe('What to say where one is not true.'),
  success_msg: z.string().optional().describe('What to say where all are true.'),
});

export default query({
  summary: 'Stops the host where a condition does not hold.',
  source: 'docs/language.md (Values and conditions)',
  params,
  shorthand: 'that',
  examples: `
- assert: 'facts.memory_bytes >= 4 * 1024 * 1024 * 1024'
- assert:
    that: ['cluster.primary != ""', 'vips.size() > 0']
    fail_msg: The pair has no primary; run failback first.
`,
  returns: {
    msg: z.string().describe('`success_msg` or `fail_msg`'),
    evaluated: z.array(z.string()).describe('the conditions that were true'),
    assertion: z.string().optional().describe('the condition that was not'),
  },
  async read(ctx, given) {
    const all = typeof given.that === 'string' ? [given.that] : given.that;
    for (const [i, text] of all.entries()) {
      const value = ctx.evaluate(text);
      if (value === true) continue;
      const is = value === false ? 'is false' : `is ${JSON.stringify(value)}, not true or false`;
      const failed =
        given.fail_msg === undefined ? `\`${text}\` ${is}` : `${given.fail_msg} (\`${text}\` ${is})`;
      return {
        result: { msg: given.fail_msg ?? failed, evaluated: all.slice(0, i), assertion: text },
        failed,
      };
    }
    return { result: { msg: given.success_msg ?? 'all conditions hold', evaluated: all } };
  },
});
