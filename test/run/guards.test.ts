import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import type { ClusterStatus, Role } from '../../engine/core/cluster.ts';
import type { RunEvent } from '../../engine/core/event.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { localInventory, project } from './_engine.ts';
import type { Project, Ran } from './_engine.ts';
import { begin, resume } from './_matrix.ts';

/** Who is what, and how often the pair was read: stands in for reading it on its nodes. */
const pair = vi.hoisted(() => ({ roles: (): Record<string, Role> => ({}), reads: 0, changes: 0 }));

vi.mock('../../engine/cluster/stacks.ts', async (original) => ({
  ...(await original<object>()),
  readStatus: ({ name, stack }: { name: string; stack: string }): Promise<ClusterStatus> => {
    pair.reads++;
    const problems =
      pair.changes-- > 0 ? [{ code: 'roles-disagree', message: 'the VIP moved first', hint: '' }] : [];
    const nodes = Object.entries(pair.roles()).map(([node, role]) => ({
      ...{ name: node, address: node, online: role !== 'unknown', role },
      ...{ witnesses: {}, services: {} },
    }));
    return Promise.resolve({
      ...{
        cluster: name,
        stack,
        state: 'running',
        nodes,
        vips: [],
        heartbeats: [],
        arbitration: {},
        problems,
      },
      replication: { kind: 'mysql', state: 'running', lagSeconds: 0, percent: null },
    });
  },
}));

/** What a run left behind that died. */
const freeLock = (): void => rmSync('/var/lib/drillbook/locks/pair', { recursive: true, force: true });
afterAll(freeLock);

beforeEach(() => {
  freeLock();
  pair.reads = pair.changes = 0;
  pair.roles = () => ({ a: 'primary', b: 'standby' });
});

const CLUSTER = `
clusters:
  pair:
    stack: dbackup
    nodes: [a, b]
    settings:
      database: { replication: { user: repl, password: no-secret-here } }
      heartbeats: [{ addresses: { a: 10.0.0.1, b: 10.0.0.2 } }]
      vips: [{ address: 10.0.0.120, interfaces: { a: eth0, b: eth0 } }]
`;

/** A playbook for a pair whose nodes are this machine. */
function onPair(playbook: string): Project {
  const book = project(playbook);
  writeFileSync(book.inventory, localInventory(book.dir, ['a', 'b', 'c']) + CLUSTER);
  return book;
}

/** What each host said it was, in the order of the events. */
const ranOn = ({ events }: Ran): string[] =>
  events.flatMap((event) => (event.event === 'step_finished' ? [`${event.name}@${event.host}`] : []));

const reasonOf = ({ events }: Ran): string | undefined =>
  events.flatMap((event) => (event.event === 'run_finished' ? [event.reason] : [])).at(-1);

const INVARIANT = `
invariants: [{ name: never two primaries, that: cluster.primaries.size() <= 1 }]
plays:
  - hosts: a
    tasks:
      - { name: one, shell: 'touch {{dir}}/one' }
      - { name: two, shell: 'touch {{dir}}/two' }
`;

test('an invariant that does not hold before the first step stops the run: exit code 5, nothing done', async () => {
  pair.roles = () => ({ a: 'primary', b: 'primary' });
  const ran = await onPair(INVARIANT).go();
  expect([ran.code, ran.story]).toEqual([5, []]);
  expect(ran.events.map(({ event }) => event)).toContain('invariant_broken');
  expect(reasonOf(ran)).toContain('never two primaries');
});

test('an invariant that a step breaks stops the run before the next one; a resume goes on where it holds again', async () => {
  const book = onPair(INVARIANT);
  pair.roles = () => ({ a: 'primary', b: existsSync(join(book.dir, 'a/one')) ? 'primary' : 'standby' });
  const broken = await book.go();
  expect([broken.code, broken.story]).toEqual([5, ['one changed']]);
  expect(existsSync(join(book.dir, 'a/two'))).toBe(false);
  const still = await book.go({}, broken.run);
  expect([still.code, still.story]).toEqual([5, []]);
  pair.roles = () => ({ a: 'primary', b: 'standby' });
  const mended = await book.go({}, broken.run);
  expect([mended.code, mended.story]).toEqual([0, ['two changed']]);
});

