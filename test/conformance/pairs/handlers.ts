import type { Pair } from '../_pair.ts';

export const handlers: readonly Pair[] = [
  {
    name: 'handlers run once, at the end, in the order of their definition',
    ours: `
tasks:
  - { name: one, shell: MARK one, notify: [second, first] }
  - { name: two, shell: MARK two, notify: first }
  - { name: same, shell: MARK same, changed_when: false, notify: third }
  - { name: last, shell: MARK last }
handlers:
  - { name: first, shell: MARK first }
  - { name: second, shell: MARK second }
  - { name: third, shell: MARK third }
`,
  },
  {
    name: 'a host that failed runs no handlers, the other does',
    ours: `
tasks:
  - { name: one, shell: MARK one, notify: restart }
  - { name: two, shell: 'MARK two; [ $NODE = b ]' }
handlers:
  - { name: restart, shell: MARK restart }
`,
  },
  {
    name: 'a host that was rescued runs its handlers',
    ours: `
tasks:
  - block:
      - { name: one, shell: MARK one, notify: restart }
      - { name: two, shell: MARK two; false }
    rescue:
      - { name: rescue, shell: MARK rescue, notify: tell }
handlers:
  - { name: tell, shell: MARK tell }
  - { name: restart, shell: MARK restart }
`,
  },
  {
    name: 'a handler that fails keeps the later ones from its host',
    ours: `
tasks:
  - { name: one, shell: MARK one, notify: [first, second] }
handlers:
  - { name: first, shell: 'MARK first; [ $NODE = b ]' }
  - { name: second, shell: MARK second }
`,
  },
  {
    name: 'a loop notifies once, where any item changed',
    ours: `
tasks:
  - { name: some, shell: 'MARK some {{item}}', loop: [x, y], changed_when: item == 'y', notify: first }
  - { name: none, shell: 'MARK none {{item}}', loop: [x, y], changed_when: item == 'q', notify: second }
handlers:
  - { name: second, shell: MARK second }
  - { name: first, shell: MARK first }
`,
  },
  {
    name: 'notified in an included file',
    files: { 'part.yml': `- { name: in part, shell: MARK part, notify: restart }\n` },
    ours: `
tasks:
  - { name: one, shell: MARK one }
  - include: part.yml
  - { name: two, shell: MARK two }
handlers:
  - { name: restart, shell: MARK restart }
`,
    theirs: `
tasks:
  - { name: one, shell: MARK one }
  - import_tasks: part.yml
  - { name: two, shell: MARK two }
handlers:
  - { name: restart, shell: MARK restart }
`,
  },
  {
    name: 'a handler notifies another that stands after it',
    ours: `
tasks: [{ name: one, shell: MARK one, notify: first }]
handlers:
  - { name: first, shell: MARK first, notify: second }
  - { name: second, shell: MARK second }
`,
  },
  {
    name: 'a handler notifies another that stands before it',
    ours: `
tasks: [{ name: one, shell: MARK one, notify: second }]
handlers:
  - { name: first, shell: MARK first }
  - { name: second, shell: MARK second, notify: first }
  - { name: third, shell: MARK third }
`,
  },
  {
    name: 'flush runs what waits at once, and what is notified later again at the end',
    ours: `
tasks:
  - { name: one, shell: MARK one, notify: restart }
  - flush: handlers
  - { name: two, shell: MARK two, notify: restart }
  - { name: three, shell: MARK three }
handlers:
  - { name: restart, shell: MARK restart }
`,
    theirs: `
tasks:
  - { name: one, shell: MARK one, notify: restart }
  - meta: flush_handlers
  - { name: two, shell: MARK two, notify: restart }
  - { name: three, shell: MARK three }
handlers:
  - { name: restart, shell: MARK restart }
`,
  },
  {
    name: 'flush in a block, and a handler that fails there is rescued',
    ours: `
tasks:
  - block:
      - { name: one, shell: MARK one, notify: restart }
      - flush: handlers
      - { name: two, shell: MARK two }
    rescue:
      - { name: rescue, shell: MARK rescue }
  - { name: after, shell: MARK after }
handlers:
  - { name: restart, shell: 'MARK restart; [ $NODE = b ]' }
`,
    theirs: `
tasks:
  - block:
      - { name: one, shell: MARK one, notify: restart }
      - meta: flush_handlers
      - { name: two, shell: MARK two }
    rescue:
      - { name: rescue, shell: MARK rescue }
  - { name: after, shell: MARK after }
handlers:
  - { name: restart, shell: 'MARK restart; [ $NODE = b ]' }
`,
    differs: {
      key: 'rescued-handler',
      lines: ['+ forgiven a 1'],
    },
  },
  {
    name: 'a handler has conditions and loops as any task',
    ours: `
tasks: [{ name: one, shell: MARK one, notify: [each, never here] }]
handlers:
  - { name: each, shell: 'MARK each {{item}}', loop: '{{list}}' }
  - { name: never here, shell: MARK never, when: from_all == 'other' }
`,
  },
  {
    name: 'several handlers listen to one word',
    ours: `
tasks:
  - { name: one, shell: MARK one, notify: configuration changed }
handlers:
  - { name: first, listen: configuration changed, shell: MARK first }
  - { name: other, shell: MARK other }
  - { name: second, listen: [configuration changed, something], shell: MARK second }
`,
  },
  {
    name: 'by its name and by what it listens to: a handler runs once',
    ours: `
tasks:
  - { name: one, shell: MARK one, notify: [changed, restart] }
handlers:
  - { name: restart, listen: changed, shell: MARK restart }
`,
  },
  {
    name: 'notified by the result of a host that it is delegated to',
    ours: `
hosts: a
tasks:
  - { name: one, shell: MARK one, delegate_to: b, notify: restart }
handlers:
  - { name: restart, shell: MARK restart }
`,
  },
  {
    name: 'a changed_when on a failure that is ignored notifies nobody',
    ours: `
tasks:
  - { name: one, shell: MARK one; false, ignore_errors: true, notify: restart }
  - { name: two, shell: MARK two; false, failed_when: false, notify: tell }
handlers:
  - { name: restart, shell: MARK restart }
  - { name: tell, shell: MARK tell }
`,
  },
  {
    name: 'each batch of a rolling play runs its handlers before the next begins',
    ours: `
hosts: all
serial: 1
tasks: [{ name: one, shell: MARK one, notify: restart }]
handlers: [{ name: restart, shell: MARK restart }]
`,
  },
];
