import { afterAll, beforeAll, expect, test } from 'vitest';
import { isFull } from '../_full.ts';
import { report } from '../run/_matrix.ts';
import { statusOf } from './_playbook.ts';
import { openUsphere } from './_usphere.ts';
import type { Usphere } from './_usphere.ts';

let pair: Usphere;
/** The inventory of the lab, with a sync partition and without arbitration. */
let alone: string;

// Fifteen minutes on two nodes with kernels of their own, without an arbiter: in full runs alone (npm run matrix).
const long = (name: string, work: () => Promise<void>): void =>
  void test.runIf(isFull)(name, work, 1_200_000);

beforeAll(async () => {
  if (!isFull) return;
  pair = await openUsphere('test-ping', false);
  alone = await pair.edited('alone', (text) => {
    const none = text.replace(/arbitration:\n +ping:\n(?: +- .*\n)+/, 'arbitration: none\n');
    expect(none).not.toBe(text);
    return none;
  });
});
afterAll(() => pair?.close(), 60_000);

const isWhole = (inventory?: string): Promise<void> =>
  expect
    .poll(
      async () => {
        const now = await pair.status(inventory);
        return [now.state, now.replication.state, now.nodes.map(({ role }) => role).toSorted()];
      },
      { timeout: 240_000 },
    )
    .toEqual(['running', 'normal', ['primary', 'standby']]);

const SYNC_DISK = 'truncate -s 64M /sync.img; losetup /dev/loop0 /sync.img';
/** Disks of the lab are not called sdX; this one is a file. */
const syncing = (): Promise<string> =>
  pair.edited('syncing', (text) =>
    text
      .replace(
        /^( +)drbd:$/m,
        `$1sync_partition: { resource: r1, device: /dev/drbd1, disks: { dbk1: /dev/loop0, dbk2: /dev/loop0 }, port: 7790, directory: /srv/templates }\n$&`,
      )
      .replace(/^( +)usphere_vms_min_gb: 0$/m, "$&\n$1usphere_sync_disk: '^loop0$$'"),
  );

long(
  'two hosts become a hot standby that pings, by one playbook, and a second time nothing changes',
  async () => {
    await pair.done('build');
    await isWhole();
    expect((await pair.status()).arbitration['protection']).toMatch(/^ping/);
    expect(await pair.serving()).toBe('dbk1');
    expect((await pair.done('build')).changed).toEqual([]);
  },
);

long('a host that reaches none of the addresses serves no more, and the other one does', async () => {
  const client = pair.writer('cut');
  await client.goesOn();
  for (const link of ['net1', 'mgmt'] as const) await pair.lab.cut('dbk1', link);
  await client.goesOn();
  expect(await pair.serving()).toBe('dbk2');
  const { names, gapMs } = await client.stop();
  report(
    `usphere: primary without its addresses under ${names.length} writes, none for ${Math.round(gapMs)} ms`,
  );
  for (const link of ['net1', 'mgmt'] as const) await pair.lab.heal('dbk1', link);
  await isWhole();
  expect(await pair.lost(names)).toEqual([]);
});

long('it is stopped and started, and dissolved and built again, with what it holds', async () => {
  const client = pair.writer('kept');
  await client.goesOn();
  const { names } = await client.stop();
  await pair.done('stop');
  expect(await pair.serving()).toBe('');
  await pair.done('start');
  expect(await pair.lost(names)).toEqual([]);
  expect((await pair.done('start')).changed).toEqual([]);
  await pair.done('dissolve');
  expect(await pair.serving()).toBe('');
  await pair.done('build');
  await isWhole();
  expect(await pair.lost(names)).toEqual([]);
});

