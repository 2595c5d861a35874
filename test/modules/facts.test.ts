import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, cpus, hostname, totalmem } from 'node:os';
import { expect, test } from 'vitest';
import { parseFacts } from '../../engine/modules/_facts-parse.ts';
import { openBench, run } from './_context.ts';

test('says of this machine what Node says of it, in one exchange', async () => {
  const bench = await openBench();
  const gather = ['os', 'hardware', 'network', 'mounts', 'time', 'users', 'packages', 'services'];
  const { result } = await run(bench, 'facts', { gather });
  expect(bench.exchanges()).toBe(1);
  await bench.close();
  const facts = result['facts'];
  expect(facts).toMatchObject({
    os: { id: 'debian', family: 'debian' },
    arch: arch() === 'x64' ? 'x86_64' : expect.any(String),
    hostname: hostname(),
    cpu: { count: cpus().length },
    memory_bytes: totalmem(),
    package_manager: 'apt',
    boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    interfaces: expect.arrayContaining([
      expect.objectContaining({ name: 'lo', mac: '00:00:00:00:00:00', mtu: 65536 }),
    ]),
    mounts: expect.arrayContaining([
      expect.objectContaining({ path: '/', size_bytes: expect.any(Number), free_bytes: expect.any(Number) }),
    ]),
    users: expect.arrayContaining([{ name: 'root', uid: 0, gid: 0, home: '/root', shell: '/bin/bash' }]),
    packages: { dpkg: expect.stringMatching(/^1\./) },
  });
  const { time } = facts as { time: { epoch: number } };
  expect(Math.abs(time.epoch - Date.now() / 1000)).toBeLessThan(60);
});

test('block devices are those that lsblk names', async () => {
  const bench = await openBench();
  const { result } = await run(bench, 'facts', { gather: ['block_devices'] });
  await bench.close();
  const { block_devices } = result['facts'] as { block_devices: { path: string; size_bytes: number }[] };
  const said = execFileSync('lsblk', ['-n', '-r', '-b', '-p', '-o', 'NAME,SIZE'], { encoding: 'utf8' });
  const lines = new Set(said.trimEnd().split('\n'));
  expect(new Set(block_devices.map(({ path, size_bytes }) => `${path} ${size_bytes}`))).toEqual(lines);
});

test('a mirror of two disks is one device, with both of them and its partitions', () => {
  const line = (fields: Record<string, string>): string =>
    `block\t${Object.entries(fields)
      .map(([key, value]) => `${key}="${value}"`)
      .join(' ')}\n`;
  const md = { NAME: '/dev/md0', KNAME: '/dev/md0', TYPE: 'raid1', SIZE: '5' };
  const { block_devices } = parseFacts(
    [
      'blocks\n',
      line({
        NAME: '/dev/sda',
        KNAME: '/dev/sda',
        PKNAME: '',
        TYPE: 'disk',
        SIZE: '9000000000000',
        ROTA: '1',
      }),
      line({ ...md, PKNAME: '/dev/sda' }),
      line({
        NAME: '/dev/sdb',
        KNAME: '/dev/sdb',
        TYPE: 'disk',
        MODEL: 'A\\x20\\x22b\\x22\\xe5\\xa4\\x87\\x20\\x20',
        RO: '1',
      }),
      line({ ...md, PKNAME: '/dev/sdb' }),
      line({
        NAME: '/dev/md0p1',
        KNAME: '/dev/md0p1',
        PKNAME: '/dev/md0',
        TYPE: 'part',
        LABEL: 'a\\x5cx',
        FSTYPE: 'ext4',
      }),
      line({
        NAME: '/dev/mapper/vg-lv',
        KNAME: '/dev/dm-0',
        PKNAME: '/dev/md0p1',
        TYPE: 'lvm',
        MOUNTPOINT: '/a\\x20b',
      }),
      'by_id\t/dev/disk/by-id/wwn-1\t/dev/sdb\nby_id\t/dev/disk/by-id/scsi-1\t/dev/sdb\nby_id\t/dev/disk/by-id/dm-1\t/dev/dm-0\n',
    ].join(''),
  ) as { block_devices: unknown[] };
  expect(block_devices).toMatchObject([
    {
      name: 'sda',
      path: '/dev/sda',
      size_bytes: 9e12,
      is_rotational: true,
      is_read_only: false,
      by_id: [],
      partitions: [],
    },
    { name: 'md0', type: 'raid1', parents: ['sda', 'sdb'], partitions: ['md0p1'] },
    {
      name: 'sdb',
      model: 'A "b"备',
      is_read_only: true,
      by_id: ['/dev/disk/by-id/wwn-1', '/dev/disk/by-id/scsi-1'],
    },
    { name: 'md0p1', type: 'part', label: 'a\\x', fstype: 'ext4', mountpoint: '' },
    {
      name: 'vg-lv',
      path: '/dev/mapper/vg-lv',
      type: 'lvm',
      mountpoint: '/a b',
      by_id: ['/dev/disk/by-id/dm-1'],
      parents: ['md0p1'],
    },
  ]);
});

test('only what is asked for is read', async () => {
  const bench = await openBench();
  expect(
    Object.keys((await run(bench, 'facts', { gather: ['hardware'] })).result['facts'] as object),
  ).not.toContain('os');
  await bench.close();
});

test('addresses and routes are read as ip prints them', () => {
  const facts = parseFacts(
    'interface\teth0\taa:bb\t1500\tup\tvirtio_net\naddress\teth0\tinet\t10.0.0.1/24\naddress\teth0\tinet6\tfe80::1/64\nroute\tdefault via 10.0.0.254 dev eth0 src 10.0.0.1 metric 9\nmount\t/a\\040b\t/dev/x\text4\tro,relatime\nconstructor\tx\n',
  );
  expect(facts).toMatchObject({
    interfaces: [
      {
        name: 'eth0',
        model: 'virtio_net',
        addresses: [
          { address: '10.0.0.1', prefix: 24, family: 'ipv4' },
          { address: 'fe80::1', prefix: 64, family: 'ipv6' },
        ],
      },
    ],
    default_route: { gateway: '10.0.0.254', interface: 'eth0', source: '10.0.0.1' },
    mounts: [{ path: '/a b', is_read_only: true }],
  });
});
