import type { Pair } from '../_pair.ts';

const TAGGED = `
hosts: a
tasks:
- { name: plain, shell: MARK plain }
- { name: red, shell: MARK red, tags: red }
- { name: both, shell: MARK both, tags: [red, blue] }
- { name: words, shell: MARK words, tags: 'blue, green' }
- tags: red
  block:
    - { name: in red, shell: MARK in-red }
    - { name: blue in red, shell: MARK blue-in-red, tags: blue }
  always:
    - { name: always of red, shell: MARK always-of-red }
- { name: always, shell: MARK always, tags: always }
- { name: never, shell: MARK never, tags: never }
- { name: seldom, shell: MARK seldom, tags: [never, seldom] }
`;

const INCLUDED = {
  files: { 'part.yml': `- { name: part, shell: MARK part }\n- { name: own, shell: MARK own, tags: own }\n` },
  ours: `
- { include: part.yml, tags: part }
- { name: after, shell: MARK after }
`,
  theirs: `
- { import_tasks: part.yml, tags: part }
- { name: after, shell: MARK after }
`,
};

const STEPS = `
hosts: a
tasks:
  - { name: one, shell: MARK one, notify: restart }
  - block:
      - { name: two, shell: MARK two }
      - { name: three, shell: MARK three; false }
    rescue:
      - { name: rescue, shell: MARK rescue }
    always:
      - { name: always, shell: MARK always }
  - { name: four, shell: MARK four, notify: restart }
handlers:
  - { name: restart, shell: MARK restart }
`;

const CHECKED = `
- { name: command, shell: MARK command, register: got }
- { name: for real, shell: MARK for-real, check_mode: false, changed_when: false }
- { name: state, file: { path: 'FOLDER/made', state: directory } }
- check_mode: false
  block:
    - { name: in block, shell: MARK in-block }
`;

export const selection: readonly Pair[] = [
  { name: 'tags: none asked for', ours: TAGGED },
  { name: 'tags: one', ours: TAGGED, asked: { tags: ['red'] } },
  { name: 'tags: two', ours: TAGGED, asked: { tags: ['green', 'seldom'] } },
  { name: 'tags: one left out', ours: TAGGED, asked: { skipTags: ['red'] } },
  { name: 'tags: always left out by name', ours: TAGGED, asked: { skipTags: ['always'], tags: ['blue'] } },
  { name: 'tags: tagged', ours: TAGGED, asked: { tags: ['tagged'] } },
  { name: 'tags: untagged', ours: TAGGED, asked: { tags: ['untagged'] } },
  { name: 'tags: never by name', ours: TAGGED, asked: { tags: ['never'] } },
  { name: 'tags: all', ours: TAGGED, asked: { tags: ['all'] } },
  {
    name: 'tags: one that no step has',
    ours: TAGGED,
    asked: { tags: ['rde'] },
    differs: {
      key: 'unknown-tag',
      lines: ['- always@a changed', '- ran always@a', '- exit done', '+ exit refused'],
    },
  },
  { name: 'tags: of an include are those of its tasks', ...INCLUDED, asked: { tags: ['part'] } },
  { name: 'tags: of a task in an include', ...INCLUDED, asked: { tags: ['own'] } },
  { name: 'tags: of an include, left out', ...INCLUDED, asked: { skipTags: ['part'] } },
  {
    name: 'tags: of a play',
    asked: { tags: ['first'] },
    ours: `
- hosts: a
  tags: first
  tasks: [{ name: one, shell: MARK one }]
- hosts: a
  tags: second
  tasks: [{ name: two, shell: MARK two }]
`,
  },
  {
    name: 'tags: a handler runs whatever its own',
    asked: { tags: ['red'] },
    ours: `
tasks:
  - { name: red, shell: MARK red, tags: red, notify: [restart, tell] }
  - { name: blue, shell: MARK blue, tags: blue, notify: never here }
handlers:
  - { name: restart, shell: MARK restart, tags: blue }
  - { name: tell, shell: MARK tell }
  - { name: never here, shell: MARK never-here }
`,
  },
  {
    name: 'tags: a handler whose tag is left out',
    asked: { skipTags: ['blue'] },
    ours: `
tasks:
  - { name: red, shell: MARK red, tags: red, notify: restart }
handlers:
  - { name: restart, shell: MARK restart, tags: blue }
`,
    differs: {
      key: 'skipped-handler',
      lines: ['- restart@a changed', '- restart@b changed', '- ran restart@a', '- ran restart@b'],
    },
  },
  { name: 'start at a task', ours: STEPS, asked: { startAt: 'four' } },
  { name: 'start at a task in a block', ours: STEPS, asked: { startAt: 'three' } },
  {
    name: 'start at a task that there is not',
    ours: STEPS,
    asked: { startAt: 'fuor' },
    differs: {
      key: 'unknown-start',
      lines: ['- exit done', '+ exit refused'],
    },
  },
  {
    name: 'check mode: what it does and what it only tells',
    ours: CHECKED,
    asked: { isCheck: true },
    isShell: true,
    differs: {
      key: 'check-actions',
      lines: ['- command@a skipped', '- command@b skipped', '+ command@a changed', '+ command@b changed'],
    },
  },
  {
    name: 'check mode of one task without --check',
    isShell: true,
    ours: `
- { name: only looks, file: { path: FOLDER/made, state: directory }, check_mode: true, register: got }
- { name: told, shell: 'MARK told {{got.changed}}; [ ! -e FOLDER/made ]' }
`,
    theirs: `
- { name: only looks, file: { path: FOLDER/made, state: directory }, check_mode: true, register: got }
- { name: told, shell: 'MARK told {{got.changed|lower}}; [ ! -e FOLDER/made ]' }
`,
  },
  {
    name: 'check mode: whether it is on, and handlers',
    asked: { isCheck: true },
    isShell: true,
    ours: `
tasks:
  - { name: for real, shell: 'MARK for-real {{run.is_check}}', check_mode: false, notify: restart }
  - { name: only then, shell: MARK only-then, check_mode: false, when: '!run.is_check' }
handlers:
  - { name: restart, shell: MARK restart, check_mode: false }
`,
    theirs: `
tasks:
  - { name: for real, shell: 'MARK for-real {{ansible_check_mode|lower}}', check_mode: false, notify: restart }
  - { name: only then, shell: MARK only-then, check_mode: false, when: not ansible_check_mode }
handlers:
  - { name: restart, shell: MARK restart, check_mode: false }
`,
  },
  {
    name: 'what does not parse touches nothing',
    ours: `
- { name: one, shell: MARK one }
- { name: two, shell: MARK two, whne: true }
`,
  },
  {
    name: 'a handler that there is not',
    ours: `
hosts: a
tasks:
  - { name: one, shell: MARK one, notify: nobody }
`,
    differs: { key: 'unknown-name', lines: ['- ran one@a'] },
  },
];
