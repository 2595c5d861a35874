import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { call } from '../cli/_call.ts';

const INVENTORY = `connection: { transport: local }
vars: { both: 1, dirs: { data: /x } }
hosts:
  a: { vars: { only_a: 5, port: 3306 } }
  b: { vars: { port: 3307 } }
clusters:
  pair:
    stack: dbackup
    nodes: [a, b]
    settings:
      database: { replication: { user: repl, password: !secret x } }
      heartbeats: [{ addresses: { a: 10.0.0.1, b: 10.0.0.2 } }]
      vips: [{ address: 10.0.0.120, interfaces: { a: eth0, b: eth0 } }]
`;

const HEAD = `name: x
inputs: { version: { type: string }, count: { type: integer }, list: { type: list } }
invariants:
  - { name: one, that: cluster.primaries.size() <= 1 }
plays:
  - hosts: all
    tasks:
`;

interface Row {
  readonly message: string;
  readonly at: { readonly line: number; readonly column: number };
  readonly hint?: string;
}

async function lint(tasks: string, head = HEAD): Promise<readonly Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-names-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const [book, inventory] = [join(dir, 'book.yml'), join(dir, 'inventory.yml')];
  writeFileSync(book, head + tasks.replace(/^/gm, '      '));
  writeFileSync(inventory, INVENTORY);
  const { stdout } = await call(['lint', book, '-i', inventory, '--output', 'json']);
  const { problems } = JSON.parse(stdout) as { readonly problems: readonly (Row & { severity: string })[] };
  return problems.filter(({ severity }) => severity === 'error');
}

const said = "- { name: one, command: 'true', register: said }\n";
const debug = (when: string): string => `- { debug: {}, when: '${when}' }`;
const shows = (text: string): string => `- debug: { msg: '${text}' }`;

/** Tasks, the message, what the caret stands under (the last time it is there), the hint. */
test.each<[string, string, string, string?]>([
  [said + shows('{{said.stdotu}}'), '`said` has no `stdotu`', 'said.stdotu', 'stdout'],
  [said + debug('said.cod == 0'), '`said` has no `cod`', 'said.cod', 'code'],
  [said + debug('said["cod"] == 0'), '`said` has no `cod`', 'said["cod"]', 'code'],
  [shows('{{said.stdout}}') + '\n' + said, '`said` has no value yet', 'said.stdout', 'book.yml:9'],
  [
    debug('inputs.version == 5'),
    '`inputs.version` is text and `5` a number: never equal',
    'inputs.version ==',
  ],
  [
    debug('inputs.count > "3"'),
    '`inputs.count` is a number and `"3"` text: they have no order',
    'inputs.count',
  ],
  [debug('inputs.count'), 'gives a number, not true or false', 'inputs.count'],
  [debug('true && inputs.version'), '`inputs.version` is text, not true or false', 'inputs.version'],
  [debug('5 in inputs.version'), '`inputs.version` is text, not a list', '5 in'],
  [
    debug('inputs.count.contains("x")'),
    '`inputs.count` is a number, and `contains` is for text',
    'inputs.count',
  ],
  [
    debug('1 + inputs.version == 2'),
    '`1` is a number and `inputs.version` text: `+` does not work on them',
    '1 +',
  ],
  [shows('{{inputs.verion}}'), 'unknown input `verion`', 'inputs.verion', 'version'],
  [shows('{{default inputs.verion 1}}'), 'unknown input `verion`', 'inputs.verion', 'version'],
  [shows('{{dirs.dta}}'), '`dirs` has no `dta`', 'dirs.dta', 'data'],
  [shows('{{host.adress}}'), '`host` has no `adress`', 'host.adress', 'address'],
  [
    shows('{{cluster.settings.databse.name}}'),
    '`cluster.settings` has no `databse`',
    'cluster.s',
    'database',
  ],
  [shows('{{hosts.c.vars.port}}'), '`hosts` has no `c`', 'hosts.c'],
  [shows('{{peer.vars.prot}}'), '`peer.vars` has no `prot`', 'peer.vars', 'port'],
  [shows('{{facts.os.name}}'), 'no facts are gathered', 'facts.os', 'gather'],
  [shows('{{only_a}}'), '`only_a` has no value on b', 'only_a'],
  [`- { debug: { msg: '{{item.b}}' }, loop: [{ a: 1 }] }`, '`item` has no `b`', 'item.b', 'a'],
  [
    "- { command: 'true', loop: [1], register: all }\n" + debug('all.results.exists(r, r.cod == 0)'),
    '`r` has no `cod`',
    'r.cod',
    'code',
  ],
  ["- { command: 'true', until: result.cod == 0 }", '`result` has no `cod`', 'result.cod', 'code'],
])('%s', async (tasks, message, under, hint = '') => {
  const rows = await lint(tasks);
  expect(rows.map((row) => row.message)).toEqual([message]);
  const lines = (HEAD + tasks.replace(/^/gm, '      ')).split('\n');
  const line = lines[(rows[0]?.at.line ?? 0) - 1] ?? '';
  expect(line.slice((rows[0]?.at.column ?? 0) - 1)).toMatch(new RegExp(`^${RegExp.escape(under)}`));
  expect(rows[0]?.hint ?? '').toContain(hint);
});

