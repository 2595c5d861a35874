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
  {
    name: 'rescue in rescue, and a rescue that fails itself',
    ours: `
- block:
    - block:
        - { name: try, shell: MARK try; false }
      rescue:
        - block:
            - { name: again, shell: 'MARK again; [ $NODE = b ]' }
          rescue:
            - { name: inner, shell: MARK inner; false }
          always:
            - { name: inner always, shell: MARK inner-always }
        - { name: rest of rescue, shell: MARK rest }
      always:
        - { name: middle always, shell: MARK middle-always }
  rescue:
    - { name: outer, shell: MARK outer }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'blocks in blocks hand a failure outwards until one rescues it',
    ours: `
- block:
    - block:
        - block:
            - { name: try, shell: 'MARK try; [ $NODE = b ]' }
          always:
            - { name: first always, shell: MARK first }
        - { name: not on a, shell: MARK not-on-a }
      always:
        - { name: second always, shell: MARK second }
  rescue:
    - { name: rescue, shell: MARK rescue }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'always runs after a rescue that failed, and the host is out',
    ours: `
- block:
    - { name: try, shell: MARK try; false }
  rescue:
    - { name: rescue, shell: 'MARK rescue; [ $NODE = b ]' }
    - { name: rest of rescue, shell: MARK rest }
  always:
    - { name: always, shell: MARK always }
    - { name: more, shell: MARK more }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'always without rescue runs after a failure, which stays one',
    ours: `
- block:
    - { name: try, shell: 'MARK try; [ $NODE = b ]' }
  always:
    - { name: always, shell: MARK always }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'always that fails takes the host out, also after a rescue',
    ours: `
- block:
    - { name: try, shell: MARK try; false }
  rescue:
    - { name: rescue, shell: MARK rescue }
  always:
    - { name: always, shell: 'MARK always; [ $NODE = b ]' }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'a condition of a block is that of each task in it, rescue and always too',
    ours: `
- name: Block
  when: host.name == 'b'
  block:
    - { name: try, shell: MARK try; false }
  rescue:
    - { name: rescue, shell: MARK rescue }
  always:
    - { name: always, shell: MARK always }
- { name: after, shell: MARK after }
`,
    theirs: `
- name: Block
  when: inventory_hostname == 'b'
  block:
    - { name: try, shell: MARK try; false }
  rescue:
    - { name: rescue, shell: MARK rescue }
  always:
    - { name: always, shell: MARK always }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'ignore_errors goes on after a failure, on a task and on a block',
    ours: `
- { name: one, shell: MARK one; false, ignore_errors: true }
- ignore_errors: true
  block:
    - { name: two, shell: MARK two; false }
    - { name: three, shell: MARK three; false, ignore_errors: false }
  rescue:
    - { name: rescue, shell: MARK rescue }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'what a rescue is told of the failure',
    isShell: true,
    ours: `
hosts: a
tasks:
  - block:
      - { name: try, shell: MARK try; echo why; exit 3 }
    rescue:
      - { name: rescue, shell: 'MARK rescue {{failure.task}} {{failure.result.code}} {{failure.result.stdout}}' }
`,
    theirs: `
hosts: a
tasks:
  - block:
      - { name: try, shell: MARK try; echo why; exit 3 }
    rescue:
      - { name: rescue, shell: 'MARK rescue {{ansible_failed_task.name}} {{ansible_failed_result.rc}} {{ansible_failed_result.stdout}}' }
`,
  },
  {
    name: 'rescue takes over for a host that could not be reached',
    hasGone: true,
    ours: `
hosts: a,gone
tasks:
  - block:
      - { name: try, shell: MARK try }
    rescue:
      - { name: rescue, delegate_to: b, shell: 'MARK rescue for-{{host.name}}' }
    always:
      - { name: always, delegate_to: b, shell: 'MARK always for-{{host.name}}' }
  - { name: after, shell: MARK after }
`,
    theirs: `
hosts: a,gone
tasks:
  - block:
      - { name: try, shell: MARK try }
    rescue:
      - { name: rescue, delegate_to: b, shell: 'MARK rescue for-{{inventory_hostname}}' }
    always:
      - { name: always, delegate_to: b, shell: 'MARK always for-{{inventory_hostname}}' }
  - { name: after, shell: MARK after }
`,
    differs: {
      key: 'unreachable-rescue',
      lines: [
        '+ rescue@gone changed',
        '+ always@gone changed',
        '+ after@gone unreachable',
        '+ ran rescue@b for-gone',
        '+ ran always@b for-gone',
        '+ forgiven gone 1',
      ],
    },
  },
  {
    name: 'a host that cannot be reached is out of the run',
    hasGone: true,
    ours: `
- hosts: a,gone
  tasks:
    - { name: one, shell: MARK one }
    - { name: two, shell: MARK two }
- hosts: gone,b
  tasks:
    - { name: three, shell: MARK three }
`,
  },
  {
    name: 'ignore_errors and a host that cannot be reached',
    hasGone: true,
    ours: `
hosts: a,gone
tasks:
  - { name: one, shell: MARK one, ignore_errors: true }
  - { name: two, delegate_to: b, shell: MARK two }
`,
    theirs: `
hosts: a,gone
tasks:
  - { name: one, shell: MARK one, ignore_errors: true, ignore_unreachable: true }
  - { name: two, delegate_to: b, shell: MARK two }
`,
  },
];
