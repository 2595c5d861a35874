import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { project, run } from './_engine.ts';

test('tasks run in the order of the file, hosts side by side within a task', async () => {
  const { code, story } = await run(
    `
tasks:
  - { name: one, command: 'true' }
  - { name: two, command: 'true' }
`,
    { hosts: ['a', 'b'] },
  );
  expect(story.map((line) => line.slice(0, 3))).toEqual(['one', 'one', 'two', 'two']);
  expect(story.toSorted()).toEqual(['one@a changed', 'one@b changed', 'two@a changed', 'two@b changed']);
  expect(code).toBe(0);
});

test('a host that fails leaves the play; the others go on and the run fails', async () => {
  const { code, story } = await run(
    `
tasks:
  - { name: one, command: 'test a != {{host.name}}' }
  - { name: two, command: 'true' }
`,
    { hosts: ['a', 'b'] },
  );
  expect(story.toSorted()).toEqual(
    ['one@a failed', 'one@b changed', 'two changed'].map((line) => line.replace('two', 'two@b')),
  );
  expect(code).toBe(1);
});

test('a play whose hosts all failed ends the run: the next play finds other hosts, and leaves them alone', async () => {
  const { code, story } = await run(
    `
plays:
  - { name: standby first, hosts: a, tasks: [{ name: upgrade a, command: 'false' }] }
  - { name: then primary, hosts: b, tasks: [{ name: upgrade b, command: 'true' }] }
`,
    { hosts: ['a', 'b'] },
  );
  expect(story).toEqual(['upgrade a failed']);
  expect(code).toBe(1);
});

test.each([
  ['1', [['a'], ['b'], ['c'], ['d']]],
  [
    '50%',
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  ],
  ['[1, 2]', [['a'], ['b', 'c'], ['d']]],
  ['[1, "100%"]', [['a'], ['b', 'c', 'd']]],
  ['"10%"', [['a'], ['b'], ['c'], ['d']]],
])('serial %s takes the hosts in batches, each through the whole play', async (serial, batches) => {
  const book = project(
    `
serial: ${serial}
tasks:
  - { name: in, shell: 'echo in-{{host.name}} >> {{log}}' }
  - { name: out, shell: 'echo out-{{host.name}} >> {{log}}' }
`,
    { hosts: ['a', 'b', 'c', 'd'] },
  );
  const { code } = await book.go();
  expect(code).toBe(0);
  const lines = readFileSync(`${book.dir}/log`, 'utf8').trim().split('\n');
  let from = 0;
  for (const batch of batches) {
    const names = lines.slice(from, from + 2 * batch.length);
    expect(names.slice(0, batch.length).toSorted()).toEqual(batch.map((name) => `in-${name}`));
    expect(names.slice(batch.length).toSorted()).toEqual(batch.map((name) => `out-${name}`));
    from += 2 * batch.length;
  }
});

test('any_errors_fatal takes every host out; max_failures bears so many', async () => {
  const tasks = `
tasks:
  - { name: one, command: 'test {{host.name}} != a' }
  - { name: two, command: 'test {{host.name}} != b' }
  - { name: three, command: 'true' }
`;
  const hosts = ['a', 'b', 'c'];
  const fatal = await run(`any_errors_fatal: true${tasks}`, { hosts });
  expect(fatal.story.filter((line) => !line.startsWith('one'))).toEqual([]);
  const one = await run(`max_failures: 1${tasks}`, { hosts });
  expect(one.story.filter((line) => line.startsWith('three'))).toEqual([]);
  expect(one.story.filter((line) => line.startsWith('two'))).toHaveLength(2);
  const two = await run(`max_failures: 2${tasks}`, { hosts });
  expect(two.story.filter((line) => line.startsWith('three'))).toEqual(['three@c changed']);
  expect([fatal.code, one.code, two.code]).toEqual([1, 1, 1]);
});

test('a host that cannot be reached is unreachable, the run fails, other hosts go on', async () => {
  const { code, story } = await run(`tasks: [{ name: one, command: 'true' }]`, {
    inventory: `
hosts:
  a: { connection: { transport: local } }
  gone: { connection: { address: 127.0.0.1, port: 1, user: nobody, connect_timeout: 5s } }
`,
  });
  expect(story.toSorted()).toEqual(['one@a changed', 'one@gone unreachable']);
  expect(code).toBe(1);
});

test('rescue takes over a host that cannot be reached', async () => {
  const { code, story } = await run(
    `
tasks:
  - block: [{ name: far, command: 'true', delegate_to: gone }]
    rescue: [{ name: near, command: 'true' }]
`,
    {
      inventory: `
groups: { here: { hosts: [a] } }
hosts:
  a: { connection: { transport: local } }
  gone: { connection: { address: 127.0.0.1, port: 1, user: nobody, connect_timeout: 5s } }
`,
      selection: { limit: 'a' },
    },
  );
  expect(story).toEqual(['far unreachable', 'near changed']);
  expect(code).toBe(0);
});
