import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../../engine/lab/lab.ts';
import { isFull } from '../../_full.ts';
import { openPair } from '../../cluster/_pair.ts';
import type { Pair } from '../../cluster/_pair.ts';
import { freshLab } from '../../lab/_fresh.ts';

let lab: Lab;
let pair: Pair;

// Two minutes on a cluster of its own with a third host: in full runs alone (npm run matrix).
const long = test.runIf(isFull);

beforeAll(async () => {
  if (!isFull) return;
  lab = await freshLab({
    ...{ name: 'test-device', stack: 'usphere', database: 'mariadb' },
    ...{ installed: true, arbiter: true },
  });
  pair = openPair(lab.inventory);
});
afterAll(async () => {
  await pair?.close();
  await lab?.down();
}, 60_000);

const NODES = ['dbk1', 'dbk2'];
const on = async (node: string, command: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command);
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
const device = (params: Record<string, unknown> = { host: 'arbiter' }): ReturnType<Pair['reach']> =>
  pair.reach('dbk1', 'pacemaker.quorum_device', params);
const what = (changes: Awaited<ReturnType<Pair['reach']>>): readonly string[] =>
  changes.map((one) => one.what);
const votes = (node: string): Promise<string> =>
  on(node, "corosync-quorumtool -s | sed -nE 's/^(Total votes|Quorate): +//p' | sort | xargs");

long(
  'the arbiter gives its vote to both nodes, and a second time nothing changes',
  async () => {
    const early = pair.check('dbk1', 'pacemaker.quorum_device', { host: 'arbiter' });
    await expect(early).rejects.toThrow('corosync.conf of dbk1 names no quorum device');
    await pair.reach('dbk1', 'pacemaker.cluster');
    // Without its vote two of three are there.
    expect(await votes('dbk1')).toBe('2 Yes');
    expect(what(await device())).toContain('certificate of dbk2 for the quorum device');
    for (const node of NODES) expect(await votes(node)).toBe('3 Yes');
    const known = await on('arbiter', 'corosync-qnetd-tool -l');
    expect(known).toMatch(/Cluster "test-device"/);
    expect(known).toMatch(/Node ID 1:[\s\S]*Node ID 2:/);
    const secret =
      'find /etc/corosync/qdevice -name "*.p12" -o -name ".drillbook"; stat -c %a /etc/corosync/qdevice/net';
    for (const node of NODES) expect(await on(node, secret)).toBe('700');
  },
  300_000,
);

long(
  'a node that lost its certificate gets that of the other, which goes on',
  async () => {
    const pid = 'systemctl show -p MainPID corosync-qdevice';
    const before = await on('dbk1', pid);
    await on('dbk2', 'systemctl stop corosync-qdevice; rm -r /etc/corosync/qdevice/net');
    expect(what(await device())).toEqual([
      'certificate of dbk2 for the quorum device',
      'corosync-qdevice on dbk2',
    ]);
    expect(await on('dbk1', pid)).toBe(before);
    const key = `certutil -K -d /etc/corosync/qdevice/net/nssdb | awk '{ print $4 }'`;
    expect(await on('dbk1', key)).toBe(await on('dbk2', key));
  },
  300_000,
);

long(
  'an arbiter that was made anew has another authority, and both nodes go by it',
  async () => {
    await on('arbiter', 'systemctl stop corosync-qnetd; rm /etc/corosync/qnetd/nssdb/*');
    const changes = await device();
    expect(what(changes)).toContain('authority for certificates on arbiter');
    expect(changes.find((one) => one.what.startsWith('certificate of dbk1'))?.before).toBe('another');
    for (const node of NODES) expect(await votes(node)).toBe('3 Yes');
  },
  300_000,
);

long(
  'whom the other node and the arbiter lose stops, and the other one goes on',
  async () => {
    for (const link of ['net1', 'net2', 'mgmt'] as const) await lab.cut('dbk1', link);
    await expect.poll(() => votes('dbk2'), { timeout: 60_000 }).toBe('2 Yes');
    for (const link of ['net1', 'net2', 'mgmt'] as const) await lab.heal('dbk1', link);
    await expect.poll(() => votes('dbk1'), { timeout: 60_000 }).toBe('3 Yes');
  },
  300_000,
);

long(
  'without it the nodes have neither its vote nor its certificates, and nobody is asked',
  async () => {
    expect(what(await device({ state: 'absent' }))).toContain('corosync-qdevice on dbk1');
    for (const node of NODES) expect(await on(node, 'ls /etc/corosync/qdevice/net')).toBe('');
    expect(await on('arbiter', 'systemctl is-active corosync-qnetd')).toBe('active');
  },
  300_000,
);
