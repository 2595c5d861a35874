import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { call } from './_call.ts';

function folder(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-lint-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

const book = (tasks: string, more = ''): string =>
  `name: x\n${more}plays:\n  - hosts: all\n    tasks: ${tasks}\n`;

test('a mistake in a file that two playbooks include is told once', async () => {
  const include = book('[{ include: part.yml }]');
  const dir = folder({ 'a.yml': include, 'b.yml': include, 'part.yml': "- { comand: 'true' }\n" });
  const { code, stderr } = await call(['lint', dir]);
  expect([code, stderr.match(/error:/g)?.length]).toEqual([2, 1]);
  expect(stderr).toContain('part.yml:1:5: error: `comand`: unknown module');
});

test('a file of tasks that nothing includes is checked by itself', async () => {
  const dir = folder({ 'part.yml': "- { comand: 'true' }\n" });
  const { code, stderr } = await call(['lint', dir]);
  expect([code, stderr]).toEqual([2, expect.stringContaining('part.yml:1:5: error:')]);
});

test('settings of a cluster are held against its stack', async () => {
  const dir = folder({
    'i.yml':
      'hosts: { a: {}, b: {} }\nclusters: { p: { stack: dbackup, nodes: [a, b], settings: { database: { flavour: mysqul } } } }\n',
  });
  const { code, stderr } = await call(['lint', join(dir, 'i.yml')]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/i\.yml:2:\d+: error: .*mysqul/)]);
});

test('a template is checked in its own file and place, with the names of the step that renders it', async () => {
  const dir = folder({
    'book.yml': book('[{ template: { src: t.hbs, dest: /tmp/x }, vars: { own: 1 } }]'),
    'templates/t.hbs':
      'fine {{own}} {{host.name}}\n  wrong {{hsot.name}}\n{{#each host.groups as |g|}}{{@root.nope}}{{/each}}\n',
    'i.yml': 'hosts: { a: {} }\n',
  });
  const { stderr } = await call(['lint', join(dir, 'book.yml'), '-i', join(dir, 'i.yml')]);
  expect(stderr).toContain('t.hbs:2:11: error: unknown variable `hsot`');
  expect(stderr).toContain('  wrong {{hsot.name}}\n    |           ^\n  hint: did you mean `host`?');
  expect(stderr).toContain('t.hbs:3:31: error: unknown variable `nope`');
});

test('an input counts as used where a variable of an included playbook has it', async () => {
  const dir = folder({
    'inner.yml': book('[{ debug: "{{name}}" }]', "inputs: { who: {} }\nvars: { name: '{{inputs.who}}' }\n"),
    'book.yml': 'name: Book\nplays: [{ include: inner.yml }]\n',
    'i.yml': 'hosts: { a: {} }\n',
  });
  const { code, stderr } = await call(['lint', join(dir, 'book.yml'), '-i', join(dir, 'i.yml')]);
  expect([code, stderr]).toEqual([0, '']);
});

const ADVICE: readonly (readonly [string, string, string])[] = [
  [
    'an input for nothing',
    book('[{ debug: {} }]', 'inputs: { unused: {} }\n'),
    'nothing uses the input `unused`',
  ],
  [
    'a handler for nothing',
    `${book('[{ debug: {} }]')}    handlers: [{ name: lonely, debug: {} }]\n`,
    'nothing notifies the handler `lonely`',
  ],
  [
    'a password in plain text',
    book('[{ debug: {} }]', 'vars: { db_password: hunter2 }\n'),
    '`db_password` stands here in plain text',
  ],
  [
    'a destroying command',
    book("[{ shell: 'rm -rf /var/lib/mysql' }]"),
    '`rm -rf` destroys, and the operator is not asked',
  ],
  [
    'a slip of the finger',
    book("[{ command: 'true', register: found }, { debug: { msg: '{{fuond.stdout}}' } }]"),
    'unknown variable `fuond`',
  ],
];

test.each(ADVICE)('%s is a warning, and an error with --strict', async (_name, text, message) => {
  const path = join(folder({ 'book.yml': text }), 'book.yml');
  const { code, stdout, stderr } = await call(['lint', path]);
  expect([code, stdout]).toEqual([0, '1 file in order\n']);
  expect(stderr).toMatch(/book\.yml:\d+:\d+: warning: /);
  expect(stderr).toContain(message);
  expect(stderr).not.toContain('hunter2');
  expect((await call(['lint', path, '--strict'])).code).toBe(2);
});

