import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../../engine/core/cluster.ts';
import type { Lab } from '../../../engine/lab/lab.ts';
import { drillbook } from '../../cli/_drillbook.ts';
import { openPair } from '../../cluster/_pair.ts';
import type { Pair } from '../../cluster/_pair.ts';
import { freshLab } from '../../lab/_fresh.ts';
import { hostileOnNode } from '../_node-hostile.ts';
import { truthOnNode } from '../_node-truth.ts';
import { benchOn, drbdSettings } from '../_pair-hostile.ts';
import { drbdKinds } from '../_pair-truth.ts';
import { playbook } from '../../playbooks/_playbook.ts';
import type { Ran } from '../../playbooks/_playbook.ts';

let lab: Lab;
let state: string;
let pair: Pair;

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'kwdb-'));
  lab = await freshLab({
    name: 'test-drbd-pair',
    stack: 'kwdb',
    database: 'mariadb',
    drbd: true,
    installed: true,
    dataMb: 64,
  });
  pair = openPair(lab.inventory);
});
afterAll(async () => {
  await pair?.close();
  await lab?.down();
  await rm(state, { recursive: true, force: true });
}, 60_000);

const on = async (node: string, command: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command);
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
const run = (name: string, isCheck = false): Promise<Ran> =>
  playbook(`kwdb/${name}`, lab.inventory, { state, isCheck });
async function done(name: string): Promise<readonly string[]> {
  const ran = await run(name);
  expect(ran.code, ran.told).toBe(0);
  return ran.changed;
}
async function status(): Promise<ClusterStatus> {
  const said = await drillbook(['status', '-i', lab.inventory, '--output', 'json'], {
    env: { DRILLBOOK_STATE: state },
  });
  return JSON.parse(said.stdout) as ClusterStatus;
}
const roles = ({ nodes }: ClusterStatus): string[] => nodes.map(({ role }) => role);
const WIPE = 'drbdadm down drbd3; wipefs -aq $disk; dd if=/dev/zero of=$disk bs=1M status=none; sync; true';
const disk = 'disk=$(ls /dev/disk/by-id/ubd-*)';

test('bare nodes become a pair whose disks are in step, step by step, and a second time nothing changes', async () => {
  expect(roles(await status())).toEqual(['free', 'free']);
  await done('install');
  const each = (module: string, params: Record<string, unknown>): Promise<unknown> =>
    Promise.all(['dbk1', 'dbk2'].map((node) => pair.reach(node, module, params)));
  const global = { src: 'drbd-global_common.conf.hbs', dest: '/etc/drbd.d/global_common.conf' };
  await each('drbd.config', global);
  await each('drbd.config', { dest: '/etc/drbd.d/drbd3.res' });
  await each('drbd.metadata', { resource: 'drbd3' });
  await expect(pair.run('dbk1', 'drbd.initial_sync', { resource: 'drbd3' })).rejects.toThrow('drbd3 is down');
  await each('drbd.resource', { name: 'drbd3' });
  await each('drbd.resource', { name: 'drbd3', state: 'connected' });
  const { replication, state: before } = await status();
  expect([before, replication]).toMatchObject(['error', { kind: 'drbd', state: 'broken', percent: 0 }]);
  const synced = await pair.run('dbk1', 'drbd.initial_sync', { resource: 'drbd3' });
  expect(synced).toMatchObject({ isChanged: true, result: { role: 'Primary', peer_disk: 'UpToDate' } });
  await pair.reach('dbk1', 'filesystem', { device: '/dev/drbd3' });
  const now = await status();
  expect([now.state, roles(now), now.problems.map(({ code }) => code)]).toEqual([
    'running',
    ['primary', 'standby'],
    ['unguarded'],
  ]);
  expect(now.replication).toMatchObject({ state: 'normal', percent: 100 });
  for (const name of ['install', 'drbd-create-md', 'drbd-sync']) expect(await done(name)).toEqual([]);
  expect(await pair.run('dbk1', 'drbd.initial_sync', { resource: 'drbd3' })).toMatchObject({
    isChanged: false,
    result: { duration: 0 },
  });
  await on('dbk1', 'mount /dev/drbd3 /mnt && echo kept >/mnt/file && umount /mnt');
}, 400_000);

