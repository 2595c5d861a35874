import { z } from 'zod';
import { query } from '../core/module.ts';
import { parseFacts } from './_facts-parse.ts';
import { zFacts } from './_facts-shape.ts';
import { FACTS } from './_facts-script.ts';
import { must } from './_sh.ts';

const USUAL = ['os', 'hardware', 'network', 'mounts', 'time'] as const;
const SUBSETS = [...USUAL, 'block_devices', 'users', 'packages', 'services'] as const;

const params = z.strictObject({
  gather: z
    .array(z.enum(SUBSETS))
    .default([...USUAL])
    .describe(`What to read: ${SUBSETS.join(', ')} (default: ${USUAL.join(', ')}).`),
});

export default query({
  summary: 'Reads what a node is: system, hardware, network, mounts, time; all in one exchange.',
  source: 'proc(5), os-release(5), ip-address(8), df(1), lsblk(8)',
  params,
  shorthand: 'gather',
  examples: `
- facts:
- facts: { gather: [os, services] }
- name: The disk that holds the data
  facts: { gather: [block_devices] }
`,
  returns: { facts: zFacts },
  async read(ctx, given) {
    const said = await must(ctx, 'cannot read facts', FACTS, { args: given.gather });
    return { result: { facts: parseFacts(said) } };
  },
});