long('a sync partition is added, filled on a host that was made anew, and removed', async () => {
  for (const node of ['dbk1', 'dbk2']) await pair.on(node, SYNC_DISK);
  let inventory = await syncing();
  await pair.done('sync-partition-add', inventory);
  expect((await pair.done('sync-partition-add', inventory)).changed).toEqual([]);
  const now = await pair.status();
  const [serves, other] = ['primary', 'standby'].map(
    (role) => now.nodes.find((node) => node.role === role)?.name ?? '',
  ) as [string, string];
  await pair.on(serves, 'echo template >/srv/templates/one; sync');
  await pair.lab.powerOff(other);
  await pair.lab.replaceNode(other);
  await pair.lab.powerOn(other);
  // The new disk has another name.
  inventory = await syncing();
  // Its disk is one that was used: it is not written over unasked.
  await pair.on(other, 'mkfs.ext4 -q -F /dev/ubdb');
  const given = [`node=${other}`, 'version=1.0-1'];
  const refused = await pair.run('recover-node', inventory, given);
  expect([refused.code, refused.failed], refused.told).toEqual([1, ['Metadata on the new disk']]);
  await pair.done('give-up-disk', inventory, [`node=${other}`]);
  await pair.on(other, SYNC_DISK);
  const client = pair.writer('recover');
  await pair.done('recover-node', inventory, given);
  const { names, gapMs } = await client.stop();
  report(`usphere: recovery under ${names.length} writes, none for ${Math.round(gapMs)} ms`);
  expect(await pair.lost(names)).toEqual([]);
  const amiss = async (): Promise<string[]> => (await statusOf(inventory)).problems.map(({ code }) => code);
  await expect.poll(amiss, { timeout: 60_000 }).toEqual([]);
  await pair.on(other, 'drbdadm disconnect r1');
  expect(await amiss()).toEqual(['drbd.second']);
  await pair.done('reconnect', inventory, ['resource=r1']);
  await expect.poll(amiss, { timeout: 60_000 }).toEqual([]);
  await pair.done('switch', inventory);
  expect(await pair.on(other, 'cat /srv/templates/one')).toBe('template');
  await pair.done('sync-partition-remove', inventory);
  expect(await pair.on(other, 'ls /etc/drbd.d /srv/templates')).not.toMatch(/r1|one/);
  await isWhole();
});

long('a service that fails for good on one host is told, and recovers', async () => {
  const primary = (await pair.status()).nodes.find(({ role }) => role === 'primary')?.name ?? '';
  const broken = '/run/systemd/system/tomcat.service.d';
  const lines = '[Service]\\nExecStart=\\nExecStart=/bin/false\\n';
  await pair.on(primary, `mkdir -p ${broken}; printf '${lines}' >${broken}/no.conf; systemctl daemon-reload`);
  await pair.on(primary, 'systemctl kill -s KILL tomcat');
  await expect.poll(pair.serving, { timeout: 240_000 }).toMatch(/^dbk/);
  await pair.on(primary, `rm -r ${broken}; systemctl daemon-reload`);
  await pair.done('recover-service');
  await isWhole();
  expect((await pair.done('recover-service')).changed).toEqual([]);
});

long('DRBD that was taken apart is connected again, and a cut link recovers', async () => {
  await pair.on('dbk2', 'drbdadm disconnect r0');
  await expect.poll(async () => (await pair.status()).replication.state, { timeout: 60_000 }).toBe('stopped');
  await pair.done('reconnect');
  await isWhole();
  await pair.lab.cut('dbk2', 'net2');
  await expect.poll(async () => (await pair.status()).replication.state, { timeout: 60_000 }).toBe('stopped');
  await pair.lab.heal('dbk2', 'net2');
  await pair.done('recover-link');
  await isWhole();
});

long('without arbitration both serve when they lose each other, and one gives up what it wrote', async () => {
  await pair.done('arbitration', alone);
  expect((await pair.status(alone)).arbitration['protection']).toMatch(/^none: .*split brain/);
  expect((await pair.done('arbitration', alone)).changed).toEqual([]);
  for (const link of ['net1', 'net2'] as const) await pair.lab.cut('dbk2', link);
  const promoted = async (): Promise<string[]> =>
    Promise.all(
      ['dbk1', 'dbk2'].map(async (node) => (await pair.on(node, 'drbdadm role r0')).split('/')[0] ?? ''),
    );
  await expect.poll(promoted, { timeout: 180_000 }).toEqual(['Primary', 'Primary']);
  for (const node of ['dbk1', 'dbk2']) await pair.on(node, 'date >/var/lib/mysql-share/alone; sync');
  for (const link of ['net1', 'net2'] as const) await pair.lab.heal('dbk2', link);
  const told = await pair.run('recover-service', alone);
  expect([told.code, told.told]).toEqual([1, expect.stringContaining('Split brain')]);
  const idle = (await pair.status(alone)).nodes.find(({ role }) => role === 'standby')?.name ?? '';
  const said = await pair.done('split-brain', alone);
  expect(JSON.stringify(said.steps)).toContain(idle);
  await pair.done('recover-split-brain', alone, [`victim=${idle}`, 'at_most=300 MiB']);
  expect(await pair.on(idle, 'ls /var/backups/drbd')).toContain('.img');
  await isWhole(alone);
  await pair.done('arbitration');
  expect((await pair.status()).arbitration['protection']).toMatch(/^ping/);
});