test('an invariant is looked at after the last step too', async () => {
  const book = onPair(INVARIANT);
  pair.roles = () => ({ a: 'primary', b: existsSync(join(book.dir, 'a/two')) ? 'primary' : 'standby' });
  expect((await book.go()).code).toBe(5);
});

test('a resume looks at the invariants before it goes on and after what it does, not for what was done', async () => {
  const book = onPair(INVARIANT.replace('touch {{dir}}/two', 'test -e {{dir}}/mended'));
  const first = await book.go();
  expect(first.story).toEqual(['one changed', 'two failed']);
  writeFileSync(join(book.dir, 'a/mended'), '');
  pair.reads = 0;
  const second = await book.go({}, first.run);
  expect([second.story, pair.reads]).toEqual([['two changed'], 3]);
});

test('an invariant is looked at after a step that failed, or was skipped on one host alone, not after one that was skipped', async () => {
  const looks = async (second: string): Promise<number> => {
    pair.reads = 0;
    await onPair(
      INVARIANT.replace('hosts: a', 'hosts: [a, b]').replace("name: two, shell: 'touch {{dir}}/two'", second),
    ).go();
    return pair.reads;
  };
  // Twice before them, after each of the two, and at the end.
  expect(await looks("name: two, shell: 'touch {{dir}}/two', when: host.name == 'a'")).toBe(5);
  expect(await looks("name: two, shell: 'exit 1'")).toBe(5);
  expect(await looks("name: two, shell: 'touch {{dir}}/two', when: host.name == 'c'")).toBe(4);
});

test('an invariant that cannot be told does not hold', async () => {
  const ran = await onPair(INVARIANT.replace('primaries.size() <= 1', 'arbitration.lag < 1')).go();
  expect([ran.code, ran.story]).toEqual([5, []]);
});

test.each([
  ['<= 1', '+ 1', 'gives a number, not true or false'],
  ['primaries.size() <= 1', 'lag < 1', '`cluster` has no `lag`'],
  ['cluster.primaries', 'clusters.primaries', 'unknown variable `clusters`'],
])(
  'an invariant that can never be told is an error of the plan: %s for %s',
  async (right, wrong, message) => {
    await expect(onPair(INVARIANT.replace(right, wrong)).go()).rejects.toMatchObject({
      problems: [{ message }],
    });
  },
);

test('invariants without a cluster to look at are an error of the plan', async () => {
  await expect(project(INVARIANT).go()).rejects.toMatchObject({
    problems: [{ code: 'plan.invariant', message: expect.stringContaining('no cluster') as string }],
  });
});

test('an invariant that speaks of no cluster is looked at without one', async () => {
  const ran = await project(INVARIANT.replace('cluster.primaries.size()', 'host.groups.size()')).go();
  expect(ran.code).toBe(0);
  const broken = await project(INVARIANT.replace('cluster.primaries.size() <=', 'host.groups.size() >')).go();
  expect([broken.code, broken.story]).toEqual([5, []]);
});

test('hosts by role are found once, recorded, and stay as found for a resume', async () => {
  const book = onPair(`
plays:
  - { hosts: standby, tasks: [{ name: first, command: 'echo {{cluster.primary}} {{cluster.standby}}' }] }
  - { hosts: primary, tasks: [{ name: then, shell: 'test -e {{dir}}/mended' }] }
`);
  const first = await book.go();
  expect(ranOn(first)).toEqual(['first@b', 'then@a']);
  expect(pair.reads).toBe(1);
  expect(first.events).toContainEqual(
    expect.objectContaining({ event: 'roles_found', roles: { a: 'primary', b: 'standby' } }),
  );
  pair.roles = () => ({ a: 'standby', b: 'primary' });
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect([second.code, ranOn(second), pair.reads]).toEqual([0, ['then@a'], 1]);
});

