import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { foldReadings } from '../../engine/cluster/_drbd-pair.ts';
import { parseReading } from '../../engine/cluster/_drbd-read.ts';
import type { Reading } from '../../engine/cluster/_drbd-read.ts';
import { protection, settingsSchema } from '../../engine/cluster/usphere.ts';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import { renderText } from '../../engine/parse/template.ts';

const given = {
  drbd: {
    ...{ resource: 'r0', device: '/dev/drbd0', secret: 'x', port: 7788 },
    disks: { a: '/dev/sda4', b: '/dev/sda4' },
    addresses: { a: '10.0.0.1', b: '10.0.0.2' },
  },
  filesystem: { directory: '/var/lib/mysql-share', type: 'ext4' },
  corosync: { links: [{ a: '10.0.0.1', b: '10.0.0.2' }] },
  arbitration: { qnetd: { host: 'c', address: '10.0.0.3' } },
  services: { database: 'mysql', web: 'tomcat' },
  expected: { hosts: 4, virtual_machines: 20 },
  database_gb: 20,
  vip: { address: '10.0.0.9' },
};
const settings = settingsSchema.parse(given);
const SYNC = { resource: 'r1', device: '/dev/drbd1', disks: { a: '/dev/sdb', b: '/dev/sdb' } };

const XML = `<pacemaker-result api-version="2.0">
<summary><stack type="corosync"/><current_dc present="true" name="a" with_quorum="true"/></summary>
<nodes><node name="a" id="1" online="true" standby="false" maintenance="false" pending="false" unclean="false"/>
<node name="b" id="2" online="true" standby="false" maintenance="false" pending="false" unclean="false"/></nodes>
<status code="0" message="OK"/></pacemaker-result>`;

interface Wish {
  readonly device?: string;
  readonly web?: string;
  readonly second?: string;
}

/** The sync partition, as one that is in step and as one that is not. */
const WHOLE = `exists resource name:r1 role:Primary suspended:no
exists connection name:r1 peer-node-id:0 connection:Connected role:Secondary congested:no
exists device name:r1 volume:0 minor:1 disk:UpToDate size:65496
exists peer-device name:r1 peer-node-id:0 volume:0 replication:Established peer-disk:UpToDate out-of-sync:0`;
const ALONE = WHOLE.replace('connection:Connected', 'connection:StandAlone')
  .replace('replication:Established', 'replication:Off')
  .replace('peer-disk:UpToDate', 'peer-disk:Outdated');

/** As a node's script says it. */
const primary = ({ device = 'device A,V,NMW', web = 'active', second = '' }: Wish = {}): Reading =>
  parseReading(
    `word drbd Primary\nword pacemaker promoted here\nword mount here\nword vip here
unit mysql active\nunit tomcat ${web}\n${device}
exists resource name:r0 role:Primary suspended:no
exists connection name:r0 peer-node-id:0 connection:Connected role:Secondary congested:no
exists device name:r0 volume:0 minor:0 disk:UpToDate size:65496
exists peer-device name:r0 peer-node-id:0 volume:0 replication:Established peer-disk:UpToDate out-of-sync:0
${second}
exists -
${XML}`,
    'r0',
    'r1',
  );
const standby = (device = 'device A,V,NMW'): Reading =>
  parseReading(
    `word drbd Secondary\nword pacemaker promoted elsewhere\nword mount not here\nword vip not here
unit mysql inactive\nunit tomcat inactive\n${device}
exists resource name:r0 role:Secondary suspended:no
exists connection name:r0 peer-node-id:0 connection:Connected role:Primary congested:no
exists device name:r0 volume:0 minor:0 disk:UpToDate size:65496
exists peer-device name:r0 peer-node-id:0 volume:0 replication:Established peer-disk:UpToDate out-of-sync:0
exists -
${XML}`,
    'r0',
  );