test.each([
  said + debug('said.code == 0 && said.stdout.trim() == "x" && !said.skipped'),
  said + debug('has(said.nothing) || said.changed'),
  shows('{{default nothing "x"}}'),
  '- { debug: { msg: \'{{only_a}}\' }, when: host.name == "a" }',
  "- { debug: { msg: '{{only_a}}' }, vars: { only_a: 1 } }",
  '- { facts: {} }\n' + shows('{{facts.os.name}}'),
  "- { command: 'true', loop: [1], register: all }\n" +
    debug('all.results.all(r, r.code == 0 && r.item == 1)'),
  '- { set: { mine: { a: 1 } } }\n' + shows('{{mine.a}}'),
  debug('inputs.list.exists(x, x == 5) && inputs.count > 2 && inputs.version.startsWith("1")'),
  "- { block: [{ command: 'true', register: inner }], rescue: [{ debug: { msg: '{{inner.stdout}}' } }] }",
])('in order: %s', async (tasks) => {
  expect(await lint(tasks)).toEqual([]);
});

test.each([
  ['cluster.primares.size()', '`cluster` has no `primares`'],
  ['clutser.primaries.size()', 'unknown variable `clutser`'],
])('an invariant of %s', async (by, message) => {
  const rows = await lint(said, HEAD.replace('cluster.primaries.size()', by));
  expect(rows.map((row) => [row.message, row.at.line])).toEqual([[message, 4]]);
});

test('what is confirmed may speak of an input that has no value yet', async () => {
  expect(await lint(said, HEAD.replace('inputs:', "confirm: 'To {{inputs.version}}'\ninputs:"))).toEqual([]);
});

const opt = 'cluster.settings.database.opt';
test.each([
  ['an `if` around it', shows(`{{#if ${opt}}}{{${opt}}} {{${opt}.sub}}{{/if}}`), []],
  [
    'an `if` in a block',
    shows(`{{#each inputs.list}}{{#if @root.${opt}}}{{@root.${opt}.sub}}{{/if}}{{/each}}`),
    [],
  ],
  ['`has` of the task', `- { debug: { msg: '{{${opt}.sub}}' }, when: 'has(${opt})' }`, []],
  ['`has` of the block', `- { block: [{ debug: { msg: '{{${opt}}}' } }], when: 'has(${opt})' }`, []],
  ['the `else` of it', shows(`{{#if ${opt}}}{{else}}{{${opt}}}{{/if}}`), ['opt']],
  ['an `if` of another', shows(`{{#if cluster.settings.database.opts}}{{${opt}}}{{/if}}`), ['opt']],
  ['`has` of another', `- { debug: { msg: '{{${opt}}}' }, when: 'has(${opt}s)' }`, ['opt']],
])('what a condition asks for may be missing: %s', async (_, tasks, wanted) => {
  const lacking = wanted.map((name) => `\`cluster.settings.database\` has no \`${name}\``);
  expect((await lint(tasks)).map(({ message }) => message)).toEqual(lacking);
});

test('what is confirmed speaks of inputs and the cluster only', async () => {
  const rows = await lint(
    said,
    HEAD.replace('inputs:', "confirm: '{{inputs.verion}} {{cluster.nme}} {{both}}'\ninputs:"),
  );
  expect(rows.map((row) => row.message)).toEqual([
    'unknown input `verion`',
    '`cluster` has no `nme`',
    'unknown variable `both`',
  ]);
});
