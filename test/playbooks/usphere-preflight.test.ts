import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { execute } from '../../engine/lab/program.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { freshLab } from '../lab/_fresh.ts';
import { playbook } from './_playbook.ts';
import type { Ran } from './_playbook.ts';

// Containers: they have no disk for the database, and their system is on none.
const ALWAYS = [
  'System disks called sdX',
  'The disk of the database partition is there, and as large as it is to be',
];
const END = 'Every condition is met';
let lab: Lab;
let state: string;

const on = async (node: string, command: string, stdin = ''): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command, { stdin });
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
/** The conditions that were not met, but for those that never are here. */
const unmet = ({ failed }: Ran): readonly string[] =>
  failed.filter((name) => !ALWAYS.includes(name) && name !== END);
async function edited(change: (text: string) => string): Promise<string> {
  const file = join(state, 'inventory.yml');
  await writeFile(file, change(await readFile(lab.inventory, 'utf8')), { mode: 0o600 });
  return file;
}
const preflight = async (change: (text: string) => string = (text) => text): Promise<Ran> =>
  playbook('usphere/preflight', await edited(change), { state });

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'usphere-preflight-'));
  lab = await freshLab({ name: 'test-usp-preflight', stack: 'usphere', database: 'mariadb', arbiter: true });
  const folder = String(loadInventory(lab.inventory).hosts.get('dbk1')?.vars['usphere_packages']);
  const { stdout } = await execute('sh', ['-c', 'tar -C "$0" -c . | base64', folder]);
  await Promise.all(
    ['dbk1', 'dbk2'].map((node) =>
      on(
        node,
        'mkdir /root/debs; base64 -d | tar -C /root/debs -x && dpkg -i /root/debs/*_1.0-1_*.deb',
        stdout,
      ),
    ),
  );
});
afterAll(async () => {
  await lab?.down();
  await rm(state, { recursive: true, force: true });
}, 60_000);

test('two new hosts meet the conditions, and the formula is shown with its numbers', async () => {
  const ran = await preflight((text) =>
    text.replace('hosts: 1\n', 'hosts: 4\n').replace('database_gb: 0.2', 'database_gb: 1'),
  );
  expect(unmet(ran), ran.told).toEqual([]);
  const shown = ran.steps.find(({ name }) => name === 'What /vms needs');
  expect(shown?.result['msg']).toContain(
    '(hosts 4 x 10 MB + virtual machines 0 x 15 MB) x 15 / 1024 = 0.59 GB',
  );
  expect(ran.changed).toEqual([]);
}, 120_000);

test('an initiator name on record is not written over by that of a host that was installed anew', async () => {
  const record = (extra: readonly string[] = []): Promise<Ran> =>
    playbook('usphere/record-initiators', lab.inventory, { state, extra });
  expect((await record()).changed).toHaveLength(2);
  expect((await record()).changed).toEqual([]);
  const known = () => on('dbk1', 'cat /etc/usphere/initiators');
  const before = await known();
  expect(before).toMatch(/^dbk1 iqn\S+\ndbk2 iqn\S+$/);
  await on('dbk2', 'echo InitiatorName=iqn.new >/etc/iscsi/initiatorname.iscsi; rm /etc/usphere/initiators');
  const ran = await record();
  expect([ran.code, ran.failed, ran.changed]).toEqual([1, ['The name is the one on record'], []]);
  expect(await known()).toBe(before);
  await on('dbk2', 'rm /etc/iscsi/initiatorname.iscsi');
  expect((await record()).code).toBe(0);
  expect(await known()).toBe(before);
  await on('dbk2', 'echo InitiatorName=iqn.new >/etc/iscsi/initiatorname.iscsi');
  expect((await record(['new_initiators=true'])).code).toBe(0);
  expect(await known()).toBe(before.replace(/dbk2 .*/, 'dbk2 iqn.new'));
}, 120_000);

test('each wrong condition is told with its own message, all at once', async () => {
  await on('dbk1', 'vms-hosts add one 10.0.0.9');
  await on(
    'dbk2',
    'dpkg -r usphere-ssp; touch /etc/libvirt/storage/nfs.xml; sed -i s/12/13/ /etc/os-release',
  );
  await on(
    'arbiter',
    'ip addr add $(ip -o -4 addr show eth1 | sed -nE "s/.* ([0-9.]+)\\.[0-9]+\\/24 .*/\\1.100/p")/24 dev eth1',
  );
  const ran = await preflight((text) =>
    text
      .replace('usphere_vms_min_gb: 0', 'usphere_vms_min_gb: 900000')
      .replace('virtual_machines: 0', 'virtual_machines: 2000')
      .replace(/(qnetd:\s+host: arbiter\s+address: ).*/, '$1203.0.113.9'),
  );
  expect(ran.code).toBe(1);
  expect(unmet(ran)).toEqual([
    'Same system',
    'Same components in the same release',
    'Only the default storage pools',
    'No host is managed yet',
    'The database partition is large enough for what is expected',
    '/vms is a partition of its own',
    '/vms is large enough',
    'Nobody else has the VIP',
    'The arbiter, or each address to ping, is reached',
  ]);
  for (const said of [
    'dbk2 has the storage pools defaultpool isopool nfs; only isopool and defaultpool',
    'dbk1 manages 1 hosts; only new installations',
    '0.2 GB are too few for 1 hosts and 2000 virtual machines: 439.60 GB by the guide',
    '900000.00 GB are wanted',
    'dbk1 does not reach 203.0.113.9',
  ])
    expect(ran.told).toContain(said);
}, 120_000);

