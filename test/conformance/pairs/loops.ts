import type { Pair } from '../_pair.ts';

export const loops: readonly Pair[] = [
  {
    name: 'a loop goes on after an item that failed, and fails at the end',
    ours: `
- { name: each, shell: 'MARK each {{item}}; [ {{item}} != y ]', loop: [x, y, z] }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'the list of a loop comes from a variable, and from one with a condition by item',
    ours: `
- { name: each, shell: 'MARK each {{item}}', loop: '{{list}}' }
- { name: some, shell: 'MARK some {{item}}', loop: '{{list}}', when: item != 'y' }
- { name: none, shell: 'MARK none {{item}}', loop: '{{list}}', when: item == 'q' }
`,
  },
  {
    name: 'a loop without items is skipped',
    ours: `
- { name: nothing, shell: MARK nothing, loop: [], register: got }
- { name: told, shell: 'MARK told {{got.skipped}} {{got.changed}}' }
`,
    theirs: `
- { name: nothing, shell: MARK nothing, loop: [], register: got }
- { name: told, shell: 'MARK told {{got.skipped|lower}} {{got.changed|lower}}' }
`,
  },
  {
    name: 'results of a loop hold what each item gave',
    isShell: true,
    ours: `
- { name: each, shell: 'MARK each {{item}}; echo said {{item}}', loop: [x, y], register: got }
- { name: told, shell: 'MARK told {{item.item}} {{item.stdout}} {{item.code}} {{item.changed}} {{item.failed}}', loop: '{{got.results}}', label: '{{item.item}}' }
- { name: whole, shell: 'MARK whole {{got.changed}} {{got.results.length}}' }
`,
    theirs: `
- { name: each, shell: 'MARK each {{item}}; echo said {{item}}', loop: [x, y], register: got }
- { name: told, shell: 'MARK told {{item.item}} {{item.stdout}} {{item.rc}} {{item.changed|lower}} {{item.failed|lower}}', loop: '{{got.results}}', loop_control: { label: '{{item.item}}' } }
- { name: whole, shell: 'MARK whole {{got.changed|lower}} {{got.results|length}}' }
`,
  },
  {
    name: 'results of a loop with skipped and failed items',
    ours: `
hosts: a
tasks:
  - { name: each, shell: 'MARK each {{item}}; [ {{item}} != z ]', loop: [x, y, z], when: item != 'x', register: got, ignore_errors: true }
  - { name: told, when: '!has(item.skipped) || !item.skipped', shell: 'MARK told {{item.item}} {{item.failed}}', loop: '{{got.results}}' }
  - { name: whole, shell: 'MARK whole {{got.failed}} {{got.changed}}' }
`,
    theirs: `
hosts: a
tasks:
  - { name: each, shell: 'MARK each {{item}}; [ {{item}} != z ]', loop: [x, y, z], when: item != 'x', register: got, ignore_errors: true }
  - { name: told, when: item is not skipped, shell: 'MARK told {{item.item}} {{item.failed|lower}}', loop: '{{got.results}}' }
  - { name: whole, shell: 'MARK whole {{got.failed|lower}} {{got.changed|lower}}' }
`,
    differs: {
      key: 'failed-is-not-changed',
      lines: ['- ran whole@a true true', '+ ran whole@a true false'],
    },
  },
  {
    name: 'a condition without the item skips each item, and leaves results',
    ours: `
- { name: each, shell: 'MARK each {{item}}', loop: [x, y], when: from_all == 'other', register: got }
- { name: told, shell: 'MARK told {{item.item}} {{item.skipped}}', loop: '{{got.results}}' }
`,
    theirs: `
- { name: each, shell: 'MARK each {{item}}', loop: [x, y], when: from_all == 'other', register: got }
- { name: told, shell: 'MARK told {{item.item}} {{item.skipped|lower}}', loop: '{{got.results}}' }
`,
    differs: {
      key: 'skipped-loop',
      lines: ['- each@a "x" skipped', '- each@a "y" skipped', '- each@b "x" skipped', '- each@b "y" skipped'],
    },
  },
  {
    name: 'the index of an item',
    ours: `
- { name: each, shell: 'MARK each {{index}} {{item}}', loop: [x, y] }
`,
    theirs: `
- { name: each, shell: 'MARK each {{index}} {{item}}', loop: [x, y], loop_control: { index_var: index } }
`,
  },
  {
    name: 'a loop over a mapping gives key and value',
    ours: `
- { name: each, shell: 'MARK each {{item.key}} {{item.value}}', loop: '{{ports}}', vars: { ports: { http: 80, https: 443 } } }
`,
    theirs: `
- { name: each, shell: 'MARK each {{item.key}} {{item.value}}', loop: '{{ports|dict2items}}', vars: { ports: { http: 80, https: 443 } } }
`,
  },
  {
    name: 'until tries again, and tells how often',
    ours: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try; [ $(grep -c ^try {{trace}}) = 3 ]', register: got, until: got.code == 0, retries: 4, delay: 0 }
  - { name: told, shell: 'MARK told {{got.attempts}} {{got.failed}}' }
`,
    theirs: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try; [ $(grep -c ^try {{trace}}) = 3 ]', register: got, until: got.rc == 0, retries: 4, delay: 0 }
  - { name: told, shell: 'MARK told {{got.attempts}} {{got.failed|lower}}' }
`,
  },
  {
    name: 'until that never holds fails after retries more attempts',
    ours: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try', register: got, until: got.stdout == 'never', retries: 2, delay: 0, ignore_errors: true }
  - { name: told, shell: 'MARK told {{got.attempts}} {{got.failed}}' }
`,
    theirs: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try', register: got, until: got.stdout == 'never', retries: 2, delay: 0, ignore_errors: true }
  - { name: told, shell: 'MARK told {{got.attempts}} {{got.failed|lower}}' }
`,
    differs: {
      key: 'attempts',
      lines: ['- ran told@a 2 true', '+ ran told@a 3 true'],
    },
  },
  {
    name: 'until in a loop is asked for each item',
    ours: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try {{item}}; [ $(grep -c "{{item}}$" {{trace}}) = 2 ]', loop: [x, y], register: got, until: got.code == 0, retries: 2, delay: 0 }
`,
    theirs: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try {{item}}; [ $(grep -c "{{item}}$" {{trace}}) = 2 ]', loop: [x, y], register: got, until: got.rc == 0, retries: 2, delay: 0 }
`,
  },
  {
    name: 'retries without until',
    ours: `
hosts: a
tasks:
  - { name: try, shell: 'MARK try; [ $(grep -c ^try {{trace}}) = 2 ]', retries: 2, delay: 0 }
`,
    differs: {
      key: 'retries-alone',
      lines: ['- try@a failed', '+ try@a changed', '- exit failed', '+ ran try@a', '+ exit done'],
    },
  },
  {
    name: 'changed_when and failed_when by item',
    ours: `
- { name: each, shell: 'MARK each {{item}}', loop: [x, y, z], register: got, changed_when: item == 'x', failed_when: item == 'z' }
- { name: after, shell: MARK after }
`,
  },
];
