import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import { checkOptions } from '../../../engine/modules/pacemaker/_agents.ts';
import type { Context } from '../../../engine/core/module.ts';
import type { Agent } from '../../../engine/modules/pacemaker/_agents.ts';
import { constraintEdit } from '../../../engine/modules/pacemaker/_constraints.ts';
import type { Edit } from '../../../engine/modules/pacemaker/_edit.ts';
import { zConstraint, zResource } from '../../../engine/modules/pacemaker/_params.ts';
import { propertyEdit } from '../../../engine/modules/pacemaker/_properties.ts';
import {
  groupEdit,
  removalEdit,
  resourceEdit,
  stopEdit,
} from '../../../engine/modules/pacemaker/_resources.ts';
import property from '../../../engine/modules/pacemaker/property.ts';
import { parseStatus, readStatus } from '../../../engine/modules/pacemaker/_status.ts';
import wait from '../../../engine/modules/pacemaker/wait.ts';
import { childOf, parse, write } from '../../../engine/modules/pacemaker/_xml.ts';
import type { Element } from '../../../engine/modules/pacemaker/_xml.ts';

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8');

/** Of a pair that Pacemaker 2.1.5 runs, as `cibadmin --query` printed it. */
const configuration = childOf(parse(fixture('cib.xml')), 'configuration') as Element;

const agent: Agent = {
  parameters: [
    { name: 'ip', isRequired: true },
    { name: 'cidr_netmask', isRequired: false },
  ],
  actions: [
    { name: 'start', timeout: '20s' },
    { name: 'stop', timeout: '20s' },
    { name: 'monitor', depth: '0', timeout: '20s', interval: '10s' },
    { name: 'meta-data', timeout: '5s' },
    { name: 'validate-all', timeout: '20s' },
  ],
};
const resource = (given: z.input<typeof zResource>, word: 'Promoted' | 'Master' = 'Promoted'): Edit =>
  resourceEdit(zResource.parse(given), agent, word);
const constraint = (given: z.input<typeof zConstraint>, isAbsent = false): Edit =>
  constraintEdit(zConstraint.parse(given), 'Promoted', isAbsent);
const vip = {
  name: 'ClusterIP',
  agent: 'ocf:heartbeat:IPaddr2',
  options: { ip: '10.201.5.100', cidr_netmask: '24' },
  operations: [{ name: 'monitor', interval: '30s' }],
};
const changesOf = (edit: Edit, from = configuration) => edit(from).changes;
/** The edit changes what it says, and a second time nothing. */
function once(edit: Edit, from = configuration): Element {
  const edited = edit(from);
  expect(edited.changes).not.toEqual([]);
  expect(edit(edited.configuration)).toEqual({ configuration: edited.configuration, changes: [] });
  return edited.configuration;
}

test('what is written is read again as it was, whatever is in its values', () => {
  expect(parse(write(configuration))).toEqual(configuration);
  const hostile = { name: 'a', attributes: { x: `<&>"'\n\t\r ü 🔑` }, children: [] };
  expect(parse(write(hostile))).toEqual(hostile);
});

test('a pair as its playbook describes it needs no change', () => {
  expect(changesOf(resource(vip))).toEqual([]);
  expect(changesOf(groupEdit({ name: 'KaiwuDBGrp', resources: ['KaiwuFS', 'KaiwuDB'] }))).toEqual([]);
  expect(changesOf(constraint({ colocation: { resource: 'ClusterIP', with: 'KaiwuDBGrp' } }))).toEqual([]);
  const order = { first: 'KaiwuData-clone', first_action: 'promote', then: 'KaiwuDBGrp' } as const;
  expect(changesOf(constraint({ order }))).toEqual([]);
  expect(changesOf(propertyEdit('cluster', { 'no-quorum-policy': 'ignore' }))).toEqual([]);
  expect(changesOf(propertyEdit('resources', { 'migration-threshold': '2' }))).toEqual([]);
});

