import type { Pair } from '../_pair.ts';

const TOLD = `{ name: told, shell: 'MARK told {{from_all}}, {{from_group}}, {{from_host}}, {{from_play}}' }`;

export const values: readonly Pair[] = [
  {
    name: 'variables: inventory < group < host < play',
    ours: `vars: { from_play: play }\ntasks:\n- ${TOLD}\n`,
  },
  {
    name: 'variables: play < block < task',
    ours: `
vars: { one: play, two: play, three: play }
tasks:
  - vars: { two: block, three: block }
    block:
      - { name: inner, vars: { three: task }, shell: 'MARK inner {{one}} {{two}} {{three}}' }
  - { name: outer, shell: 'MARK outer {{one}} {{two}} {{three}}' }
`,
  },
  {
    name: 'variables: what is set stands above those of task, block and play, for the rest of the run',
    ours: `
- hosts: pair
  vars: { one: play }
  tasks:
    - { name: set, set: { one: 'set on {{host.name}}' } }
    - { name: told, vars: { one: task }, shell: 'MARK told {{one}}' }
- hosts: pair
  vars: { one: second play }
  tasks:
    - { name: later, shell: 'MARK later {{one}}' }
`,
    theirs: `
- hosts: pair
  vars: { one: play }
  tasks:
    - { name: set, set_fact: { one: 'set on {{inventory_hostname}}' } }
    - { name: told, vars: { one: task }, shell: 'MARK told {{one}}' }
- hosts: pair
  vars: { one: second play }
  tasks:
    - { name: later, shell: 'MARK later {{one}}' }
`,
  },
  {
    name: 'variables: what is registered stands above those of a task',
    ours: `
- { name: find, shell: MARK find, register: one }
- { name: told, vars: { one: { changed: task } }, shell: 'MARK told {{one.changed}}' }
`,
    theirs: `
- { name: find, shell: MARK find, register: one }
- { name: told, vars: { one: { changed: task } }, shell: 'MARK told {{one.changed|lower}}' }
`,
  },
  {
    name: 'variables: -e stands above everything, also above what only a task has, or sets',
    asked: { extra: { one: 'given', two: 'given', from_host: 'given' } },
    ours: `
- { name: set, set: { two: set } }
- { name: told, vars: { one: task }, shell: 'MARK told {{one}} {{two}} {{from_host}}' }
`,
    theirs: `
- { name: set, set_fact: { two: set } }
- { name: told, vars: { one: task }, shell: 'MARK told {{one}} {{two}} {{from_host}}' }
`,
  },
  {
    name: 'variables: -e with a name that nothing has',
    asked: { extra: { nobody: 'given' } },
    ours: `
- { name: one, shell: MARK one }
`,
    differs: {
      key: 'unknown-extra',
      lines: [
        '- one@a changed',
        '- one@b changed',
        '- ran one@a',
        '- ran one@b',
        '- exit done',
        '+ exit refused',
      ],
    },
  },
  {
    name: 'variables: those of an include, and a task in it',
    files: { 'part.yml': `- { name: part, shell: 'MARK part {{one}} {{two}}', vars: { two: task } }\n` },
    ours: `
vars: { one: play, two: play }
tasks:
  - { include: part.yml, vars: { one: include, two: include } }
  - { include: part.yml, vars: { one: again } }
  - { name: told, shell: 'MARK told {{one}} {{two}}' }
`,
    theirs: `
vars: { one: play, two: play }
tasks:
  - { import_tasks: part.yml, vars: { one: include, two: include } }
  - { import_tasks: part.yml, vars: { one: again } }
  - { name: told, shell: 'MARK told {{one}} {{two}}' }
`,
  },
  {
    name: 'include: a condition is that of each task in it; a file includes another',
    files: {
      'part.yml': `- { name: part, shell: MARK part }\n- { include: deep/more.yml }\n`,
      'deep/more.yml': `- { name: more, shell: MARK more }\n`,
    },
    theirFiles: { 'part.yml': `- { name: part, shell: MARK part }\n- { import_tasks: deep/more.yml }\n` },
    ours: `
- { include: part.yml, when: host.name == 'b' }
- { name: after, shell: MARK after }
`,
    theirs: `
- { import_tasks: part.yml, when: inventory_hostname == 'b' }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'variables that use one another, and are made when they are read',
    ours: `
vars: { path: '{{folder}}/file', folder: '/srv/{{own}}' }
tasks:
  - { name: one, shell: 'MARK one {{path}}' }
  - { name: two, vars: { folder: /tmp }, shell: 'MARK two {{path}}' }
`,
  },
  {
    name: 'a value that is nothing but one variable keeps its type',
    ours: `
vars: { flags: [true, 3, 'text'], copy: '{{flags}}' }
tasks:
  - { name: each, loop: '{{copy}}', when: item == 3, shell: 'MARK each {{item}}' }
`,
  },
  {
    name: 'environment: task over block over play',
    isShell: true,
    ours: `
environment: { ONE: play, TWO: play, THREE: play }
tasks:
  - environment: { TWO: block, THREE: block }
    block:
      - { name: inner, environment: { THREE: '{{own}}' }, shell: MARK inner $ONE $TWO $THREE }
  - { name: outer, shell: MARK outer $ONE $TWO $THREE }
`,
  },
  {
    name: 'environment of a handler and of what is delegated',
    isShell: true,
    ours: `
environment: { ONE: play }
tasks:
  - { name: there, delegate_to: c, environment: { TWO: task }, shell: MARK there $ONE $TWO, notify: tell }
handlers:
  - { name: tell, shell: 'MARK tell $ONE [$TWO]' }
`,
  },
  {
    name: 'become another user, on a task and on a block; false lifts it',
    isShell: true,
    ours: `
- { name: root, shell: MARK root $(id -un) }
- { name: task, become: { user: nobody }, shell: MARK task $(id -un) }
- become: { user: nobody }
  block:
    - { name: block, shell: MARK block $(id -un) }
    - { name: lifted, become: false, shell: MARK lifted $(id -un) }
`,
    theirs: `
- { name: root, shell: MARK root $(id -un) }
- { name: task, become: true, become_user: nobody, shell: MARK task $(id -un) }
- become: true
  become_user: nobody
  block:
    - { name: block, shell: MARK block $(id -un) }
    - { name: lifted, become: false, shell: MARK lifted $(id -un) }
`,
  },
  {
    name: 'become of a play',
    isShell: true,
    ours: `
become: { user: nobody }
tasks:
  - { name: one, shell: MARK one $(id -un) }
  - { name: two, become: { user: daemon }, shell: MARK two $(id -un) }
`,
    theirs: `
become: true
become_user: nobody
tasks:
  - { name: one, shell: MARK one $(id -un) }
  - { name: two, become_user: daemon, shell: MARK two $(id -un) }
`,
  },
  {
    name: 'conditions: a list means all, and a skipped task leaves a result',
    ours: `
- { name: none, shell: MARK none, when: [true, from_all == 'other'], register: got }
- { name: some, shell: MARK some, when: [from_all == 'all', got.skipped] }
- { name: told, shell: 'MARK told {{got.changed}} {{got.skipped}}' }
- { name: not, shell: MARK not, when: '!got.skipped && got.code == 0' }
`,
    theirs: `
- { name: none, shell: MARK none, when: [true, from_all == 'other'], register: got }
- { name: some, shell: MARK some, when: [from_all == 'all', got is skipped] }
- { name: told, shell: 'MARK told {{got.changed|lower}} {{got.skipped|lower}}' }
- { name: not, shell: MARK not, when: [got is not skipped, got.rc == 0] }
`,
  },
  {
    name: 'conditions: asking a skipped result for what it has not',
    ours: `
- { name: none, shell: MARK none, when: false, register: got }
- { name: asked, shell: MARK asked, when: got.code == 0 }
`,
    theirs: `
- { name: none, shell: MARK none, when: false, register: got }
- { name: asked, shell: MARK asked, when: got.rc == 0 }
`,
  },
  {
    name: 'conditions: a variable that does not exist',
    ours: `
- { name: one, shell: MARK one }
- { name: two, shell: MARK two, when: nowhere == 'x' }
`,
    differs: {
      key: 'unknown-name',
      lines: [
        '- one@a changed',
        '- one@b changed',
        '- two@a failed',
        '- two@b failed',
        '- ran one@a',
        '- ran one@b',
        '- exit failed',
        '+ exit refused',
      ],
    },
  },
  {
    name: 'a template with a variable that does not exist',
    ours: `
- { name: one, shell: MARK one }
- { name: two, shell: 'MARK two {{nowhere}}', ignore_errors: true }
`,
    differs: {
      key: 'unknown-name',
      lines: [
        '- one@a changed',
        '- one@b changed',
        '- two@a failed',
        '- two@b failed',
        '- ran one@a',
        '- ran one@b',
        '- forgiven a 1',
        '- forgiven b 1',
        '- exit done',
        '+ exit refused',
      ],
    },
  },
  {
    name: 'changed_when and failed_when, of lists and of failures',
    ours: `
- { name: unchanged, shell: MARK unchanged, changed_when: false }
- { name: both, shell: MARK both; echo oops, register: got, failed_when: [got.code == 0, '"oops" in got.stdout_lines'], ignore_errors: true }
- { name: one of two, shell: MARK one; echo fine, register: got, failed_when: [got.code == 0, '"oops" in got.stdout_lines'] }
- { name: fine, shell: MARK fine; exit 3, register: got, failed_when: got.code > 3, changed_when: got.code == 3 }
- { name: not changed, shell: MARK not-changed; exit 3, failed_when: false, changed_when: false }
`,
    theirs: `
- { name: unchanged, shell: MARK unchanged, changed_when: false }
- { name: both, shell: MARK both; echo oops, register: got, failed_when: [got.rc == 0, '"oops" in got.stdout_lines'], ignore_errors: true }
- { name: one of two, shell: MARK one; echo fine, register: got, failed_when: [got.rc == 0, '"oops" in got.stdout_lines'] }
- { name: fine, shell: MARK fine; exit 3, register: got, failed_when: got.rc > 3, changed_when: got.rc == 3 }
- { name: not changed, shell: MARK not-changed; exit 3, failed_when: false, changed_when: false }
`,
  },
  {
    name: 'what a command leaves: fields and their values',
    isShell: true,
    ours: `
hosts: a
tasks:
  - { name: run, shell: 'MARK run; echo out; echo more; echo err >&2', register: got }
  - { name: told, shell: 'MARK told [{{got.stdout}}] [{{got.stderr}}] {{got.stdout_lines.length}} {{got.stderr_lines.length}} {{got.changed}} {{got.failed}}' }
  - { name: run 3, shell: 'MARK run-3; exit 3', register: got, ignore_errors: true }
  - { name: code, shell: 'MARK code {{got.code}} {{got.failed}}' }
`,
    theirs: `
hosts: a
tasks:
  - { name: run, shell: 'MARK run; echo out; echo more; echo err >&2', register: got }
  - { name: told, shell: 'MARK told [{{got.stdout}}] [{{got.stderr}}] {{got.stdout_lines|length}} {{got.stderr_lines|length}} {{got.changed|lower}} {{got.failed|lower}}' }
  - { name: run 3, shell: 'MARK run-3; exit 3', register: got, ignore_errors: true }
  - { name: code, shell: 'MARK code {{got.rc}} {{got.failed|lower}}' }
`,
  },
  {
    name: 'the changed of a failure that was ignored',
    ours: `
- { name: run, shell: MARK run; false, register: got, ignore_errors: true }
- { name: then, shell: MARK then, when: got.changed }
`,
    differs: {
      key: 'failed-is-not-changed',
      lines: [
        '- then@a changed',
        '- then@b changed',
        '+ then@a skipped',
        '+ then@b skipped',
        '- ran then@a',
        '- ran then@b',
      ],
    },
  },
  {
    name: 'no_log hides what is told, and registers it all the same',
    ours: `
- { name: run, shell: 'MARK run; echo word', register: got, no_log: true }
- { name: told, shell: 'MARK told {{got.stdout_lines.[0]}}' }
- { name: each, shell: 'MARK each {{item}}', loop: [x], no_log: true, register: hidden }
- { name: then, shell: 'MARK then {{hidden.results.length}}' }
`,
    theirs: `
- { name: run, shell: 'MARK run; echo word', register: got, no_log: true }
- { name: told, shell: 'MARK told {{got.stdout_lines[0]}}' }
- { name: each, shell: 'MARK each {{item}}', loop: [x], no_log: true, register: hidden }
- { name: then, shell: 'MARK then {{hidden.results|length}}' }
`,
  },
  {
    name: 'assert',
    ours: `
- { name: holds, assert: { that: [from_all == 'all', "own == 'of a'"], fail_msg: not here } }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'a file: made, the same again, and gone',
    ours: `
- { name: made, file: { path: 'FOLDER/made-{{own}}', state: directory, mode: '0750' }, notify: told }
- { name: the same, file: { path: 'FOLDER/made-{{own}}', state: directory, mode: '0750' } }
- { name: gone, file: { path: 'FOLDER/made-{{own}}', state: absent } }
- { name: gone already, file: { path: 'FOLDER/made-{{own}}', state: absent } }
`.replace(', notify: told', ''),
  },
];
