import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';

test('runs lists what there was, show tells it again, newest first', async () => {
  const book = project(`tasks: [{ name: one, command: 'echo hi' }, { name: two, command: 'false' }]`);
  const state = ['--state', book.state];
  const empty = await drillbook(['runs', ...state]);
  expect([empty.code, empty.stdout, empty.stderr]).toEqual([0, '', 'no runs yet\n']);
  const ran = await drillbook(['run', book.playbook, '-i', book.inventory, ...state, '--output', 'jsonl']);
  expect(ran.code).toBe(1);
  const [row] = (await drillbook(['runs', ...state, '--output', 'json'])).stdout.trim().split('\n');
  expect(JSON.parse(row ?? '')).toMatchObject({
    name: 'Test',
    outcome: 'failed',
    exitCode: 1,
    isCheck: false,
  });
  const { run } = JSON.parse(row ?? '') as { run: string };
  const shown = await drillbook(['show', run, ...state, '--output', 'jsonl']);
  expect(shown.stdout).toBe(ran.stdout);
  const text = await drillbook(['show', ...state]);
  expect(text.stdout).toContain('two');
  expect((await drillbook(['runs', ...state])).stdout).toMatch(new RegExp(`^${run} .* failed .* Test\\n$`));
});

test.each([
  [['--forks', '0'], '--forks 0: a whole number'],
  [['--step'], 'no terminal to ask on'],
])('%j is refused before a run is begun for it', async (options, wanted) => {
  const book = project(`tasks: [{ name: one, command: 'true' }]`);
  const said = await drillbook([
    'run',
    book.playbook,
    '-i',
    book.inventory,
    '--state',
    book.state,
    ...options,
  ]);
  expect(said.code).toBe(2);
  expect(said.stderr).toContain(wanted);
  expect(() => readdirSync(book.state)).toThrow('ENOENT');
});

test('a reader that goes away does not end the run', async () => {
  const book = project(
    `tasks: [{ name: one, shell: 'touch {{dir}}/one' }, { name: two, shell: 'touch {{dir}}/two' }]`,
  );
  const { execFileSync } = await import('node:child_process');
  const main = new URL('../../engine/cli/drillbook.js', import.meta.url).pathname;
  const words = [process.execPath, main, 'run', book.playbook, '-i', book.inventory, '--state', book.state];
  execFileSync('sh', ['-c', '"$@" | head -n 1', 'sh', ...words]);
  expect(readdirSync(`${book.dir}/a`).toSorted()).toEqual(['one', 'two']);
});

test('explain-var names every place that sets a variable, and the one that wins; secrets stay unseen', async () => {
  const book = project(
    `
name: T
vars_files: [more.yml]
vars: { size: 3 }
plays:
  - hosts: a
    name: one
    vars: { size: 4 }
    tasks: [{ name: t, command: 'true', vars: { size: 5 }, register: out }]
`,
    {
      files: { 'more.yml': 'size: 2\n' },
      inventory: `
vars: { size: 0, password: !secret hunter22 }
groups: { both: { hosts: [a], vars: { size: 1 } } }
hosts: { a: {}, b: {} }
`,
    },
  );
  const explain = (...args: string[]): ReturnType<typeof drillbook> =>
    drillbook(['explain-var', ...args, '-i', book.inventory, '--output', 'json']);
  const said = await explain('size', '--host', 'a', book.playbook);
  const { settings } = JSON.parse(said.stdout) as {
    settings: { layer: string; value: number; isWinner: boolean; place: string }[];
  };
  expect(settings.map(({ layer, value, isWinner }) => [layer, value, isWinner])).toEqual([
    ['inventory', 0, false],
    ['group both', 1, false],
    ['vars_files more.yml', 2, false],
    ['playbook', 3, true],
    ['play one', 4, false],
    ['task t', 5, false],
  ]);
  expect(settings[3]?.place).toMatch(/book\.yml:4:\d+$/);
  const other = await explain('size', '--host', 'b');
  expect(JSON.parse(other.stdout)).toMatchObject({ settings: [{ layer: 'inventory', isWinner: true }] });
  expect((await explain('password', '--host', 'a')).stdout).not.toContain('hunter22');
  expect((await explain('nothing', '--host', 'a')).code).toBe(1);
  const wrong = await explain('size', '--host', 'aa');
  expect([wrong.code, wrong.stderr.includes('did you mean `a`?')]).toEqual([2, true]);
});

test('explain-var knows cluster settings, defaults of their stack and inputs, and paths into values', async () => {
  const book = project(
    `
name: T
inputs: { size: { type: integer, default: 7 }, word: { type: secret, default: hushhush } }
plays: [{ hosts: all, tasks: [{ name: t, command: 'true' }] }]
`,
    {
      inventory: `
connection: { transport: local }
hosts: { a: { vars: { deep: { er: [1, 2] } } }, b: {}, c: {} }
clusters:
  pair:
    stack: dbackup
    nodes: [a, b]
    settings:
      database: { name: books, catalog: { user: u, password: !secret hunter22 }, replication: { user: r, password: !secret hunter33 } }
      heartbeats: [{ addresses: { a: 10.0.0.1, b: 10.0.0.2 } }]
      vips: [{ address: 10.0.0.3, interfaces: { a: eth0, b: eth0 } }]
`,
    },
  );
  const explain = async (name: string, host = 'a') => {
    const said = await drillbook([
      'explain-var',
      name,
      '-i',
      book.inventory,
      '--host',
      host,
      book.playbook,
      '--output',
      'json',
    ]);
    expect(said.stdout).not.toMatch(/hunter|hushhush/);
    const { settings } = JSON.parse(said.stdout) as {
      settings: { layer: string; value: unknown; place?: string }[];
    };
    return settings.map(({ layer, value, place }) => [layer, value, place?.split(':')[1]]);
  };
  expect(await explain('cluster.settings.database.name')).toEqual([['cluster pair', 'books', '9']]);
  expect(await explain('cluster.settings.virtual_router_id')).toEqual([
    ['default of the stack', 51, undefined],
  ]);
  expect(await explain('cluster.settings.database.catalog.password')).toEqual([
    ['cluster pair', '‹secret›', '9'],
  ]);
  expect(await explain('cluster.settings.database.name', 'c')).toEqual([]);
  expect(await explain('inputs.size')).toEqual([['default of input size', 7, '3']]);
  expect(await explain('inputs.word')).toEqual([['default of input word', '‹secret›', '3']]);
  expect(await explain('deep.er')).toEqual([['host a', [1, 2], '3']]);
});

test('resume without a name passes over a run that was never confirmed', async () => {
  const begun = project(`tasks: [{ name: one, command: 'false' }]`);
  const state = ['--state', begun.state];
  await drillbook(['run', begun.playbook, '-i', begun.inventory, ...state]);
  const refused = project(`
name: Dangerous
confirm: Sure?
plays: [{ hosts: all, tasks: [{ name: never, command: 'true' }] }]
`);
  expect((await drillbook(['run', refused.playbook, '-i', refused.inventory, ...state])).code).toBe(5);
  const resumed = await drillbook(['resume', ...state]);
  expect([resumed.code, resumed.stdout]).toEqual([1, expect.stringContaining('one')]);
});