test.each([
  ['an option', { ...vip, options: { ...vip.options, ip: '10.0.0.9' } }],
  ['an option that is given up', { ...vip, options: { ip: '10.201.5.100' } }],
  ['an interval', { ...vip, operations: [{ name: 'monitor', interval: '5s' }] }],
  ['a meta attribute', { ...vip, meta: { 'migration-threshold': 3 } }],
  ['a resource that is new', { ...vip, name: 'Second' }],
])('%s is changed once, and nothing else', (_, wanted) => {
  const edited = once(resource(wanted));
  const others = (all: Element): string[] =>
    (childOf(all, 'resources')?.children ?? [])
      .filter(({ attributes }) => !['ClusterIP', 'Second'].includes(attributes['id'] ?? ''))
      .map(write);
  expect(others(edited)).toEqual(others(configuration));
});

/** The configuration with some of its text replaced. */
const replacedIn = (texts: Readonly<Record<string, string>>): Element => {
  const text = Object.entries(texts).reduce(
    (sofar, [from, to]) => sofar.replace(from, to),
    fixture('cib.xml'),
  );
  return childOf(parse(text), 'configuration') as Element;
};
const ruled = (set: string, id: string, name: string): string =>
  `<${set} id="${id}" score="10"><rule id="${id}-rule" score="0"><expression id="${id}-expr" attribute="#uname" ` +
  `operation="eq" value="dbk2"/></rule><nvpair id="${id}-${name}" name="${name}" value="theirs"/></${set}>`;

test('what nothing is said of stays: sets with rules, utilization, what is inside of an operation', () => {
  const theirs =
    ruled('instance_attributes', 'theirs', 'ip') + ruled('meta_attributes', 'more', 'target-role');
  const use = '<utilization id="use"><nvpair id="use-cpu" name="cpu" value="2"/></utilization>';
  const level =
    '<instance_attributes id="depth"><nvpair id="depth-1" name="OCF_CHECK_LEVEL" value="10"/></instance_attributes>';
  const primitive = '<primitive id="ClusterIP" class="ocf" provider="heartbeat" type="IPaddr2">';
  const clone = '<clone id="KaiwuData-clone">';
  const whole = replacedIn({
    [primitive]: primitive + theirs + use,
    'interval="30s" timeout="20s"/>': `interval="30s" timeout="20s">${level}</op>`,
    [clone]: clone + ruled('meta_attributes', 'c', 'x'),
  });
  expect(changesOf(resource(vip), whole)).toEqual([]);
  const faster = { ...vip, operations: [{ name: 'monitor', interval: '5s' }] };
  for (const edit of [
    resource({ ...vip, options: { ip: '10.0.0.9' } }),
    resource(faster),
    stopEdit('ClusterIP'),
  ])
    for (const part of [theirs, use, level]) expect(write(once(edit, whole))).toContain(part);
  const operations = [1, 2].map((interval) => ({ name: 'monitor', interval }));
  expect(changesOf(resource({ ...vip, operations }), whole)).toMatchObject([
    { before: expect.stringContaining('OCF_CHECK_LEVEL=10') as string },
  ]);
  expect(write(once(stopEdit('KaiwuData'), whole))).toContain(ruled('meta_attributes', 'c', 'x'));
});

test('options of all resources and of the cluster are set beside those that have a rule', () => {
  const theirs = ruled('meta_attributes', 'build-resource-defaults', 'migration-threshold');
  const own = /<meta_attributes id="build-resource-defaults">.*?<\/meta_attributes>/s.exec(
    fixture('cib.xml'),
  );
  const given = replacedIn({ [own?.[0] ?? '']: theirs });
  const edited = once(propertyEdit('resources', { 'migration-threshold': '3' }), given);
  expect(write(edited)).toContain(theirs);
  expect(write(edited)).toContain('name="migration-threshold" value="3"');
  const without = once(propertyEdit('resources', { 'migration-threshold': null }), edited);
  expect(write(without)).toContain(theirs);
  const set = ruled('cluster_property_set', 'night', 'no-quorum-policy');
  const cluster = replacedIn({ '<crm_config>': `<crm_config>${set}` });
  expect(write(once(propertyEdit('cluster', { 'no-quorum-policy': 'stop' }), cluster))).toContain(set);
});