test('a resource gets its role, and goes down and up', async () => {
  await pair.reach('dbk1', 'drbd.resource', { name: 'drbd3', role: 'secondary' });
  await pair.reach('dbk2', 'drbd.resource', { name: 'drbd3', role: 'primary' });
  await expect(pair.reach('dbk1', 'drbd.resource', { name: 'drbd3', role: 'primary' })).rejects.toThrow(
    'drbd3 cannot become primary',
  );
  await on('dbk2', 'mount /dev/drbd3 /mnt && echo more >/mnt/more && umount /mnt');
  await pair.reach('dbk2', 'drbd.resource', { name: 'drbd3', role: 'secondary' });
  await pair.reach('dbk2', 'drbd.resource', { name: 'drbd3', state: 'down' });
  // Its activity log is not applied, so that drbdmeta would not dump it.
  expect((await pair.check('dbk2', 'drbd.metadata', { resource: 'drbd3' })).changes).toEqual([]);
  await expect(
    pair.reach('dbk1', 'drbd.resource', { name: 'drbd3', state: 'connected', wait: '1s' }),
  ).rejects.toThrow('is not so far after 1 s');
  await pair.reach('dbk2', 'drbd.resource', { name: 'drbd3', state: 'connected' });
  await pair.reach('dbk1', 'drbd.resource', { name: 'drbd3', state: 'connected', role: 'primary' });
}, 300_000);

test('a pair that has data is not synced anew, whichever side has it', async () => {
  await on('dbk1', 'drbdadm secondary drbd3');
  // The other node's disk lost its metadata; only the first has data.
  await on('dbk2', `${disk}; ${WIPE}`);
  expect(await done('drbd-create-md')).not.toEqual([]);
  // A resync goes by itself, towards the empty disk.
  await expect.poll(async () => (await status()).replication.state, { timeout: 240_000 }).toBe('normal');
  expect(await done('drbd-sync')).toEqual([]);
  await on('dbk2', 'drbdadm primary drbd3 && mount /dev/drbd3 /mnt');
  expect(await on('dbk2', 'cat /mnt/file')).toBe('kept');
  expect(roles(await status())).toEqual(['standby', 'primary']);
  await on('dbk2', 'umount /mnt && drbdadm secondary drbd3');
}, 500_000);

test('two disks that are not whole are no two empty ones', async () => {
  const nodes = ['dbk1', 'dbk2'];
  // Declared out of step on both sides, which have one generation: DRBD connects them, and copies nothing.
  for (const command of ['secondary', 'disconnect', 'invalidate', 'connect'])
    for (const node of nodes) await on(node, `drbdadm ${command} drbd3`);
  const state = 'drbdadm cstate drbd3; drbdadm dstate drbd3; drbdadm get-gi drbd3';
  const empty = 'Connected\nInconsistent/Inconsistent';
  await expect.poll(() => on('dbk1', state), { timeout: 60_000 }).toContain(empty);
  const before = await on('dbk1', state);
  await expect(pair.run('dbk1', 'drbd.initial_sync', { resource: 'drbd3' })).rejects.toThrow(
    'is not two empty disks, though neither is whole: dbk1 has data of generation',
  );
  expect(await on('dbk1', state)).toBe(before);
  await on('dbk1', 'drbdadm primary --force drbd3 && drbdadm secondary drbd3');
}, 120_000);

