import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { durationText, zDuration } from '../core/duration.ts';
import { query } from '../core/module.ts';

const params = z.strictObject({
  for: zDuration.describe('How long, as 30s or 5m.'),
});

export default query({
  summary: 'Waits a given time. What can be looked at is better waited for with wait_for.',
  source: 'docs/language.md (Three kinds of module)',
  params,
  shorthand: 'for',
  examples: `
- pause: 30s
- name: The replica settles
  pause: { for: 2m }
`,
  returns: { waited: z.number().describe('seconds, of the whole pause') },
  inHaste: (given) => ({ ...given, for: 0 }),
  async read(ctx, given) {
    // Taken up again it ends when it was to end.
    const end = await ctx.keep('end', () => Promise.resolve(Date.now() + given.for));
    const left = Math.max(0, end - Date.now());
    if (left > 1000) ctx.progress(`waiting ${durationText(left)}`);
    await sleep(left, undefined, { signal: ctx.signal });
    return { result: { waited: given.for / 1000 } };
  },
});
