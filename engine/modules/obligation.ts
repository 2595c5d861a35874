import { z } from 'zod';
import { action } from '../core/module.ts';

const params = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]*$/, 'small letters, digits and hyphens')
      .describe('What it is called: the ledger has it as NAME@HOST, or NAME@CLUSTER'),
    state: z
      .enum(['open', 'closed'])
      .default('open')
      .describe('`open`: still to be put right; `closed`: put right'),
    message: z
      .string()
      .min(1)
      .optional()
      .describe('What is to be put right, for the operator; of an open one'),
    of: z.enum(['host', 'cluster']).default('host').describe('Whose it is'),
  })
  .refine(({ state, message }) => state === 'closed' || message !== undefined, {
    error: 'an open one has a `message`',
    path: ['message'],
  });

export default action({
  summary: 'Notes that something could not be done and has to be, or that it has been; the host is not asked',
  source: 'docs/language.md (What is put back)',
  params,
  examples: `
- name: What could not be done here is not forgotten
  obligation: { name: not-recovered, message: '{{host.name}} was away, so that nothing was put in order there' }
- obligation: { name: not-recovered, state: closed }
`,
  returns: { state: z.enum(['open', 'closed']).describe('open or closed') },
  obligation: ({ name, state, message = '', of }) =>
    state === 'closed' ? { scope: of, closes: name } : { scope: of, opens: name, message },
  isResumable: true,
  run: (_ctx, { state }) => Promise.resolve({ result: { state } }),
});
