import type { Pair } from '../_pair.ts';

const ROLLING = `
- { name: one, shell: MARK one }
- { name: two, shell: 'MARK two; [ $NODE != a ]' }
- { name: three, shell: MARK three }
`.replace(/^(?=.)/gm, '  ');

const SECOND = `- hosts: all\n  tasks:\n    - { name: second play, shell: MARK second-play }\n`;
const twoPlays = (keywords: string): string =>
  `- hosts: all\n  ${keywords}\n  tasks:${ROLLING.replace(/^(?=.)/gm, '  ')}${SECOND}`;

export const plays: readonly Pair[] = [
  {
    name: 'serial: one host after the other',
    ours: `hosts: all\nserial: 1\ntasks:\n- { name: one, shell: MARK one }\n- { name: two, shell: MARK two }\n`,
  },
  {
    name: 'serial: a list of sizes',
    ours: `hosts: all\nserial: [1, 2]\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'serial: a percentage',
    ours: `hosts: all\nserial: 67%\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'serial: a percentage below one host is one host',
    ours: `hosts: all\nserial: '10%'\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  { name: 'serial: a batch that failed as a whole ends the run', ours: twoPlays('serial: 1') },
  { name: 'serial: a batch that failed in part does not', ours: twoPlays('serial: 2') },
  { name: 'any_errors_fatal ends the play for all after the step', ours: twoPlays('any_errors_fatal: true') },
  {
    name: 'any_errors_fatal and a rescue',
    ours: `
any_errors_fatal: true
tasks:
  - block:
      - { name: try, shell: 'MARK try; [ $NODE = b ]' }
      - { name: rest, shell: MARK rest }
    rescue:
      - { name: rescue, shell: MARK rescue }
    always:
      - { name: always, shell: MARK always }
  - { name: after, shell: MARK after }
`,
    differs: {
      key: 'fatal-rescue',
      lines: ['- rest@b changed', '+ rescue@b changed', '- ran rest@b', '+ ran rescue@b'],
    },
  },
  {
    name: 'any_errors_fatal and always',
    ours: `
any_errors_fatal: true
tasks:
  - block:
      - { name: try, shell: 'MARK try; [ $NODE = b ]' }
    always:
      - { name: always, shell: MARK always }
  - { name: after, shell: MARK after }
`,
    differs: {
      key: 'fatal-always',
      lines: ['- after@b changed', '- ran after@b'],
    },
  },
  {
    name: 'any_errors_fatal of one task',
    ours: `
- { name: one, shell: 'MARK one; [ $NODE = b ]', any_errors_fatal: true }
- { name: two, shell: MARK two }
`,
  },
  {
    name: 'any_errors_fatal of a block',
    ours: `
- name: Both or none
  any_errors_fatal: true
  block:
    - { name: one, shell: 'MARK one; [ $NODE = b ]' }
    - { name: two, shell: MARK two }
- { name: three, shell: MARK three }
`,
  },
  {
    name: 'max_failures: as many as are allowed',
    ours: twoPlays('max_failures: 1'),
    theirs: twoPlays('max_fail_percentage: 34'),
  },
  {
    name: 'max_failures: more than are allowed',
    ours: twoPlays('max_failures: 0'),
    theirs: twoPlays('max_fail_percentage: 0'),
  },
  {
    name: 'max_failures counts over the batches of a play',
    ours: `
- hosts: all
  serial: 2
  max_failures: 1
  tasks:
    - { name: one, shell: 'MARK one; [ $NODE = b ]' }
    - { name: two, shell: MARK two }
`,
    theirs: `
- hosts: all
  serial: 2
  max_fail_percentage: 50
  tasks:
    - { name: one, shell: 'MARK one; [ $NODE = b ]' }
    - { name: two, shell: MARK two }
`,
  },
  {
    name: 'a play whose hosts have all failed ends the run',
    ours: `- hosts: a\n  tasks:\n    - { name: one, shell: MARK one; false }\n${SECOND}`,
  },
  {
    name: 'who failed in one play is in none after it',
    ours: twoPlays('gather_facts: false').replaceAll('  gather_facts: false\n', ''),
  },
  {
    name: 'run_once runs on the first host, and its result is everybodys',
    ours: `
- { name: once, shell: MARK once; echo 5, run_once: true, register: got }
- { name: told, shell: 'MARK told {{got.stdout_lines.[0]}}' }
`,
    theirs: `
- { name: once, shell: MARK once; echo 5, run_once: true, register: got }
- { name: told, shell: 'MARK told {{got.stdout_lines[0]}}' }
`,
  },
  {
    name: 'run_once that fails fails all',
    ours: `
- { name: once, shell: MARK once; false, run_once: true }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'run_once that fails, rescued',
    ours: `
- block:
    - { name: once, shell: MARK once; false, run_once: true }
    - { name: rest, shell: MARK rest }
  rescue:
    - { name: rescue, shell: MARK rescue }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'run_once notifies for the host it ran on',
    ours: `
tasks:
  - { name: once, shell: MARK once, run_once: true, notify: restart }
handlers:
  - { name: restart, shell: MARK restart }
`,
  },
  {
    name: 'run_once with a condition is asked for the first host',
    ours: `
- { name: once, shell: MARK once, run_once: true, when: host.name == 'b' }
- { name: after, shell: MARK after }
`,
    theirs: `
- { name: once, shell: MARK once, run_once: true, when: inventory_hostname == 'b' }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'run_once in batches runs once in each',
    ours: `hosts: all\nserial: 2\ntasks:\n- { name: once, shell: MARK once, run_once: true }\n`,
  },
  {
    name: 'run_once of a block',
    ours: `
- run_once: true
  block:
    - { name: one, shell: MARK one }
    - { name: two, shell: MARK two }
`,
  },
  {
    name: 'set with run_once sets for all',
    ours: `
- { name: set, set: { answer: 42 }, run_once: true }
- { name: told, shell: 'MARK told {{answer}}' }
`,
    theirs: `
- { name: set, set_fact: { answer: 42 }, run_once: true }
- { name: told, shell: 'MARK told {{answer}}' }
`,
  },
  {
    name: 'delegate_to runs elsewhere, with the variables of the host itself',
    ours: `
- { name: there, delegate_to: c, shell: 'MARK there {{host.name}} {{own}}', register: got }
- { name: told, shell: 'MARK told {{got.failed}}' }
`,
    theirs: `
- { name: there, delegate_to: c, shell: 'MARK there {{inventory_hostname}} {{own}}', register: got }
- { name: told, shell: 'MARK told {{got.failed|lower}}' }
`,
  },
  {
    name: 'delegate_to by a variable, by the item, and of a block',
    ours: `
hosts: a
tasks:
  - { name: variable, vars: { there: b }, delegate_to: '{{there}}', shell: MARK variable }
  - { name: item, loop: [b, c], delegate_to: '{{item}}', shell: 'MARK item {{item}}' }
  - delegate_to: c
    block:
      - { name: in block, shell: MARK block }
      - { name: own, shell: MARK own, delegate_to: b }
`,
  },
  {
    name: 'what fails where it is delegated to fails for its own host',
    ours: `
- { name: there, delegate_to: c, shell: 'MARK there {{host.name}}; [ {{host.name}} = b ]' }
- { name: after, shell: MARK after }
`,
    theirs: `
- { name: there, delegate_to: c, shell: 'MARK there {{inventory_hostname}}; [ {{inventory_hostname}} = b ]' }
- { name: after, shell: MARK after }
`,
  },
  {
    name: 'run_once with delegate_to',
    ours: `
- { name: once, run_once: true, delegate_to: c, shell: MARK once, register: got }
- { name: told, shell: 'MARK told {{got.stdout_lines.length}}' }
`,
    theirs: `
- { name: once, run_once: true, delegate_to: c, shell: MARK once, register: got }
- { name: told, shell: 'MARK told {{got.stdout_lines|length}}' }
`,
  },
  {
    name: 'what other hosts have registered, set and are',
    ours: `
- { name: find, shell: 'MARK find; echo at-$NODE', register: got }
- { name: set, set: { mine: 'set-by-{{host.name}}' } }
- { name: told, shell: 'MARK told {{hosts.b.got.stdout_lines.[0]}} {{hosts.a.mine}} {{hosts.c.vars.own}}' }
`,
    theirs: `
- { name: find, shell: 'MARK find; echo at-$NODE', register: got }
- { name: set, set_fact: { mine: 'set-by-{{inventory_hostname}}' } }
- { name: told, shell: 'MARK told {{hostvars.b.got.stdout_lines[0]}} {{hostvars.a.mine}} {{hostvars.c.own}}' }
`,
  },
  {
    name: 'the groups of a host, and the hosts of a group',
    ours: `
hosts: a
tasks:
  - { name: told, shell: 'MARK told {{join host.groups ","}} {{join groups.pair ","}}' }
`,
    theirs: `
hosts: a
tasks:
  - { name: told, shell: 'MARK told {{group_names|join(",")}} {{groups.pair|join(",")}}' }
`,
  },
  {
    name: 'facts are gathered where the play wants them',
    ours: `
- hosts: pair
  gather: true
  tasks:
    - { name: told, shell: 'MARK told {{#if facts.os}}known{{/if}}' }
`,
    theirs: `
- hosts: pair
  gather_facts: true
  tasks:
    - { name: told, shell: 'MARK told {% if ansible_distribution is defined %}known{% endif %}' }
`,
    differs: {
      key: 'gather',
      lines: [
        '- Gathering Facts@a ok',
        '- Gathering Facts@b ok',
        '+ Gather facts@a ok',
        '+ Gather facts@b ok',
      ],
    },
  },
  {
    name: 'hosts: a pattern with a part left out',
    ours: `hosts: 'all:!b'\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'hosts: what two groups share',
    ours: `hosts: 'pair:&ends'\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  { name: 'hosts: a list', ours: `hosts: [c, a]\ntasks:\n- { name: one, shell: MARK one }\n` },
  {
    name: 'hosts: a glob, and a comma',
    ours: `hosts: '[ab],other'\ntasks:\n- { name: one, shell: MARK one }\n`,
    theirs: `hosts: 'pa*,other'\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'hosts: in the order of the inventory',
    ours: `hosts: 'c,b,a'\nserial: 1\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'hosts: one that is in no inventory',
    ours: `hosts: a,nobody\ntasks:\n- { name: one, shell: MARK one }\n`,
    differs: {
      key: 'unknown-host',
      lines: ['- one@a changed', '- ran one@a', '- exit done', '+ exit refused'],
    },
  },
  {
    name: 'limit: only some hosts',
    asked: { limit: 'b,c' },
    ours: `hosts: all\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'limit: all but one',
    asked: { limit: 'all:!b' },
    ours: `hosts: pair\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'limit: a host that the play has not',
    asked: { limit: 'c' },
    ours: `hosts: pair\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
  {
    name: 'limit: a host that is in no inventory',
    asked: { limit: 'nobody' },
    ours: `hosts: pair\ntasks:\n- { name: one, shell: MARK one }\n`,
  },
];
