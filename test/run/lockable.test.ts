import { expect, test } from 'vitest';
import { prepare } from '../../engine/cli/_prepare.ts';
import { Redactor } from '../../engine/core/secret.ts';
import type { Selection } from '../../engine/plan/selection.ts';
import { lockable } from '../../engine/run/lock/lockable.ts';
import { project } from './_engine.ts';

const SETTINGS = (a: string, b: string): string =>
  `{ database: { replication: { user: repl, password: no-secret-here } }, heartbeats: [{ addresses: { ${a}: 10.0.0.1, ${b}: 10.0.0.2 } }], vips: [{ address: 10.0.0.120, interfaces: { ${a}: eth0, ${b}: eth0 } }] }`;

const INVENTORY = `
connection: { transport: local }
hosts: { a1: {}, a2: {}, b1: {}, b2: {}, alone: {} }
clusters:
  a: { stack: dbackup, nodes: [a1, a2], settings: ${SETTINGS('a1', 'a2')} }
  b: { stack: dbackup, nodes: [b1, b2], settings: ${SETTINGS('b1', 'b2')} }
`;

async function locked(play: string, selection: Selection = {}): Promise<string[]> {
  const { playbook, inventory } = project(`plays:\n  - ${play}\n`, { inventory: INVENTORY });
  const { plan } = await prepare({ playbook, inventory, given: {}, selection }, new Redactor());
  return lockable(plan).map(({ name }) => name);
}

const ACTS = "command: 'true'";

test.each<[string, string, string[], Selection?]>([
  ['all hosts', `{ hosts: all, tasks: [{ ${ACTS} }] }`, ['a', 'b']],
  ['one node', `{ hosts: a2, tasks: [{ ${ACTS} }] }`, ['a']],
  ['no node', `{ hosts: alone, tasks: [{ ${ACTS} }] }`, []],
  ['a role may be on any', `{ hosts: primary, tasks: [{ ${ACTS} }] }`, ['a', 'b']],
  ['--limit', `{ hosts: all, tasks: [{ ${ACTS} }] }`, ['b'], { limit: 'b1' }],
  ['a role with --limit', `{ hosts: primary, tasks: [{ ${ACTS} }] }`, ['b'], { limit: 'b' }],
  ['delegated', `{ hosts: alone, tasks: [{ ${ACTS}, delegate_to: b2 }] }`, ['b']],
  ['queries alone', '{ hosts: all, tasks: [{ debug: { msg: x } }, { facts: {} }] }', []],
  ['a look', `{ hosts: all, tasks: [{ file: { path: /x }, check_mode: true }] }`, []],
  [
    'left out by tags',
    `{ hosts: all, tasks: [{ ${ACTS}, tags: [x] }, { debug: { msg: x }, tags: [y] }] }`,
    [],
    { tags: ['y'] },
  ],
  [
    'only a handler acts',
    `{ hosts: a, tasks: [{ debug: { msg: x }, changed_when: 'true', notify: h }], handlers: [{ name: h, ${ACTS} }] }`,
    ['a'],
  ],
  ['in a block', `{ hosts: a, tasks: [{ block: [{ debug: { msg: x } }], always: [{ ${ACTS} }] }] }`, ['a']],
])('clusters to be locked: %s', async (_, play, wanted, selection) => {
  expect(await locked(play, selection)).toEqual(wanted);
});