test('a clone of another name is told as what it is, and goes with its resource', () => {
  const text = write(configuration)
    .replaceAll('KaiwuData-clone"', 'ms_KaiwuData"')
    .replace('<clone ', '<master ');
  const old = parse(text.replace('</clone>', '</master>'));
  const wanted = { name: 'KaiwuData', agent: 'ocf:linbit:drbd', promotable: {} };
  expect(() => changesOf(resource(wanted), old)).toThrow('on all nodes already, as the master ms_KaiwuData');
  expect(write(once(removalEdit('KaiwuData'), old))).not.toContain('ms_KaiwuData');
});

test('what an operator has stopped in an emergency stays so', () => {
  const stopped = once(stopEdit('ClusterIP'));
  const changed = once(resource({ ...vip, options: { ip: '10.0.0.9' } }), stopped);
  expect(write(changed)).toContain('name="target-role" value="Stopped"');
});

test('a role is spelled as the schema of the cluster knows it', () => {
  const both = {
    ...vip,
    name: 'New',
    operations: [{ name: 'monitor', interval: 10, role: 'Promoted' as const }],
  };
  expect(write(resource(both, 'Master')(configuration).configuration)).toContain('role="Master"');
  const old = resource(both, 'Master')(configuration).configuration;
  expect(changesOf(resource(both, 'Promoted'), old)).toEqual([]);
});

test('a group takes its resources from where they are, in their order; what it loses goes on', () => {
  const turned = once(groupEdit({ name: 'KaiwuDBGrp', resources: ['KaiwuDB', 'ClusterIP'] }));
  const ids = (childOf(turned, 'resources')?.children ?? []).map(({ attributes }) => attributes['id']);
  expect(ids).toEqual(['KaiwuData-clone', 'KaiwuFS', 'KaiwuDBGrp']);
  expect(() => groupEdit({ name: 'KaiwuDBGrp', resources: ['Nobody'] })(configuration)).toThrow(
    'no resource Nobody',
  );
});

test('a resource that is removed takes its constraints with it, and an empty group', () => {
  const without = ['KaiwuFS', 'KaiwuDB'].reduce((sofar, id) => once(removalEdit(id), sofar), configuration);
  expect(write(without)).not.toMatch(/KaiwuFS|KaiwuDB\b|KaiwuDBGrp/);
  expect(changesOf(removalEdit('KaiwuData'))).toContainEqual(
    expect.objectContaining({ what: 'constraint order-KaiwuData-clone-KaiwuDBGrp-mandatory' }),
  );
});

test('a constraint takes the place of one between the same resources', () => {
  const edited = once(constraint({ colocation: { resource: 'ClusterIP', with: 'KaiwuDBGrp', score: 100 } }));
  const all = (childOf(edited, 'constraints')?.children ?? []).filter(
    ({ name }) => name === 'rsc_colocation',
  );
  expect(all).toHaveLength(2);
  once(constraint({ colocation: { resource: 'ClusterIP', with: 'KaiwuDBGrp' } }, true));
  expect(() => constraint({ location: { resource: 'Nobody', node: 'dbk1' } })(configuration)).toThrow(
    'Nobody',
  );
});

test('a resource stays away from a node that sees none of its addresses', () => {
  const edited = once(
    constraint({ location: { resource: 'KaiwuData-clone', attribute: 'pingd', minimum: 1 } }),
  );
  expect(write(edited)).toMatch(/operation="not_defined".*operation="lt" value="1"/);
});

test('options that the agent does not know are refused, and a resource without those it must have', () => {
  expect(() => checkOptions('x', 'ocf:a:b', { ipp: '1' }, agent)).toThrow('has no option ipp');
  expect(() => checkOptions('x', 'ocf:a:b', {}, agent)).toThrow('must have: ip');
});

test('the state of a cluster is read as Pacemaker tells it', () => {
  const running = parseStatus(fixture('running.xml'));
  expect(running).toMatchObject({ has_quorum: true, dc: 'n1', failures: [] });
  expect(running.nodes.map(({ name, is_online: is }) => [name, is])).toEqual([
    ['n1', true],
    ['n2', true],
  ]);
  expect(running.instances.map(({ id, role, node }) => `${id} ${role} ${node ?? '-'}`)).toEqual([
    'drbd_r0 Promoted n1',
    'drbd_r0 Unpromoted n2',
    'fs_r0 Started n1',
    'vip Started n1',
    'web Started n1',
  ]);
  expect(parseStatus(fixture('power-failure.xml')).nodes.map(({ is_online: is }) => is)).toContain(false);
});

