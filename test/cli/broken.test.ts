import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { prepare } from '../../engine/cli/_prepare.ts';
import { DrillbookError, Problems } from '../../engine/core/error.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { errorText } from '../../engine/report/problem.ts';
import { project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';

const GOOD = `name: Good
description: A playbook that is in order
inputs:
  version: { type: string, pattern: '^[0-9.]+$', default: '1.0' }
vars: { greeting: hello, who: '{{greeting}} you' }
invariants:
  - { name: sane, that: 1 < 2 }
plays:
  - name: first
    hosts: all
    serial: 1
    vars: { unit: nginx }
    tasks:
      - name: say
        command: 'echo {{who}} {{inputs.version}}'
        register: said
        notify: restart
      - name: file
        copy: { dest: /tmp/x, content: '{{said.stdout}}', mode: '0644' }
        when: said.code == 0 && unit == "nginx"
      - block:
          - { name: try, shell: 'true', retries: 2, delay: 1s, timeout: 10s }
        rescue:
          - { name: mend, shell: 'true', loop: [1, 2], label: 'number {{item}}' }
      - include: more.yml
    handlers:
      - { name: restart, shell: 'true' }
`;
const MORE = `- { name: included, command: 'echo {{unit}}' }\n`;
const INVENTORY = `connection: { transport: local }
vars: { base: /x, path: '{{base}}/y' }
hosts:
  a: { vars: { own: 1 } }
  b: {}
clusters:
  pair:
    stack: dbackup
    nodes: [b, a]
    settings:
      database: { replication: { user: repl, password: no-secret-here } }
      heartbeats: [{ addresses: { a: 10.0.0.1, b: 10.0.0.2 } }]
      vips: [{ address: 10.0.0.120, interfaces: { a: eth0, b: eth0 } }]
groups:
  both: { hosts: [a, b], vars: { size: 2 } }
`;

type Files = Readonly<Record<string, string | Uint8Array>>;

async function problemsOf(files: Files, given: Record<string, unknown> = {}): Promise<DrillbookError[]> {
  const book = project(GOOD);
  for (const [name, text] of Object.entries({ 'inventory.yml': INVENTORY, 'more.yml': MORE, ...files })) {
    mkdirSync(dirname(join(book.dir, name)), { recursive: true });
    writeFileSync(join(book.dir, name), text);
  }
  try {
    await prepare(
      {
        playbook: join(book.dir, 'book.yml'),
        inventory: join(book.dir, 'inventory.yml'),
        given,
        selection: {},
      },
      new Redactor(),
    );
    return [];
  } catch (error) {
    if (error instanceof Problems) return [...error.problems];
    if (error instanceof DrillbookError) return [error];
    throw error;
  }
}

const deep = (open: string, close: string, n: number): string => `${open.repeat(n)}${close.repeat(n)}`;
const swap = (from: string | RegExp, to: string): string => {
  const text = GOOD.replace(from, to);
  expect(text).not.toBe(GOOD);
  return text;
};

/** What is broken, the file, and what the error says; a line where it has to be the one named. */
const BROKEN: [string, Files | (() => Files), RegExp, number?][] = [
  ['empty file', { 'book.yml': '' }, /mapping|expected/],
  ['only a comment', { 'book.yml': '# nothing\n' }, /mapping|expected/],
  ['a list at the top', { 'book.yml': '- hosts: all\n' }, /a playbook is a mapping/, 1],
  ['a text at the top', { 'book.yml': 'hello\n' }, /expected/],
  ['a number at the top', { 'book.yml': '42\n' }, /expected/],
  ['null bytes', { 'book.yml': 'name: \0\nplays: []\n' }, /./],
  ['invalid UTF-8', { 'book.yml': Buffer.from([0x6e, 0xff, 0xfe, 0x0a]) }, /is not UTF-8/],
  ['5 MB', { 'book.yml': `${GOOD}# ${'x'.repeat(5_000_000)}\n` }, /at most/],
  ['tabs for indentation', () => ({ 'book.yml': swap('    hosts: all', '\thosts: all') }), /[Tt]ab/, 10],
  ['an unclosed quote', () => ({ 'book.yml': swap("'echo {{who}} {{inputs.version}}'", "'echo") }), /./],
  ['an unclosed bracket', () => ({ 'book.yml': swap('[1, 2]', '[1, 2') }), /./],
  ['wrong indentation', () => ({ 'book.yml': swap('        register: said', '       register: said') }), /./],
  [
    'a duplicate key',
    () => ({ 'book.yml': swap('    serial: 1', '    serial: 1\n    hosts: all') }),
    /there twice/,
    12,
  ],
  ['an unknown tag', () => ({ 'book.yml': swap('name: Good', 'name: !python/object x') }), /tag/i, 1],
  [
    'an unknown anchor',
    () => ({ 'book.yml': swap('name: Good', 'name: *nothing') }),
    /no `&nothing` stands before it/,
    1,
  ],
  ['two documents', { 'book.yml': `${GOOD}---\nname: x\n` }, /document/i],
  [
    'deep nesting in flow',
    { 'book.yml': `name: x\nvars: { a: ${deep('[', ']', 10_000)} }\nplays: []\n` },
    /deep/,
  ],
  ['deep nesting in maps', { 'book.yml': `name: x\nplays: ${deep('{a: ', '}', 10_000)}\n` }, /./],
  [
    'deep nesting in blocks',
    { 'book.yml': Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n') },
    /./,
  ],
  [
    'a bomb of aliases',
    {
      'book.yml': `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefghij'
        .split('')
        .map((name, i) => `${name}: &${name} [${`*${'abcdefghij'[i]},`.repeat(10)}]`)
        .join('\n')}\n`,
    },
    /alias/i,
  ],
  [
    '__proto__ as a key',
    () => ({ 'book.yml': swap('vars: { greeting', 'vars: { __proto__: { x: 1 }, greeting') }),
    /__proto__/,
  ],
  ['a key that is a mapping', () => ({ 'book.yml': swap('name: Good', '? { a: b }\n: c\nname: Good') }), /./],
  ['no name', () => ({ 'book.yml': swap('name: Good\n', '') }), /`name`: missing/],
  ['no plays', () => ({ 'book.yml': swap(/plays:[^]*/, '') }), /`plays`: missing/],
  ['plays without one', () => ({ 'book.yml': swap(/plays:[^]*/, 'plays: []\n') }), /plays/],
  [
    'plays as a mapping',
    () => ({ 'book.yml': swap(/plays:[^]*/, 'plays: { hosts: all }\n') }),
    /expected array|list/,
  ],
  ['a play that is a text', () => ({ 'book.yml': swap(/plays:[^]*/, 'plays: [all]\n') }), /expected/],
  ['no hosts', () => ({ 'book.yml': swap('    hosts: all\n', '') }), /`hosts`: missing/, 9],
  ['hosts of the wrong type', () => ({ 'book.yml': swap('hosts: all', 'hosts: 5') }), /`hosts`/, 10],
  ['unknown hosts', () => ({ 'book.yml': swap('hosts: all', 'hosts: bth') }), /`bth`: no host/, 10],
  [
    'a bad serial',
    () => ({ 'book.yml': swap('serial: 1', 'serial: few') }),
    /number of hosts or a percentage/,
    11,
  ],
  ['serial 0', () => ({ 'book.yml': swap('serial: 1', 'serial: 0') }), /serial/, 11],
  [
    'a misspelt top key',
    () => ({ 'book.yml': swap('description:', 'descripton:') }),
    /`descripton`: unknown/,
    2,
  ],
  ['a misspelt play key', () => ({ 'book.yml': swap('serial:', 'seriel:') }), /`seriel`: unknown/, 11],
  [
    'a misspelt keyword',
    () => ({ 'book.yml': swap('register:', 'registr:') }),
    /`registr`: unknown keyword/,
    16,
  ],
  ['a misspelt module', () => ({ 'book.yml': swap('copy:', 'cpoy:') }), /`cpoy`: unknown module/, 19],
  [
    'two modules',
    () => ({ 'book.yml': swap('        register', "        shell: 'x'\n        register") }),
    /one module/,
    16,
  ],
  ['no module', () => ({ 'book.yml': swap(/ {8}command:.*\n/, '') }), /without a module/, 14],
  [
    'a task that is a text',
    () => ({ 'book.yml': swap('- include: more.yml', '- more') }),
    /a task is a mapping/,
  ],
  [
    'tasks that are a mapping',
    () => ({ 'book.yml': swap(/ {4}handlers:\n.*\n/, '    handlers: { a: 1 }\n') }),
    /list of tasks/,
  ],
  ['a misspelt parameter', () => ({ 'book.yml': swap('content:', 'contnet:') }), /`contnet`: unknown/, 19],
  [
    'a parameter of the wrong type',
    () => ({ 'book.yml': swap('dest: /tmp/x', 'dest: [x]') }),
    /`dest`: expected text, found a list/,
    19,
  ],
  ['a parameter missing', () => ({ 'book.yml': swap('dest: /tmp/x, ', '') }), /`dest`: missing/, 19],
  [
    'retries of the wrong type',
    () => ({ 'book.yml': swap('retries: 2', 'retries: many') }),
    /`retries`: expected a number, found text/,
    22,
  ],
  ['retries below 0', () => ({ 'book.yml': swap('retries: 2', 'retries: -1') }), /retries/, 22],
  ['a bad duration', () => ({ 'book.yml': swap('timeout: 10s', 'timeout: 10 parsecs') }), /no duration/, 22],
  [
    'a bad register name',
    () => ({ 'book.yml': swap('register: said', "register: 'a-b'") }),
    /variable name/,
    16,
  ],
  [
    'a reserved register name',
    () => ({ 'book.yml': swap('register: said', 'register: host') }),
    /name of the language/,
    16,
  ],
  [
    'a reserved variable',
    () => ({ 'book.yml': swap('unit: nginx', 'inputs: nginx') }),
    /name of the language/,
    12,
  ],
  [
    'an unknown variable',
    () => ({ 'book.yml': swap('echo {{who}}', 'echo {{whoo}}') }),
    /unknown variable `whoo`/,
    15,
  ],
  [
    'an unknown variable in a condition',
    () => ({ 'book.yml': swap('unit == "nginx"', 'unti == "nginx"') }),
    /unknown variable `unti`/,
    20,
  ],
  [
    'an unknown input',
    () => ({ 'book.yml': swap('inputs.version', 'inputs.verson') }),
    /unknown input `verson`/,
    15,
  ],
  [
    'an unknown field of the language',
    () => ({ 'book.yml': swap('{{who}}', '{{host.adress}}') }),
    /`host` has no `adress`/,
    15,
  ],
  ['an unknown helper', () => ({ 'book.yml': swap('{{who}}', '{{shel who}}') }), /unknown helper `shel`/, 15],
  ['a bad template', () => ({ 'book.yml': swap('{{who}}', '{{who') }), /./, 15],
  ['an unclosed block of a template', () => ({ 'book.yml': swap('{{who}}', '{{#if who}}') }), /./, 15],
  ['a partial', () => ({ 'book.yml': swap('{{who}}', '{{> who}}') }), /partials/, 15],
  [
    'a bad condition',
    () => ({ 'book.yml': swap('said.code == 0 &&', 'said.code = 0 &&') }),
    /not a CEL expression/,
    20,
  ],
  [
    'a condition in braces',
    () => ({ 'book.yml': swap('when: said.code == 0 && unit == "nginx"', "when: '{{said.code}} == 0'") }),
    /without \{\{/,
    20,
  ],
  [
    'a condition of the wrong types',
    () => ({ 'book.yml': swap('said.code == 0 &&', '1 + "a" == 0 &&') }),
    /./,
    20,
  ],
  ['a number for a condition', () => ({ 'book.yml': swap(/when: .*/, 'when: 5') }), /when/, 20],
  ['a bad invariant', () => ({ 'book.yml': swap('that: 1 < 2', 'that: 1 <') }), /not a CEL expression/, 7],
  [
    'an unknown handler',
    () => ({ 'book.yml': swap('notify: restart', 'notify: restrat') }),
    /no handler of this play is named `restrat`/,
    17,
  ],
  [
    'handlers in a circle',
    () => ({
      'book.yml': swap(
        "{ name: restart, shell: 'true' }",
        "{ name: restart, shell: 'true', notify: restart }",
      ),
    }),
    /circle/,
  ],
  [
    'a handler without a name',
    () => ({ 'book.yml': swap('{ name: restart, shell', '{ shell') }),
    /a handler needs a name/,
  ],
  [
    'an include that is missing',
    () => ({ 'book.yml': swap('more.yml', 'less.yml') }),
    /less\.yml does not exist/,
    25,
  ],
  ['an include of itself', { 'more.yml': '- include: more.yml\n' }, /include one another/],
  [
    'an include in a circle',
    { 'more.yml': '- include: b.yml\n', 'b.yml': '- include: more.yml\n' },
    /include one another/,
  ],
  [
    'an include with an error inside',
    { 'more.yml': "- { name: x, comand: 'true' }\n" },
    /`comand`: unknown module/,
    1,
  ],
  ['an include that is a mapping', { 'more.yml': 'a: 1\n' }, /list of tasks/],
  [
    'a variable that needs itself',
    () => ({ 'book.yml': swap('greeting: hello', "greeting: '{{who}}'") }),
    /greeting → who → greeting|who → greeting → who/,
    5,
  ],
  [
    'an id taken twice',
    () => ({
      'book.yml': swap('{ name: try,', '{ name: try, id: x,').replace(
        '{ name: mend,',
        '{ name: mend, id: x,',
      ),
    }),
    /id `x` is taken/,
    24,
  ],
  [
    'a loop over a text',
    () => ({ 'book.yml': swap('loop: [1, 2]', 'loop: twice') }),
    /loop: a list or a mapping is wanted/,
    24,
  ],
  [
    'a bad environment name',
    () => ({ 'book.yml': swap('loop: [1, 2]', "environment: { 'A B': x }") }),
    /letters, digits/,
    24,
  ],
  ['an input of an unknown type', () => ({ 'book.yml': swap('type: string', 'type: strng') }), /strng/, 4],
  ['a bad pattern of an input', () => ({ 'book.yml': swap("'^[0-9.]+$'", "'['") }), /pattern|regular/i, 4],
  ['an inventory that is missing', { 'inventory.yml': '' }, /expected/],
  [
    'an unknown host in a group',
    { 'inventory.yml': INVENTORY.replace('[a, b]', '[a, c]') },
    /`c`: unknown host/,
    15,
  ],
  [
    'a bad port',
    { 'inventory.yml': INVENTORY.replace('a: {', 'a: { connection: { port: 70000 }, ') },
    /port/,
    4,
  ],
  [
    'a circle in the inventory',
    { 'inventory.yml': INVENTORY.replace('base: /x', "base: '{{path}}'") },
    /base → path → base|path → base → path/,
    2,
  ],
  [
    'an unknown variable in the inventory',
    { 'inventory.yml': INVENTORY.replace('{{base}}', '{{bsae}}') },
    /unknown variable `bsae`/,
    2,
  ],
  [
    'groups in a circle',
    { 'inventory.yml': `${INVENTORY}  x: { groups: [y] }\n  y: { groups: [x] }\n` },
    /circle|contain/,
  ],
  [
    'an unknown connection key',
    { 'inventory.yml': INVENTORY.replace('transport: local', 'transprot: local') },
    /`transprot`: unknown/,
    1,
  ],
];

test.each<[string, Files | (() => Files), string]>([
  ['a module', () => ({ 'book.yml': swap('copy:', 'apt:') }), "Ansible's `apt` is `package` here"],
  ['a collection', () => ({ 'book.yml': swap('copy:', 'ansible.builtin.copy:') }), 'write `copy`'],
  ['with_items', () => ({ 'book.yml': swap('loop:', 'with_items:') }), 'is `loop` here'],
  [
    'a play keyword',
    () => ({ 'book.yml': swap('serial:', 'max_fail_percentage:') }),
    'is `max_failures` here',
  ],
  ['yes', () => ({ 'book.yml': swap('serial: 1', 'become: yes') }), 'write `true` or `false`'],
  ['a variable', () => ({ 'book.yml': swap('{{who}}', '{{inventory_hostname}}') }), 'is `host.name` here'],
  ['a fact', () => ({ 'book.yml': swap('{{who}}', '{{ansible_distribution}}') }), 'is in `facts` here'],
  ['a filter', () => ({ 'book.yml': swap('{{who}}', '{{who | default("x")}}') }), 'Handlebars, not Jinja'],
  ['is defined', () => ({ 'book.yml': swap(/when: .*/, 'when: said is defined') }), 'CEL, not Jinja'],
  [
    'key=value',
    () => ({ 'book.yml': swap(/copy: .*/, 'file: path=/tmp/a state=absent') }),
    'write `file: { path: … }`',
  ],
  [
    'too far to the right',
    () => ({ 'book.yml': swap('        command:', '         command:') }),
    'indented too far',
  ],
  [
    'in the inventory',
    { 'inventory.yml': 'hosts: { a: { ansible_host: x } }\n' },
    'is `connection: { address: … }` here',
  ],
])('a hint for who comes from Ansible: %s', async (_name, files, hint) => {
  const problems = await problemsOf(typeof files === 'function' ? files() : files);
  expect(problems.map((problem) => problem.hint ?? '').join('\n')).toContain(hint);
});

test('the playbook that the broken ones are made from is in order', async () => {
  expect(await problemsOf({})).toEqual([]);
});

test.each(BROKEN)('%s: one clear error with its place', async (_name, files, wanted, line) => {
  // Of this process alone: others may keep the machine busy.
  const startedAt = process.cpuUsage();
  const problems = await problemsOf(typeof files === 'function' ? files() : files);
  const { user, system } = process.cpuUsage(startedAt);
  expect((user + system) / 1000).toBeLessThan(2000);
  const text = errorText(problems.length === 1 ? problems[0] : new Problems(problems), { isColor: false });
  expect(text).toMatch(wanted);
  expect(text).not.toMatch(/^ {4}at |a bug of the engine|\[object Object\]|undefined/m);
  for (const problem of problems) expect(problem.code).toMatch(/^(parse|plan|usage)\./);
  if (line !== undefined) expect(problems.map(({ at }) => at?.line)).toContain(line);
  expect(text).toMatch(/\.yml/);
});

test('all mistakes of a file are told at once, each with its place', async () => {
  const problems = await problemsOf({
    'book.yml': GOOD.replace('copy:', 'cpoy:')
      .replace('retries: 2', 'retries: many')
      .replace('{{who}}', '{{whoo}}')
      .replace('seria', 'serea'),
  });
  expect(problems.length).toBeGreaterThanOrEqual(3);
  // An unknown variable too, which only the plan tells.
  expect(new Set(problems.map(({ at }) => at?.line))).toEqual(new Set([11, 15, 19, 22]));
  const later = await problemsOf({
    'book.yml': GOOD.replace('{{who}}', '{{whoo}}')
      .replace('unit ==', 'unti ==')
      .replace('notify: restart', 'notify: x'),
  });
  expect(later.map(({ at }) => at?.line)).toEqual([15, 17, 20]);
});

/** A thousand playbooks spoilt at random: whatever comes out, it is an error in words or a plan. */
test('a playbook spoilt anywhere never crashes the engine', async () => {
  let state = 7;
  const random = (n: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state % n;
  };
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ':',
    '- ',
    '\t',
    '\n',
    '"',
    "'",
    '{{',
    '}}',
    '&a ',
    '*a',
    '!!',
    '|',
    '#',
    '%',
    '\u2028',
    '0',
    'null',
  ];
  for (let i = 0; i < 300; i++) {
    const at = random(GOOD.length);
    const length = random(12);
    const piece = random(3) === 0 ? '' : (pieces[random(pieces.length)] ?? '');
    const text = GOOD.slice(0, at) + piece + GOOD.slice(at + length);
    const problems = await problemsOf({ 'book.yml': text }).catch((error: unknown) => {
      throw new Error(`crashed on ${JSON.stringify(text)}`, { cause: error });
    });
    for (const problem of problems) expect(problem.code).toMatch(/^(parse|plan|usage)\./);
  }
});

test.each([
  [['run', 'no-such.yml', '-i', 'x.yml'], 'does not exist'],
  [['run'], 'which playbook?'],
  [['run', 'x.yml'], 'which inventory?'],
  [['rnu'], 'did you mean `run`?'],
  [['run', '--frob'], "Unknown option '--frob'"],
  [['run', 'a.yml', 'b.yml', '-i', 'x'], 'one playbook at a time'],
  [['resume', 'nothing'], 'no run nothing'],
  [['run', 'x.yml', '-i', 'y', '--output', 'loud'], 'live, plain, jsonl or json'],
])('%j: exit code 2 and a sentence', async (args, wanted) => {
  const { dir } = project(GOOD);
  const { code, stdout, stderr } = await drillbook([...args, '--state', join(dir, 'state')]);
  expect(stderr).toContain(wanted);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect([code, stdout]).toEqual([2, '']);
});

test('a broken playbook on the command line: exit code 2, place, source line, nearest word, nothing run', async () => {
  const book = project(
    `tasks:\n  - { name: one, shell: 'touch {{dir}}/x' }\n  - { name: two, cmmand: 'true' }`,
  );
  const said = await drillbook(['run', book.playbook, '-i', book.inventory, '--state', book.state]);
  expect(said.code).toBe(2);
  expect(said.stderr).toContain('book.yml:6:');
  expect(said.stderr).toContain("{ name: two, cmmand: 'true' }");
  expect(said.stderr).toContain('did you mean `command`?');
  expect(said.stdout).toBe('');
});
