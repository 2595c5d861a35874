import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { protections, settingsProblems, withDefaults } from '../../engine/cluster/stacks.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';

const HOSTS = 'hosts:\n  dbk1: {}\n  dbk2: {}\nclusters:\n  dbk:\n    nodes: [dbk1, dbk2]\n';
const GOOD = `    stack: dbackup
    settings:
      database: { flavour: mysql, service: mysql, replication: { user: repl, password: '{{secret_word}}' } }
      heartbeats: [{ addresses: { dbk1: 10.0.0.1, dbk2: 10.0.0.2 }, interval: 1s }]
      vips: [{ address: 10.0.0.120, prefix: 24, interfaces: { dbk1: eth0, dbk2: eth0 } }]
`;

async function problems(cluster: string) {
  const dir = await mkdtemp(join(tmpdir(), 'drillbook-stacks-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'inventory.yml'), HOSTS + cluster);
  return settingsProblems(loadInventory(join(dir, 'inventory.yml')));
}

test('settings as they should be have no problem', async () => {
  expect(await problems(GOOD)).toEqual([]);
});

test('an unknown stack is refused with the nearest known one, where it stands', async () => {
  const [problem] = await problems(GOOD.replace('dbackup', 'dbackups'));
  expect(problem).toMatchObject({ code: 'parse.stack', hint: 'did you mean `dbackup`?', at: { line: 7 } });
});

test.each([
  [
    'a port that is none',
    GOOD.replace('service: mysql', 'service: mysql, port: 99999'),
    'settings.database.port',
  ],
  [
    'a VIP without interfaces',
    GOOD.replace(', interfaces: { dbk1: eth0, dbk2: eth0 }', ''),
    'settings.vips.0.interfaces',
  ],
  ['no heartbeat', GOOD.replace(/heartbeats: .*/, 'heartbeats: []'), 'settings.heartbeats'],
  [
    'an interval that is none',
    GOOD.replace('interval: 1s', 'interval: soon'),
    'settings.heartbeats.0.interval',
  ],
  ['a word that nobody knows', GOOD.replace('flavour', 'flavor'), 'flavor'],
])('%s is refused by its place', async (_, cluster, place) => {
  const found = await problems(cluster);
  expect(found.map(({ message }) => message).join()).toContain(`\`${place.split('.').at(-1)}\`: `);
  expect(found[0]?.at?.line).toBeGreaterThan(6);
});

test('settings that were rendered have the defaults of their stack, and stay as they are when they get them again', async () => {
  await problems(GOOD);
  const given = parse(GOOD.replace(', prefix: 24', '')) as { settings: unknown };
  const whole = withDefaults('dbackup', given.settings);
  expect(whole).toMatchObject({
    vips: [{ prefix: 24 }],
    heartbeats: [{ interval: '1s' }],
    virtual_router_id: 51,
  });
  expect(withDefaults('dbackup', whole)).toEqual(whole);
  expect(withDefaults('dbackup', { vips: 'none' })).toEqual({ vips: 'none' });
});

test('what a template becomes is not judged beforehand', async () => {
  expect(await problems(GOOD.replace('prefix: 24', "prefix: '{{prefix}}'"))).toEqual([]);
});

test.each([
  ['none', 'none', /^none: .* both serve.*split brain/],
  ['a quorum device', '{ qnetd: { host: q, address: 10.0.0.9 } }', /^quorum device on q: .*the other stops/],
  ['ping', '{ ping: [10.0.0.254] }', /^ping of 10\.0\.0\.254: /],
  ['what a template becomes', "'{{arbitration}}'", /^told when it runs/],
])('what guards a pair of DRBD is told before a host is asked: %s', async (_, arbitration, text) => {
  const settings = parse(`{ arbitration: ${arbitration} }`) as Record<string, unknown>;
  const cluster = { name: 'pair', stack: 'kwdb', nodes: ['a', 'b'], settings };
  const told = await protections([cluster, { ...cluster, name: 'other', stack: 'dbackup' }]);
  expect(Object.keys(told)).toEqual(['pair']);
  expect(told['pair']).toMatch(text);
});

test('that DRBD may give up a side by itself is told with what guards the pair', async () => {
  const settings = { arbitration: 'none', drbd: { after_split: 'discard' } };
  const told = await protections([{ name: 'pair', stack: 'usphere', nodes: ['a', 'b'], settings }]);
  expect(told['pair']).toMatch(/^none: .*gives up one side by itself, without a copy/);
});