test.each([
  ['ClusterIP_monitor_30000', 'ClusterIP', 'monitor'],
  ['my_vip:1_start_0', 'my_vip:1', 'start'],
  ['web_migrate_to_0', 'web', 'migrate_to'],
  ['web_post_notify_promote_0', 'web', 'post_notify_promote'],
  ['web_reload-agent_0', 'web', 'reload-agent'],
])('%s is of %s', (key, resource, operation) => {
  const failure = `<failures><failure op_key="${key}" node="dbk1"/></failures></pacemaker-result>`;
  const { failures } = parseStatus(fixture('running.xml').replace('</pacemaker-result>', failure));
  expect(failures).toMatchObject([{ resource, operation }]);
});

test('maintenance-mode is bent by each word that Pacemaker takes for true', () => {
  const bent = (mode: string | boolean | null) =>
    property.obligation?.(property.params.parse({ properties: { 'maintenance-mode': mode } }));
  for (const word of [true, 'yes', 'On', 'TRUE', 'y', '1'])
    expect(bent(word)).toMatchObject({ opens: 'maintenance' });
  for (const word of [false, 'no', '0', null]) expect(bent(word)).toMatchObject({ closes: 'maintenance' });
});

/** Waits on a cluster whose status does not change. */
async function waited(change: (status: string) => string, params: Record<string, unknown> = {}) {
  const sh = (script: string) =>
    Promise.resolve({
      code: 0,
      stdout: /crm_mon/.test(script) ? change(fixture('running.xml')) : '',
      stderr: '',
    });
  const ctx = { sh, progress: () => undefined, signal: new AbortController().signal } as unknown as Context;
  return (await wait.read(ctx, wait.params.parse({ wait: '1ms', ...params }))).failed;
}

test('what runs nowhere is waited for, and what does not run rightly; not what the operator has stopped', async () => {
  expect(await waited((all) => all)).toBe(undefined);
  expect(await waited((all) => all, { resource: 'vip' })).toBe(undefined);
  const stopped =
    (more = '') =>
    (all: string): string =>
      all.replace(
        /(<resource id="vip"[^>]*) role="Started"([^>]*)>\s*<node[^>]*>\s*<\/resource>/,
        `$1 role="Stopped"${more}$2/>`,
      );
  expect(await waited(stopped())).toContain('vip runs nowhere');
  expect(await waited(stopped(' target_role="Stopped"'))).toBe(undefined);
  const vip = (from: string, to: string) => (all: string) =>
    all.replace(/<resource id="vip"[^>]*>/, (found) => found.replace(from, to));
  for (const role of ['Starting', 'Stopping'])
    expect(await waited(vip('Started', role), { resource: 'vip' })).toContain(`vip is ${role} on n1`);
  for (const flag of ['failed', 'blocked']) {
    const off = vip(` ${flag}="false"`, ` ${flag}="true"`);
    expect(await waited(off, { resource: 'vip' })).toContain('vip is Started, failed, on n1');
    expect(await waited(off, { resource: 'vip', role: 'Started' })).toContain(
      'vip is Started, failed, on n1',
    );
  }
});

test('a resource that is not running is no Pacemaker that is not running', async () => {
  const saying = (code: number, stdout: string, stderr = ''): Context =>
    ({ sh: () => Promise.resolve({ code, stdout, stderr }) }) as unknown as Context;
  const failure =
    '<failures><failure op_key="KaiwuDB_monitor_10000" node="dbk1" exitstatus="not running" exitreason=""/></failures>';
  const failing = fixture('running.xml').replace('</pacemaker-result>', `${failure}</pacemaker-result>`);
  const seen = await readStatus(saying(0, failing));
  expect(seen?.failures).toEqual([
    { resource: 'KaiwuDB', operation: 'monitor', node: 'dbk1', reason: 'not running', at: '' },
  ]);
  expect(await readStatus(saying(102, ''))).toBe(undefined);
  expect(await readStatus(saying(1, '', 'crm_mon: Error: cluster is not running'))).toBe(undefined);
});
