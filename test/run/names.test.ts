import { expect, test } from 'vitest';
import { finished, run } from './_engine.ts';

const INVENTORY = (dir: string): string => `
connection: { transport: local }
vars: { at_all: all, at_group: all, at_inner: all, at_host: all, at_book: all, at_play: all, at_block: all, at_task: all, at_set: all, at_extra: all, dir: ${dir} }
groups:
  outer: { groups: [inner], vars: { at_group: outer, at_inner: outer, at_host: outer, at_book: outer, at_play: outer, at_block: outer, at_task: outer, at_set: outer, at_extra: outer } }
  inner: { hosts: [a], vars: { at_inner: inner, at_host: inner, at_book: inner, at_play: inner, at_block: inner, at_task: inner, at_set: inner, at_extra: inner } }
hosts:
  a: { vars: { at_host: host, at_book: host, at_play: host, at_block: host, at_task: host, at_set: host, at_extra: host } }
  other: {}
`;

const PLAYBOOK = `
vars_files: [vars.yml]
vars: { at_book: book, at_play: book, at_block: book, at_task: book, at_set: book, at_extra: book }
plays:
  - hosts: a
    vars: { at_play: play, at_block: play, at_task: play, at_set: play, at_extra: play }
    tasks:
      - block:
          - set: { at_set: set, at_extra: set }
          - name: NAME
            command: 'echo {{VARIABLE}}'
            vars: { at_task: task, at_set: task, at_extra: task }
        vars: { at_block: block, at_task: block, at_set: block, at_extra: block }
`;

test.each([
  ['at_all', 'all'],
  ['at_group', 'outer'],
  ['at_inner', 'inner'],
  ['at_host', 'host'],
  ['at_file', 'file'],
  ['at_book', 'book'],
  ['at_play', 'play'],
  ['at_block', 'block'],
  ['at_task', 'task'],
  ['at_set', 'set'],
  ['at_extra', 'extra'],
])(
  '%s is %s: inventory < group < host < vars_files < playbook < play < block < task < set < -e',
  async (name, value) => {
    const ran = await run(PLAYBOOK.replace('VARIABLE', name).replace('NAME', 'say'), {
      inventory: INVENTORY('/tmp'),
      files: { 'vars.yml': 'at_file: file\nat_book: file\nat_host: file\n'.replace('at_host: file\n', '') },
      given: { at_extra: 'extra' },
    });
    expect(finished(ran, 'say').result['stdout']).toBe(`${value}`);
  },
);

test('vars_files may depend on an input, in their order', async () => {
  const ran = await run(
    `
inputs: { site: { type: string } }
vars_files: [first.yml, 'site-{{inputs.site}}.yml', last.yml]
plays:
  - { hosts: all, tasks: [{ name: say, command: 'echo {{one}}{{two}}{{three}}' }] }
`,
    {
      files: {
        'first.yml': 'one: 1\ntwo: 1\nthree: 1\n',
        'site-berlin.yml': 'two: 2\nthree: 2\n',
        'last.yml': 'three: 3\n',
      },
      given: { site: 'berlin' },
    },
  );
  expect(finished(ran, 'say').result['stdout']).toBe('123');
});

test('a variable may use others, late; a template that is one path keeps the type', async () => {
  const ran = await run(`
vars: { base: /x, path: '{{base}}/y', list: [1, 2], same: '{{list}}' }
tasks:
  - { name: say, command: 'echo {{path}} {{item}}', loop: '{{same}}', vars: { base: /z }, register: out }
`);
  const results = finished(ran, 'say').result['results'] as { stdout: string }[];
  expect(results.map(({ stdout }) => stdout)).toEqual(['/z/y 1', '/z/y 2']);
});

test.each([
  ['{{sh x}}', { x: "a'b" }, `'a'\\''b'`],
  ['{{sql x}}', { x: "a'b" }, "'a''b'"],
  ['{{default missing.of "d"}}', {}, 'd'],
  ['{{join list "-"}}', { list: [1, 2] }, '1-2'],
  ['{{json map}}', { map: { a: [1] } }, '{"a":[1]}'],
  ['{{b64 x}}', { x: 'hi' }, 'aGk='],
  ['{{ipnet x}}', { x: '10.0.0.5/24' }, '10.0.0.0/24'],
  ['{{#if yes}}y{{else}}n{{/if}}{{#if no}}y{{else}}n{{/if}}', { yes: true, no: false }, 'yn'],
  ['{{#each list}}{{this}};{{/each}}', { list: ['a', 'b'] }, 'a;b;'],
  ['{{#each list as |one|}}{{one}}{{../x}};{{/each}}', { list: ['a', 'b'], x: '!' }, 'a!;b!;'],
  ['{{#each list as |one|}}{{x}}{{/each}}', { list: ['a'], x: '!' }, 'inside a block with `as |one|`'],
  ['{{#each list as |one|}}{{#each one.l}}{{n}}{{/each}}{{/each}}', { list: [{ l: [{ n: 5 }] }] }, '5'],
  ['{{#each list}}{{n}}{{../x}}{{/each}}', { list: [{ n: 1 }], x: '!' }, '1!'],
  ['<{{x}}>&"', { x: '<&>' }, '<<&>>&"'],
  ['{{log}} {{item}}', { log: 'l' }, 'unknown variable `item`'],
  ['{{a.b}}', { a: {} }, 'unknown variable `a.b`'],
  ['x{{a.b.c}}', { a: {} }, 'unknown variable `a.b`'],
  ['x{{a.constructor}}', { a: {} }, 'unknown variable'],
  ['{{a.__proto__}}', { a: {} }, 'unknown variable'],
])('%s with %o is %s', async (text, scope, wanted) => {
  const { render } = await import('../../engine/parse/template.ts');
  let said: unknown;
  try {
    said = render(text, scope, 'text');
  } catch (error) {
    said = (error as Error).message;
  }
  expect(String(said)).toContain(wanted);
});

test('the variables of another host are rendered as that host sees them', async () => {
  const ran = await run(
    `plays: [{ hosts: a, tasks: [{ name: one, command: 'echo {{hosts.b.vars.greeting}} {{hosts.b.vars.plain}}' }] }]`,
    {
      inventory: `
connection: { transport: local }
vars: { greeting: 'I am {{host.name}}, {{plain}}' }
hosts: { a: { vars: { plain: left } }, b: { vars: { plain: right } } }
`,
    },
  );
  expect(finished(ran, 'one').result['stdout']).toBe('I am b, right right');
});

test('delegate_to a host that nobody knows is an error of the plan', async () => {
  const wrong = run(`tasks: [{ name: one, command: 'true', delegate_to: aa }]`);
  await expect(wrong).rejects.toMatchObject({
    problems: [{ code: 'plan.delegate', hint: 'did you mean `a`?', at: { line: 4 } }],
  });
  expect((await run(`tasks: [{ name: one, command: 'true', delegate_to: localhost }]`)).code).toBe(0);
});

test('a group inside another wins over it, however they are ordered and although they have the same hosts', async () => {
  for (const groups of [
    'outer: { groups: [inner], vars: { at: outer } }, inner: { hosts: [a], vars: { at: inner } }',
    'inner: { hosts: [a], vars: { at: inner } }, outer: { groups: [inner], vars: { at: outer } }',
  ]) {
    const inventory = `connection: { transport: local }\nhosts: { a: {} }\ngroups: { ${groups} }\n`;
    const ran = await run(`tasks: [{ name: one, command: 'echo {{at}}' }]`, { inventory });
    expect(finished(ran, 'one').result['stdout']).toBe('inner');
  }
});