test.each([
  ['primary', { a: 'standby', b: 'unknown' }, /no host is primary/],
  ['primary', { a: 'primary', b: 'primary' }, /a and b are both primary/],
  ['all:!primary', { a: 'unknown', b: 'standby' }, /whether a is primary is not known/],
  ['pair:!primary', { a: 'primary', b: 'primary' }, /both primary/],
] as const)('hosts: %s with the roles %j is refused: exit code 5', async (hosts, roles, wanted) => {
  pair.roles = () => roles;
  const book = onPair(`plays: [{ hosts: '${hosts}', tasks: [{ name: one, command: 'true' }] }]`);
  const ran = await book.go();
  expect([ran.code, ran.story]).toEqual([5, []]);
  expect(reasonOf(ran)).toMatch(wanted);
  // Nothing was decided by those roles, so that a resume may look again.
  pair.roles = () => ({ a: 'primary', b: 'standby' });
  expect((await book.go({}, ran.run)).code).toBe(0);
});

test('a pair that is just changing its roles is looked at again before anything is decided by them', async () => {
  const book = onPair("plays: [{ hosts: primary, tasks: [{ name: one, command: 'true' }] }]");
  pair.changes = 2;
  pair.roles = () => (pair.changes >= 0 ? { a: 'unknown', b: 'standby' } : { a: 'standby', b: 'primary' });
  const ran = await book.go();
  expect([ran.code, ranOn(ran), pair.reads]).toEqual([0, ['one@b'], 3]);
});

test.each([
  ['all:!primary', ['b', 'c']],
  ['all:!free', ['a', 'b', 'c']],
  ['all:&standby', ['b']],
])('hosts: %s takes %j', async (hosts, wanted) => {
  const ran = await onPair(`plays: [{ hosts: '${hosts}', tasks: [{ name: one, command: 'true' }] }]`).go();
  expect(ranOn(ran).toSorted()).toEqual(wanted.map((host) => `one@${host}`));
});

test('a role is found where only --limit, a variable or a template of hosts names it', async () => {
  const one = "tasks: [{ name: one, command: 'echo {{target}}' }]";
  const limited = onPair(`vars: { target: x }\nplays: [{ hosts: all, ${one} }]`);
  expect(ranOn(await limited.go({ selection: { limit: 'standby' } }))).toEqual(['one@b']);
  const variable = await onPair(
    `vars: { target: '{{cluster.primary}}' }\nplays: [{ hosts: b, ${one} }]`,
  ).go();
  expect([variable.code, ranOn(variable)]).toEqual([0, ['one@b']]);
  const template = onPair(`plays: [{ hosts: '{{target}}', ${one} }]`);
  writeFileSync(
    template.inventory,
    readFileSync(template.inventory, 'utf8').replace('vars: {', 'vars: { target: standby,'),
  );
  expect(ranOn(await template.go())).toEqual(['one@b']);
});

test.each([
  ['standby_first', { a: 'primary', b: 'standby' }, ['b', 'a']],
  ['standby_first', { a: 'standby', b: 'primary' }, ['a', 'b']],
  ['primary_first', { a: 'standby', b: 'primary' }, ['b', 'a']],
  ['inventory', { a: 'standby', b: 'primary' }, ['a', 'b']],
] as const)('order: %s with the roles %j', async (order, roles, wanted) => {
  pair.roles = () => roles;
  const ran = await onPair(
    `plays: [{ hosts: pair, order: ${order}, serial: 1, tasks: [{ name: one, command: 'true' }] }]`,
  ).go();
  expect(ranOn(ran)).toEqual(wanted.map((host) => `one@${host}`));
});

test('order by role is refused where a role is not known', async () => {
  pair.roles = () => ({ a: 'unknown', b: 'standby' });
  const ran = await onPair(
    `plays: [{ hosts: pair, order: standby_first, serial: 1, tasks: [{ name: one, command: 'true' }] }]`,
  ).go();
  expect([ran.code, ran.story]).toEqual([5, []]);
  expect(reasonOf(ran)).toContain('a');
});

const CONFIRM = `
inputs: { version: { type: string } }
confirm: Upgrades {{cluster.name}} to {{inputs.version}}.
plays: [{ hosts: a, tasks: [{ name: one, shell: 'test -e {{dir}}/mended' }] }]
`;

