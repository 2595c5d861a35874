import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { openPair } from '../cluster/_pair.ts';
import type { Pair } from '../cluster/_pair.ts';
import { freshLab } from '../lab/_fresh.ts';
import { hostileOnNode } from './_node-hostile.ts';
import { truthOnNode } from './_node-truth.ts';
import { benchOn, diskSettings } from './_pair-hostile.ts';
import { diskKinds } from './_pair-truth.ts';

let lab: Lab;
let pair: Pair;
let disk: string;

beforeAll(async () => {
  const how = { stack: 'kwdb', database: 'mariadb', drbd: true, installed: true, dataMb: 64 } as const;
  lab = await freshLab({ name: 'test-filesystem', ...how });
  pair = openPair(lab.inventory);
  disk = await on('ls /dev/disk/by-id/ubd-*');
});
afterAll(async () => {
  await pair?.close();
  await lab?.down();
}, 60_000);

const on = async (command: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh('dbk1', command);
  if (code !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
  return stdout.trim();
};
const kind = (): Promise<string> => on(`blkid -p -s TYPE -o value ${disk} || true`);
const make = (params: Record<string, unknown> = {}) =>
  pair.reach('dbk1', 'filesystem', { device: disk, ...params });
const empty = (): Promise<string> =>
  on(`wipefs -aq ${disk}; dd if=/dev/zero of=${disk} bs=1M status=none; sync; true`);

test('an empty device gets a file system, once', async () => {
  await empty();
  expect(await make({ label: 'data' })).toMatchObject([{ before: 'none', after: 'ext4' }]);
  expect(await on(`blkid -p -s LABEL -o value ${disk}`)).toBe('data');
  const uuid = await on(`blkid -p -s UUID -o value ${disk}`);
  expect(await make()).toEqual([]);
  expect(await on(`blkid -p -s UUID -o value ${disk}`)).toBe(uuid);
});

test.each([
  ['another file system', 'mkfs.ext4 -q $disk', 'TYPE=ext4'],
  ['swap', 'mkswap -q $disk', 'TYPE=swap'],
  ['a partition table', 'echo ",," | sfdisk -q $disk', 'it holds'],
  ['text', 'echo text | dd of=$disk conv=notrunc status=none', 'no signature'],
])('%s is written over only where it was said', async (_, before, reason) => {
  await empty();
  await on(`disk=${disk}; ${before}; sync; udevadm settle`);
  const content = await on(`head -c 1048576 ${disk} | sha256sum`);
  await expect(make({ type: 'xfs' })).rejects.toThrow(reason);
  expect(await on(`head -c 1048576 ${disk} | sha256sum`)).toBe(content);
  await make({ type: 'ext4', overwrite: true });
  expect(await kind()).toBe('ext4');
});

test('what is in use is never written over', async () => {
  await empty();
  await make();
  await on(`mount ${disk} /mnt`);
  await expect(make({ type: 'xfs', overwrite: true })).rejects.toThrow('it is mounted at /mnt');
  await on('umount /mnt');
  await on(`mkswap -q -f ${disk} && swapon ${disk}`);
  await expect(make({ overwrite: true })).rejects.toThrow('it is swap');
  await on(`swapoff ${disk}`);
});

test('a device that is none is told', async () => {
  await expect(make({ device: '/dev/none' })).rejects.toThrow('/dev/none is no block device');
});

test('mount: by its name in by-id and by its UUID it is one device; block_devices tells of it', async () => {
  await empty();
  await make({ label: 'data' });
  const uuid = await on(`blkid -p -s UUID -o value ${disk}`);
  const params = { path: '/srv/data', fstype: 'ext4', state: 'mounted', opts: 'noatime' };
  await pair.reach('dbk1', 'mount', { ...params, src: disk });
  expect(
    await on('grep -c " /srv/data ext4 noatime " /etc/fstab; findmnt -n -o FSTYPE,OPTIONS /srv/data'),
  ).toMatch(/^1\next4 +rw,noatime/);
  expect((await pair.check('dbk1', 'mount', { ...params, src: `UUID=${uuid}` })).changes).toMatchObject([
    { what: 'content of /etc/fstab' },
  ]);
  const { result } = await pair.run('dbk1', 'facts', { gather: ['block_devices'] });
  const { block_devices } = result['facts'] as { block_devices: { by_id: string[] }[] };
  expect(block_devices.filter(({ by_id }) => by_id.includes(disk))).toMatchObject([
    {
      path: await on(`readlink -f ${disk}`),
      type: 'disk',
      size_bytes: Number(await on(`blockdev --getsize64 ${disk}`)),
      fstype: 'ext4',
      label: 'data',
      uuid,
      mountpoint: '/srv/data',
      partitions: [],
    },
  ]);
  await pair.reach('dbk1', 'mount', { path: '/srv/data', state: 'absent' });
});

test('mount: what a device does not hold is told before anything is done', async () => {
  const params = { path: '/srv/other', src: disk, state: 'mounted' };
  const refused = (fstype: string, why: string) =>
    expect(pair.reach('dbk1', 'mount', { ...params, fstype })).rejects.toThrow(why);
  await refused('xfs', `${disk} holds ext4, not xfs`);
  await empty();
  await refused('ext4', `${disk} has no file system`);
  expect(await on('ls -d /srv/other; grep -c other /etc/fstab; true')).toBe('0');
});

test('mount: a file goes by a loop device', async () => {
  const src = '/root/image';
  await on(`truncate -s 8M ${src} && mkfs.ext4 -q ${src}`);
  await pair.reach('dbk1', 'mount', {
    path: '/srv/image',
    src,
    fstype: 'ext4',
    opts: 'loop,ro',
    state: 'ephemeral',
  });
  await pair.reach('dbk1', 'mount', { path: '/srv/image', state: 'unmounted' });
});

truthOnNode(
  () => benchOn(pair, 'dbk1'),
  diskKinds(() => disk),
);

hostileOnNode(
  () => benchOn(pair, 'dbk1'),
  diskSettings(() => disk, on),
);

test('sysctl: the kernel has it now, and after a boot; what it does not take is not written down', async () => {
  const file = '/etc/sysctl.d/90-drillbook.conf';
  const reach = (params: Record<string, unknown>) => pair.reach('dbk1', 'sysctl', params);
  expect(await reach({ name: 'net.ipv4.ip_nonlocal_bind', value: true })).toMatchObject([
    { what: 'net.ipv4.ip_nonlocal_bind of the kernel', before: '0', after: '1' },
    { what: `content of ${file}` },
  ]);
  await reach({ name: 'net.ipv4.tcp_rmem', value: '4096  131072 6291457' });
  await reach({ name: 'net/ipv4/conf/lo/rp_filter', value: 2 });
  const text = `net.ipv4.ip_nonlocal_bind = 1\nnet.ipv4.tcp_rmem = 4096 131072 6291457\nnet/ipv4/conf/lo/rp_filter = 2`;
  expect(await on(`cat ${file}`)).toBe(text);
  await on(
    `sysctl -qw net.ipv4.ip_nonlocal_bind=0 net.ipv4.tcp_rmem='1 2 3' && /lib/systemd/systemd-sysctl && cat /proc/sys/net/ipv4/ip_nonlocal_bind | grep -x 1`,
  );
  await expect(reach({ name: 'net.ipv4.ip_forward', value: 'many' })).rejects.toThrow(
    /^net\.ipv4\.ip_forward was not set to many: Invalid argument|I\/O error/,
  );
  await expect(reach({ name: 'net.ipv4.no_such', value: 1 })).rejects.toThrow(
    'has no parameter net.ipv4.no_such',
  );
  expect(await on(`cat ${file}`)).toBe(text);
  await on(
    `printf '# x\\nnet/ipv4/ip_forward=1\\n' >/etc/sysctl.d/95-other.conf; printf 'net.ipv4.ip_forward=1\\n' >/usr/lib/sysctl.d/96-masked.conf; touch /etc/sysctl.d/96-masked.conf`,
  );
  await expect(reach({ name: 'net.ipv4.ip_forward', value: 0 })).rejects.toThrow(
    '/etc/sysctl.d/95-other.conf of dbk1 sets net.ipv4.ip_forward to 1 at boot',
  );
  await reach({ name: 'net.ipv4.ip_forward', value: 0, sysctl_file: '/etc/sysctl.d/95-other.conf' });
  expect(await on('cat /etc/sysctl.d/95-other.conf')).toBe('# x\nnet.ipv4.ip_forward = 0');
  expect(await reach({ name: 'net/ipv4/tcp_rmem', state: 'absent' })).toHaveLength(1);
  expect(await on(`grep -c tcp_rmem ${file}; cut -f1 /proc/sys/net/ipv4/tcp_rmem`)).toBe('0\n4096');
});