test('each condition counts in the end', async () => {
  const text = await readFile(new URL('../../playbooks/usphere/preflight.yml', import.meta.url), 'utf8');
  const [conditions = '', end = ''] = text.split(`name: ${END}`);
  const registered = [...conditions.matchAll(/register: (check_\w+)/g)].map(([, name = '']) => name);
  expect(registered.length).toBeGreaterThan(15);
  expect(
    registered.filter((name) => !end.includes(`${name}.failed'`) && !end.includes(`${name}.failed)`)),
  ).toEqual([]);
});

test('a platform whose commands have other names is not taken for a bare host', async () => {
  const away = 'for one in usphere-version vms-hosts; do mv /usr/bin/$one /usr/bin/its-$one; done';
  await Promise.all(['dbk1', 'dbk2'].map((node) => on(node, away)));
  const ran = await preflight();
  expect(ran.code).toBe(1);
  expect(unmet(ran)).toContain('Same components in the same release');
  expect(ran.told).toContain(
    'On dbk1 `usphere-version` tells no components of the platform, and the platform is there (/etc/usphere/vms.conf, storage pools defaultpool isopool, mysql runs, tomcat runs)',
  );
  // Not told in the format that is wanted: neither bare.
  await Promise.all(['dbk1', 'dbk2'].map((node) => on(node, 'ln -s /bin/uname /usr/bin/usphere-version')));
  expect(unmet(await preflight())).toContain('Same components in the same release');
  const named = ['usphere_version_command=its-usphere-version', 'usphere_hosts_command=its-vms-hosts list'];
  const seen = await playbook('usphere/preflight', lab.inventory, { state, extra: named });
  expect(seen.told).toContain('dbk1 manages 1 hosts');
  expect(seen.told).not.toContain('tells no components');
}, 120_000);

test('two bare hosts are told to be taken for such, and of pools libvirt may have its own', async () => {
  await Promise.all(
    ['dbk1', 'dbk2'].map((node) =>
      on(
        node,
        'rm /usr/bin/*usphere-version; dpkg -P usphere-ssp usphere-isc usphere-vms && rm -f /etc/libvirt/storage/*; touch /etc/libvirt/storage/default.xml',
      ),
    ),
  );
  const ran = await preflight();
  expect(unmet(ran)).not.toContain('Only the default storage pools');
  expect(unmet(ran)).not.toContain('Same components in the same release');
  const warned = ran.steps.filter(({ name }) => name === 'Warning: the platform was not looked at');
  expect(warned.map(({ outcome }) => outcome)).toEqual(['ok', 'ok']);
  await on('dbk1', 'touch /etc/libvirt/storage/nfs.xml');
  expect(unmet(await preflight())).toContain('Only the default storage pools');
}, 120_000);

test('/vms has to be a partition of its own where the guide wants room on it', async () => {
  const small = (text: string): string => text.replace('usphere_vms_min_gb: 0', 'usphere_vms_min_gb: 1');
  const name = '/vms is a partition of its own';
  expect(unmet(await preflight())).not.toContain(name);
  const ran = await preflight(small);
  expect(unmet(ran)).toContain(name);
  expect(ran.told).toContain('/vms of dbk1 is no partition of its own');
  await Promise.all(['dbk1', 'dbk2'].map((node) => on(node, 'mount -t tmpfs -o size=1g tmpfs /vms')));
  const mounted = unmet(await preflight(small));
  expect(mounted).not.toContain(name);
  expect(mounted).not.toContain('/vms is large enough');
  await Promise.all(['dbk1', 'dbk2'].map((node) => on(node, 'umount /vms')));
}, 120_000);

test('a build stops there, and has changed nothing', async () => {
  const ran = await playbook('usphere/build', lab.inventory, { state });
  expect(ran.code).toBe(1);
  expect(ran.failed).toContain(END);
  expect(ran.changed).toEqual([]);
  expect(await on('dbk1', 'command -v drbdadm corosync || echo neither')).toBe('neither');
}, 120_000);
