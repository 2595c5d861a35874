import { z } from 'zod';
import { query } from '../core/module.ts';

export default query({
  summary: 'Gives this host variables for the rest of the run.',
  source: 'docs/language.md (Three kinds of module)',
  params: z.looseObject({}).describe('Names and values of the variables.'),
  examples: `
- set: { recorded_primary: '{{cluster.primary}}', attempts: 3 }
`,
  returns: { set: z.record(z.string(), z.unknown()).describe('the variables: name → value') },
  read: async (_ctx, given) => ({ result: { set: given } }),
});
