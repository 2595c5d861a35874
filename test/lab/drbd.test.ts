import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leftovers, openLab, type Lab } from '../../engine/lab/lab.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { downOwn, freshLab } from './_fresh.ts';

const NAME = 'test-drbd';
const PAIR = ['dbk1', 'dbk2'];
let lab: Lab;

const on = async (node: string, command: string, stdin?: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command, stdin === undefined ? {} : { stdin });
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
const diskOf = (node: string): Promise<string> => on(node, 'ls /dev/disk/by-id/ubd-*');
const status = (node: string): Promise<string> => on(node, 'drbdadm status r0');
const reaches = (node: string, text: RegExp) =>
  expect.poll(() => status(node), { timeout: 120_000, interval: 500 }).toMatch(text);

beforeAll(async () => {
  lab = await freshLab({
    ...{ name: NAME, stack: 'kwdb', database: 'mariadb' },
    ...{ drbd: true, arbiter: true, dataMb: 32 },
  });
});
afterAll(async () => {
  await downOwn(NAME);
  expect(await leftovers(NAME)).toEqual([]);
}, 60_000);

test('two nodes have a kernel with DRBD, the arbiter is a container', async () => {
  expect(lab.nodes.map(({ name }) => name)).toEqual([...PAIR, 'arbiter']);
  for (const node of PAIR)
    expect(await on(node, 'modprobe drbd; head -n 1 /proc/drbd; systemctl is-system-running')).toMatch(
      /^version: 8\.4\..*\nrunning$/,
    );
  expect(await on('arbiter', 'cat /proc/version')).not.toBe(await on('dbk1', 'cat /proc/version'));
  for (const node of [...PAIR, 'arbiter'])
    for (const other of PAIR) await on(node, `ping -c1 -W5 ${other} && ping -c1 -W5 ${other}-net2`);
});

test('packages are installed from the node itself', async () => {
  const install = 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq drbd-utils';
  await Promise.all(PAIR.map((node) => on(node, install)));
  const policy = await on('arbiter', 'apt-get update -qq && apt-cache policy pcs corosync-qnetd');
  expect(policy.match(/Candidate: \d/g)).toHaveLength(2);
}, 300_000);

test('DRBD carries what is written to the other node, over a cut and a power failure', async () => {
  const hosts = await Promise.all(
    PAIR.map(async (node, i) => {
      const address = lab.nodes[i]?.addresses.net2 ?? '';
      return `on ${node} { device /dev/drbd0; disk ${await diskOf(node)}; address ${address}:7788; meta-disk internal; }`;
    }),
  );
  const resource = `resource r0 { net { protocol C; ping-int 1; } ${hosts.join('\n')} }`;
  for (const node of PAIR)
    await on(node, 'cat >/etc/drbd.d/r0.res && drbdadm create-md --force r0 && drbdadm up r0', resource);
  await on('dbk1', 'drbdadm primary --force r0');
  await reaches('dbk2', /^r0 role:Secondary\n +disk:UpToDate/);
  await on('dbk1', 'mkfs.ext4 -q /dev/drbd0 && mount /dev/drbd0 /mnt && echo one >/mnt/file && sync');

  await expect(lab.cut('dbk1', 'net2', 'unplugged')).rejects.toThrow('is a virtual machine');
  await lab.cut('dbk1', 'net2');
  await reaches('dbk1', /connection:(Connecting|Unconnected)/);
  await on('dbk1', 'echo two >/mnt/file && sync');
  await lab.heal('dbk1', 'net2');
  await reaches('dbk1', /peer role:Secondary\n.*peer-disk:UpToDate/);

  await lab.powerOff('dbk1');
  await reaches('dbk2', /connection:Connecting/);
  await on('dbk2', 'drbdadm primary r0 && mount /dev/drbd0 /mnt');
  expect(await on('dbk2', 'cat /mnt/file')).toBe('two');
}, 400_000);

test('a disk is replaced by an empty one of another name, in a node that is off', async () => {
  await expect(lab.replaceDisk('dbk2')).rejects.toThrow('dbk2 is on');
  await expect(lab.replaceDisk('arbiter')).rejects.toThrow('arbiter has no data disk');
  const before = readFileSync(lab.inventory);
  await lab.replaceDisk('dbk1', 48);
  const disk = loadInventory(lab.inventory).hosts.get('dbk1')?.vars['data_disk'];
  // As where it was killed before the inventory had the name of the new disk.
  writeFileSync(lab.inventory, before);
  await (await openLab(NAME)).powerOn('dbk1');
  expect(await diskOf('dbk1')).toBe(disk);
  expect(loadInventory(lab.inventory).hosts.get('dbk1')?.vars['data_disk']).toBe(disk);
  expect(
    await on(
      'dbk1',
      `blockdev --getsize64 $(ls /dev/disk/by-id/ubd-*); blkid -p $(ls /dev/disk/by-id/ubd-*) || echo none`,
    ),
  ).toBe(`${48 * 1024 * 1024}\nnone`);
}, 400_000);

test('a node is replaced by a bare one: another disk, another host key, nothing installed', async () => {
  await expect(lab.replaceNode('dbk1')).rejects.toThrow('dbk1 is on');
  expect(await on('dbk1', 'command -v drbdadm')).toBe('/usr/sbin/drbdadm');
  const before = await Promise.all([diskOf('dbk1'), on('dbk1', 'cat /etc/ssh/ssh_host_ed25519_key.pub')]);
  await lab.powerOff('dbk1');
  await lab.replaceNode('dbk1');
  await lab.powerOn('dbk1');
  expect(await on('dbk1', 'command -v drbdadm || echo bare')).toBe('bare');
  expect(await on('dbk1', 'blockdev --getsize64 $(ls /dev/disk/by-id/ubd-*)')).toBe(String(48 * 1024 * 1024));
  const after = await Promise.all([diskOf('dbk1'), on('dbk1', 'cat /etc/ssh/ssh_host_ed25519_key.pub')]);
  expect(after[0]).not.toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
}, 400_000);

test('a node that reboots or powers itself off does so', async () => {
  const boot = 'cat /proc/sys/kernel/random/boot_id';
  const before = await on('dbk1', boot);
  await on('dbk1', '(sleep 0.5; systemctl reboot) >/dev/null 2>&1 &');
  await expect
    .poll(() => on('dbk1', boot).catch(() => before), { timeout: 240_000, interval: 1000 })
    .not.toBe(before);
  await on('dbk1', '(sleep 0.5; systemctl poweroff) >/dev/null 2>&1 &');
  const isOn = async () => (await lab.status()).find(({ name }) => name === 'dbk1')?.pid !== undefined;
  await expect.poll(isOn, { timeout: 120_000 }).toBe(false);
  await lab.powerOn('dbk1');
  await on('dbk1', 'true');
}, 600_000);