test('a run that has to be confirmed wants the code of what it is about to do', async () => {
  const book = onPair(CONFIRM);
  const wishes = { given: { version: '8.1' } };
  const without = await book.go(wishes);
  expect([without.code, without.story]).toEqual([5, []]);
  expect(reasonOf(without)).toContain('Upgrades pair to 8.1.');
  const code = /--yes (\w+)/.exec(reasonOf(without) ?? '')?.[1];
  expect((await book.go({ ...wishes, request: { code: 'wrong' } })).code).toBe(5);
  expect((await book.go({ given: { version: '8.2' }, request: { code } })).code).toBe(5);
  let question = '';
  const ask = (text: string): Promise<string> => {
    question = text;
    return Promise.resolve(code ?? '');
  };
  const asked = await book.go({ ...wishes, request: { ask } });
  expect(asked.story).toEqual(['one failed']);
  expect(question).toContain('Upgrades pair to 8.1.');
  const given = await book.go({ ...wishes, request: { code } });
  expect(given.story).toEqual(['one failed']);
  writeFileSync(join(book.dir, 'a/mended'), '');
  expect((await book.go(wishes, given.run)).code).toBe(0);
});

test('the code of one playbook does not confirm it once it does something else; nor does what was confirmed before an edit', async () => {
  const book = onPair(CONFIRM);
  const wishes = { given: { version: '8.1' } };
  const code = /--yes (\w+)/.exec(reasonOf(await book.go(wishes)) ?? '')?.[1];
  const failed = await book.go({ ...wishes, request: { code } });
  expect(failed.code).toBe(1);
  writeFileSync(book.playbook, readFileSync(book.playbook, 'utf8').replace('Upgrades', 'Wipes'));
  expect((await book.go({ ...wishes, request: { code } })).code).toBe(5);
  const resumed = await book.go({ ...wishes, request: { acceptChanges: true } }, failed.run);
  expect([resumed.code, resumed.story]).toEqual([5, []]);
});

test('under --check nothing has to be confirmed, and the invariants are looked at', async () => {
  const book = onPair(CONFIRM);
  expect((await book.go({ given: { version: '8.1' }, isCheck: true })).code).toBe(0);
  pair.roles = () => ({ a: 'primary', b: 'primary' });
  expect((await onPair(INVARIANT).go({ isCheck: true })).code).toBe(5);
});

test('what was looked up is on the disk before anything is changed, and is not looked up again by a resume', async () => {
  const book = onPair(`
plays:
  - hosts: a
    tasks:
      - { name: seen, cluster.status: {}, register: seen }
      - { name: change, copy: { dest: '{{dir}}/changed', content: x }, register: changed }
      - name: uses
        when: changed.changed && seen.nodes[0].role == "primary"
        command: 'true'
`);
  pair.roles = () => ({ a: existsSync(join(book.dir, 'a/changed')) ? 'standby' : 'primary', b: 'standby' });
  // Events: run, lock, play, both of the look, start of the change, what it keeps; death before its end is told.
  await book.die(8);
  expect(existsSync(join(book.dir, 'a/changed'))).toBe(true);
  const resumed = await book.go({}, runIds(book.state)[0]);
  expect(resumed.story).toEqual(['change changed', 'uses changed']);
  expect(pair.reads).toBe(1);
});

test('a journal that can no longer be written ends the run, whatever a task ignores', async () => {
  const book = onPair(`
plays:
  - hosts: a
    tasks:
      - { name: one, shell: 'touch {{dir}}/one' }
      - { name: two, shell: 'touch {{dir}}/two', ignore_errors: true }
      - { name: three, shell: 'touch {{dir}}/three' }
`);
  const heard: string[] = [];
  const onEvent = (event: RunEvent): void => {
    if (event.event === 'step_finished') heard.push(event.name);
    if (event.event !== 'step_finished' || event.name !== 'one') return;
    const database = new DatabaseSync(join(book.state, 'runs', event.run, 'journal.sqlite'));
    database.exec('DROP TABLE event');
    database.close();
  };
  await expect(book.go({ onEvent })).rejects.toMatchObject({ code: 'journal.unwritable' });
  expect(readdirSync(join(book.dir, 'a'))).toEqual(['one']);
  expect(heard).toEqual(['one']);
});

test('a run that dies as it has got its locks can be taken up again: who holds one is in a journal', async () => {
  const book = onPair("plays: [{ hosts: a, tasks: [{ name: one, command: 'true' }] }]");
  const died = await begin(book, { dies: 'before 2' });
  expect([died.signal, existsSync('/var/lib/drillbook/locks/pair/1')]).toEqual(['SIGKILL', true]);
  expect((await resume(book)).code).toBe(0);
});