test.each([
  book('[{ debug: {} }]', 'vars: { db_password: !secret hunter2 }\n'),
  book("[{ shell: 'rm -rf /var/lib/mysql', destroys: the Catalog }]"),
  book("[{ debug: { msg: '{{inputs.used}}' } }]", 'inputs: { used: {} }\n'),
])('nothing to say of %s', async (text) => {
  const { code, stderr } = await call(['lint', join(folder({ 'book.yml': text }), 'book.yml'), '--strict']);
  expect([code, stderr]).toEqual([0, '']);
});

test('as JSON: severity, code, place, hint and line of each', async () => {
  const dir = folder({ 'book.yml': book("[{ comand: 'true' }]") });
  const { code, stdout, stderr } = await call(['lint', dir, '--output', 'json']);
  const { files, problems } = JSON.parse(stdout) as { files: number; problems: readonly object[] };
  expect([code, files, stderr]).toEqual([2, 0, '']);
  expect(problems).toEqual([
    {
      severity: 'error',
      code: 'parse.task',
      message: '`comand`: unknown module',
      hint: 'did you mean `command`?',
      at: { file: join(dir, 'book.yml'), line: 4, column: 15 },
      excerpt: "    tasks: [{ comand: 'true' }]",
    },
  ]);
});

test('a path that is not there: the nearest name beside it', async () => {
  const dir = folder({ 'switch.yml': book('[{ debug: {} }]') });
  const { code, stderr } = await call(['lint', join(dir, 'swtich.yml')]);
  expect([code, stderr]).toEqual([2, expect.stringContaining('did you mean `switch.yml`?')]);
});

const WRONG = `name: x
plays:
  - hosts: nowhere
    tasks:
      - comand: 'true'
        register: said
      - shell: 'true'
        register: done
        whn: x
      - assert: { that: said.anything == 1 && done.rc == 0 && nope }
        notify: nobody
`;
const ALL_WRONG = [
  '5:9: error: `comand`: unknown module',
  '9:9: error: `whn`: unknown keyword',
  '3:5: error: `nowhere`: no host',
  '10:47: error: `done` has no `rc`',
  'did you mean `code`?',
  'error: unknown variable `nope`',
  '11:9: error: no handler of this play is named `nobody`',
];

test.each(['lint', 'run', 'plan'])(
  '%s tells all that is wrong at once, of text and of plan',
  async (command) => {
    const dir = folder({ 'book.yml': WRONG, 'i.yml': 'hosts: { a: {} }\n' });
    const { code, stderr } = await call([command, join(dir, 'book.yml'), '-i', join(dir, 'i.yml')]);
    expect(code).toBe(2);
    for (const text of ALL_WRONG) expect(stderr).toContain(text);
    // What the unknown module would have registered is no mistake.
    expect(stderr).not.toContain('`said`');
    expect(stderr).toContain('6 problems');
  },
);

test('what follows from an include that cannot be read is not told', async () => {
  const dir = folder({
    'book.yml': book("[{ include: gone.yml }, { assert: { that: 'fromThere == 1' } }]"),
    'i.yml': 'hosts: { a: {} }\n',
  });
  const { stderr } = await call(['lint', join(dir, 'book.yml'), '-i', join(dir, 'i.yml')]);
  expect(stderr).toContain('gone.yml');
  expect(stderr).not.toContain('unknown variable');
});

test.each([
  ['command: {{x}}', 19],
  ['command: {{x}} y', 24],
  ['copy: { content: x, dest: /srv/{{x}} }', 40],
  ['debug: { msg: {{x}} }', 24],
])('braces that begin a mapping where a template is meant: %s', async (text, column) => {
  const dir = folder({
    'book.yml': `name: x\nplays:\n  - hosts: all\n    tasks:\n      - ${text}\n      - debug: { msg: y }\n`,
  });
  const { code, stderr } = await call(['lint', join(dir, 'book.yml')]);
  expect(code).toBe(2);
  expect(stderr).toContain(
    `book.yml:5:${column}: error: a value with \`{{…}}\` in it has to stand in quotes`,
  );
  expect(stderr.match(/error:/g)).toHaveLength(1);
});
