import type { Pair } from '../_pair.ts';

export const blocks: readonly Pair[] = [
  {
    name: 'a failure takes its host out of the play, the other goes on',
    ours: `
- { name: one, shell: MARK one }
- { name: two, shell: 'MARK two; [ $NODE = b ]' }
- { name: three, shell: MARK three }
`,
  },
  {
    name: 'rescue runs where the block failed, and the host goes on',
    ours: `
- block:
    - { name: try, shell: 'MARK try; [ $NODE = b ]' }
    - { name: rest, shell: MARK rest }
  rescue:
    - { name: rescue, shell: MARK rescue }
  always:
    - { name: always, shell: MARK always }
- { name: after, shell: MARK after }
`,
  },
];