test('metadata is not made where the disk is another, has grown, or is not where it is kept', async () => {
  const check = (module: string, params: Record<string, unknown>): Promise<unknown> =>
    pair.check('dbk2', module, params);
  const file = (disk: string, meta = 'internal'): Promise<string> =>
    on(
      'dbk2',
      `sed 's#resource drbd3#resource t#; s#/dev/drbd3#/dev/drbd9#; s#:7789#:7799#; s#disk /dev/disk.*#disk ${disk};#; s#meta-disk .*#meta-disk ${meta};#' /etc/drbd.d/drbd3.res >/etc/drbd.d/t.res`,
    );
  await on(
    'dbk2',
    'modprobe loop; for i in 5 6; do truncate -s 32M /t$i.img; losetup /dev/loop$i /t$i.img || exit; done',
  );
  await file('/dev/loop5', '/dev/loop6');
  for (const overwrite of [false, true])
    await expect(check('drbd.metadata', { resource: 't', overwrite })).rejects.toThrow(
      'The metadata of /dev/loop5 is to be on /dev/loop6, which is not looked at',
    );
  await file('/dev/loop5');
  await pair.reach('dbk2', 'drbd.metadata', { resource: 't' });
  await pair.reach('dbk2', 'drbd.resource', { name: 't' });
  const generation = await on('dbk2', 'drbdadm primary --force t && drbdadm secondary t && drbdadm get-gi t');
  await file('/dev/loop6');
  for (const [module, params] of [
    ['drbd.metadata', { resource: 't', overwrite: true }],
    ['drbd.resource', { name: 't' }],
  ] as const)
    await expect(check(module, params)).rejects.toThrow('t is on /dev/loop5, and its file names /dev/loop6');
  await file('/dev/loop5');
  for (const last of ['drbdadm apply-al t', 'true']) {
    await on('dbk2', `drbdadm down t; ${last}; truncate -s +16M /t5.img && losetup -c /dev/loop5`);
    for (const overwrite of [false, true])
      await expect(check('drbd.metadata', { resource: 't', overwrite })).rejects.toThrow(
        '/dev/loop5 has metadata, where it ended before it grew',
      );
    await on('dbk2', 'drbdadm up t');
    expect(await check('drbd.metadata', { resource: 't' })).toMatchObject({ changes: [] });
  }
  expect((await on('dbk2', 'drbdadm get-gi t')).slice(0, 15)).toBe(generation.slice(0, 15));
  await on('dbk2', 'drbdadm down t; losetup -d /dev/loop5 /dev/loop6; rm /etc/drbd.d/t.res /t?.img');
}, 120_000);

test.each([
  ['a file system', 'mkfs.ext4 -q $disk', 'TYPE=ext4', 'ext4'],
  ['data without a signature', 'echo text | dd of=$disk conv=notrunc status=none', 'no signature', ''],
  [
    'a file system that is mounted',
    'mkfs.ext4 -q $disk && mount $disk /mnt',
    'it is mounted at /mnt',
    'ext4',
  ],
])(
  'metadata is not made over %s',
  async (_, make, reason, left) => {
    await on('dbk2', `umount /mnt 2>/dev/null; ${disk}; ${WIPE}; ${make}`);
    for (const isCheck of [true, false]) {
      const ran = await run('drbd-create-md', isCheck);
      expect([ran.code, ran.failed]).toEqual([1, ['Metadata']]);
      expect(ran.told).toContain(reason);
    }
    const now = await lab.ssh('dbk2', `${disk}; blkid -p $disk; head -c 4 $disk`);
    expect(now.stdout).toContain(left === '' ? 'text' : 'ext4');
    await on('dbk2', 'umount /mnt 2>/dev/null; true');
  },
  120_000,
);

test('configuration that DRBD would not read is not put in place', async () => {
  const before = await on('dbk1', 'cat /etc/drbd.d/drbd3.res');
  const book = join(state, 'wrong.yml');
  await writeFile(join(state, 'wrong.res.hbs'), 'resource drbd3 { dvice /dev/drbd3; }\n');
  await writeFile(
    book,
    `name: Wrong\nplays: [{ name: Wrong, hosts: dbk1, tasks: [{ name: config, drbd.config: { src: wrong.res.hbs, dest: /etc/drbd.d/drbd3.res } }] }]\n`,
  );
  const said = await drillbook(['run', book, '-i', lab.inventory], { env: { DRILLBOOK_STATE: state } });
  expect(said.code, said.stdout + said.stderr).toBe(1);
  expect(said.stdout).toContain('drbdadm refuses /etc/drbd.d/drbd3.res');
  expect(await on('dbk1', 'cat /etc/drbd.d/drbd3.res; ls /etc/drbd.d')).toBe(
    `${before}\ndrbd3.res\nglobal_common.conf`,
  );
}, 60_000);

truthOnNode(() => benchOn(pair, 'dbk1'), drbdKinds);

hostileOnNode(
  () => benchOn(pair, 'dbk1'),
  drbdSettings(() => pair),
);