function status(a: Reading, b: Reading, more: Partial<typeof given> = {}): ClusterStatus {
  const cluster = { name: 'pair', stack: 'usphere', nodes: ['a', 'b'], settings: {} };
  const own = settingsSchema.parse({ ...given, ...more });
  const seen = (name: string, reading: Reading) => ({ name, address: name, reading, silence: undefined });
  const shape = { promotable: 'r0-clone', units: ['mysql', 'tomcat'] };
  return foldReadings(cluster, own, shape, [seen('a', a), seen('b', b)]);
}
const told = ({ state, problems }: ClusterStatus): unknown => [state, ...problems.map(({ code }) => code)];

test.each([
  ['is none of a sync partition', ''],
  ['is a sync partition in step', WHOLE],
])('a pair that is whole runs, where there %s', (_, second) => {
  const now = status(primary({ second }), standby());
  expect(told(now)).toEqual(['running']);
  expect(now.nodes.map(({ role }) => role)).toEqual(['primary', 'standby']);
  expect(now.vips).toEqual([{ address: '10.0.0.9', holders: ['a'] }]);
});

test('a sync partition that is not in step', () => {
  const now = status(primary({ second: ALONE }), standby());
  expect(told(now)).toEqual(['degraded', 'drbd.second']);
  expect(now.problems[0]?.message).toBe(
    'r1 is not in step on a: Primary, disk UpToDate; peer StandAlone, Secondary, disk Outdated, Off',
  );
});

test('a web service that does not run where the primary is', () => {
  const now = status(primary({ web: 'failed' }), standby());
  expect(told(now)).toEqual(['degraded', 'service-down']);
  expect(now.problems[0]?.message).toBe('tomcat does not run on a');
});

test.each([
  ['does not have it', 'device NA,NV,NMW'],
  ['does not ask for it', ''],
])('a host without the vote of the quorum device: it %s', (_, device) => {
  const now = status(primary(), standby(device));
  expect(told(now)).toEqual(['degraded', 'no-device']);
  expect(now.problems[0]?.message).toBe('b does not have the vote of the quorum device');
});

test('where the inventory has none nobody misses it', () => {
  const ping = { arbitration: { ping: ['10.0.0.254'] } } as unknown as Partial<typeof given>;
  expect(told(status(primary({ device: '' }), standby(''), ping))).toEqual(['running']);
});

test('what guards the pair is told by its settings alone', () => {
  const cluster = { name: 'pair', stack: 'usphere', nodes: ['a', 'b'], settings: given };
  expect(protection(cluster)).toMatch(/^quorum device on c: /);
});

test('there is at most one sync partition, with disk and device of its own', () => {
  const parsed = settingsSchema.parse({ ...given, sync_partition: { ...SYNC, directory: '/vms/templates' } });
  expect(parsed.sync_partition).toMatchObject({ type: 'ext4', port: 7790 });
  const twice = settingsSchema.safeParse({ ...given, sync_partition: [SYNC, SYNC] });
  expect(twice.success).toBe(false);
});

const rendered = (file: string, own: unknown): string =>
  renderText(
    readFileSync(new URL(`../../templates/${file}`, import.meta.url), 'utf8'),
    { cluster: { name: 'pair', nodes: ['a', 'b'], settings: own } },
    file,
  );

test.each([
  ['a quorum device', settings.arbitration, /device \{\s+model: net\s+votes: 1\s+net \{\s+host: 10.0.0.3\s/],
  ['ping', { ping: ['10.0.0.254'] }, /^ +two_node: 1$/m],
  ['nothing', 'none', /^ +two_node: 1$/m],
])('corosync.conf where %s arbitrates', (_, arbitration, wanted) => {
  const text = rendered('corosync.conf.hbs', { ...settings, arbitration });
  expect(text).toMatch(wanted);
  expect(text.includes('two_node')).toBe(!text.includes('device {'));
});

test('the resource of the sync partition goes over the same network by a port of its own', () => {
  const sync = { ...SYNC, port: 7799, directory: '/vms/templates' };
  const text = rendered('drbd-sync-partition.res.hbs', { ...settings, sync_partition: sync });
  expect(text).toMatch(/^resource r1 \{\n +device \/dev\/drbd1;\n +meta-disk internal;\n +on a \{/m);
  expect(text).toContain('address 10.0.0.2:7799;');
  expect(text.split('{').length).toBe(text.split('}').length);
});
