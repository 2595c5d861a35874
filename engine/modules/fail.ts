import { z } from 'zod';
import { query } from '../core/module.ts';

const params = z.strictObject({
  msg: z.string().default('stopped by the playbook').describe('Why it ends here.'),
});

export default query({
  summary: 'Fails: where a block cannot go on, or a rescue is not to forgive.',
  source: 'docs/language.md (Three kinds of module)',
  params,
  shorthand: 'msg',
  examples: `
- fail: 'The pair is half upgraded; {{host.name}} was not touched.'
`,
  returns: { msg: z.string().describe('why it ends here') },
  read: (_ctx, { msg }) => Promise.resolve({ result: { msg }, failed: msg }),
});
