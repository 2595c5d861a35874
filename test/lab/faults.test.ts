import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leftovers, openLab, type Lab } from '../../engine/lab/lab.ts';
import { killMachines } from '../../engine/lab/machine.ts';
import { removeInterfaces } from '../../engine/lab/network.ts';
import { execute } from '../../engine/lab/program.ts';
import { labId, nodeDir } from '../../engine/lab/state.ts';
import { claim, downOwn, freshLab } from './_fresh.ts';

const LEFT = 'test-left';
const RIGHT = 'test-right';
let left: Lab;
let right: Lab;

const out = async (lab: Lab, node: string, command: string): Promise<string> =>
  (await lab.ssh(node, command)).stdout.trim();
const reaches = async (lab: Lab, node: string, name: string): Promise<boolean> =>
  (await lab.ssh(node, `ping -c1 -W1 ${name}`)).code === 0;
/** The kernel asks for a silent neighbour's address again after a second, not at once. */
const comesToReach = (lab: Lab, node: string, name: string): Promise<void> =>
  expect.poll(() => reaches(lab, node, name), { timeout: 60_000 }).toBe(true);
const readCgroup = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
};
const cutsOf = async (lab: Lab, node: string): Promise<readonly string[] | undefined> =>
  (await lab.status()).find((one) => one.name === node)?.cuts;

beforeAll(async () => {
  [left, right] = await Promise.all([
    freshLab({ name: LEFT, database: 'mariadb' }),
    freshLab({ name: RIGHT, database: 'mariadb' }),
  ]);
});
afterAll(() => Promise.all([LEFT, RIGHT].map(downOwn)), 60_000);

describe('a cut link', () => {
  test('loses frames silently, the other links stay', async () => {
    await left.cut('dbk1', 'net1');
    expect(await reaches(left, 'dbk1', 'dbk2')).toBe(false);
    expect(await reaches(left, 'dbk2', 'dbk1')).toBe(false);
    await comesToReach(left, 'dbk1', 'dbk2-net2');
    expect(await out(left, 'dbk1', 'cat /sys/class/net/eth1/carrier')).toBe('1');
    await left.heal('dbk1', 'net1');
    await comesToReach(left, 'dbk1', 'dbk2');
  });

  test('stays cut when the node takes its card down and up', async () => {
    await left.cut('dbk1', 'net1');
    await left.ssh('dbk1', 'ip link set eth1 down; ip link set eth1 up');
    expect(await reaches(left, 'dbk1', 'dbk2')).toBe(false);
    await left.heal('dbk1', 'net1');
    await comesToReach(left, 'dbk1', 'dbk2');
  });

  test('unplugged takes the carrier from the node', async () => {
    await left.cut('dbk1', 'net2', 'unplugged');
    expect(await out(left, 'dbk1', 'cat /sys/class/net/eth2/carrier')).toBe('0');
    await comesToReach(left, 'dbk1', 'dbk2');
    await left.powerOff('dbk1');
    await left.powerOn('dbk1');
    expect(await out(left, 'dbk1', 'cat /sys/class/net/eth2/carrier')).toBe('0');
    await left.cut('dbk1', 'net2');
    expect(await out(left, 'dbk1', 'cat /sys/class/net/eth2/carrier')).toBe('1');
    expect(await reaches(left, 'dbk1', 'dbk2-net2')).toBe(false);
    await left.heal('dbk1', 'net2');
    expect(await out(left, 'dbk1', 'cat /sys/class/net/eth2/carrier')).toBe('1');
    await comesToReach(left, 'dbk1', 'dbk2-net2');
  });

  test('all links at once isolate a node, healing brings all back', async () => {
    await left.cut('dbk2');
    expect(await left.ssh('dbk2', 'true')).toMatchObject({ code: 255 });
    expect(await cutsOf(left, 'dbk2')).toEqual(['mgmt', 'net1', 'net2']);
    await left.heal('dbk2');
    expect(await cutsOf(left, 'dbk2')).toEqual([]);
    await comesToReach(left, 'dbk2', 'dbk1');
  });
}, 300_000);

describe('a power failure', () => {
  test('ends every process at once, and the disk is there again after it', async () => {
    await out(left, 'dbk1', "mariadb -e 'create database kept'; echo kept >/root/kept");
    const boot = await out(left, 'dbk1', 'systemctl show -P UserspaceTimestampMonotonic');
    await left.powerOff('dbk1');
    expect((await left.status()).map((node) => node.pid !== undefined)).toEqual([false, true]);
    expect(await left.ssh('dbk1', 'true')).toMatchObject({ code: 255 });
    expect((await leftovers(LEFT)).filter((found) => found.endsWith('-1'))).toEqual([]);
    // Another process may switch it on again.
    await (await openLab(LEFT)).powerOn('dbk1');
    expect(await out(left, 'dbk1', 'cat /root/kept; systemctl is-system-running')).toBe('kept\nrunning');
    expect(await out(left, 'dbk1', "mariadb -Ne 'show databases' | grep kept")).toBe('kept');
    expect(await out(left, 'dbk1', 'systemctl show -P UserspaceTimestampMonotonic')).not.toBe(boot);
  });

  test('is not felt by the node: no program of it sees its cards go', async () => {
    await out(left, 'dbk1', 'setsid ip -o monitor link >/root/seen 2>&1 </dev/null &');
    const seen = () => out(left, 'dbk1', 'ip link set eth2 down; ip link set eth2 up; cat /root/seen');
    await expect.poll(seen, { timeout: 60_000 }).toContain('eth2');
    await left.powerOff('dbk1');
    await left.powerOn('dbk1');
    expect(await out(left, 'dbk1', 'grep Deleted /root/seen')).toBe('');
  });

  test('of this machine takes the bridges, which are made again for a node that is switched on', async () => {
    await killMachines(LEFT);
    await removeInterfaces(LEFT);
    await left.powerOn('dbk1');
    await left.powerOn('dbk2');
    for (const name of ['dbk2', 'dbk2-net2', 'dbk2-mgmt']) await comesToReach(left, 'dbk1', name);
  });

  test('has not befallen a node that is between two boots: it is on', async () => {
    const isShell = (pid: string): boolean => readCgroup(pid).includes(`drillbook-${labId(LEFT)}-dbk2/power`);
    const shell = Number(readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isShell(pid)));
    process.kill(shell, 'SIGSTOP');
    try {
      await left.ssh('dbk2', 'systemctl reboot');
      const pid = async () => (await left.status())[1]?.pid;
      await expect.poll(pid, { timeout: 120_000 }).toBe(shell);
      await expect(left.replaceNode('dbk2')).rejects.toThrow('dbk2 is on');
      await left.cut('dbk2', 'net1');
    } finally {
      process.kill(shell, 'SIGCONT');
    }
    await expect.poll(() => out(left, 'dbk2', 'echo here'), { timeout: 120_000 }).toBe('here');
    expect(await reaches(left, 'dbk2', 'dbk1')).toBe(false);
    await left.heal('dbk2', 'net1');
    await comesToReach(left, 'dbk2', 'dbk1');
  });

  test('does not mend a cut link', async () => {
    await left.cut('dbk1', 'net1');
    await left.powerOff('dbk1');
    await left.powerOn('dbk1');
    expect(await reaches(left, 'dbk1', 'dbk2')).toBe(false);
    await left.powerOff('dbk1');
    await left.heal('dbk1', 'net1');
    await left.powerOn('dbk1');
    await comesToReach(left, 'dbk1', 'dbk2');
  });

  test('is over for a node that powered itself off when it is switched on', async () => {
    await left.ssh('dbk2', 'systemctl poweroff');
    await expect.poll(async () => (await left.status())[1]?.pid, { timeout: 120_000 }).toBeUndefined();
    await left.powerOn('dbk2');
    expect(await out(left, 'dbk2', 'systemctl is-system-running')).toBe('running');
    const pid = (await left.status())[1]?.pid;
    await left.powerOn('dbk2');
    expect((await left.status())[1]?.pid).toBe(pid);
  });

  test('or a reboot takes an added address off the node', async () => {
    await out(left, 'dbk2', 'ip address add 10.9.9.9/32 dev eth1; touch /run/before');
    await left.ssh('dbk2', 'systemctl reboot');
    const isBack = async (): Promise<string> => out(left, 'dbk2', 'test -e /run/before || echo rebooted');
    await expect.poll(isBack, { timeout: 120_000 }).toBe('rebooted');
    expect(await out(left, 'dbk2', 'ip -o address show dev eth1')).not.toContain('10.9.9.9');
  });
}, 300_000);

describe('a node that is switched on', () => {
  test('has booted when its units are up or have failed, also where ssh breaks off meanwhile; those are told', async () => {
    const unit = `[Service]
      Type=oneshot
      ExecStart=sh -c "until pkill -f [s]shd:.root; do sleep 0.1; done; sleep 1; exit 1"
      [Install]
      WantedBy=multi-user.target`;
    await left.ssh('dbk1', 'cd /etc/systemd/system && cat >late.service && systemctl enable late', {
      stdin: unit,
    });
    await left.powerOff('dbk1');
    const said: string[] = [];
    await (await openLab(LEFT, (text) => said.push(text))).powerOn('dbk1');
    expect(said).toEqual(['dbk1 is up, but for late.service, which failed to start']);
    await left.ssh('dbk1', 'systemctl disable late');
  });

  test('and ends is not waited for; its console says why', async () => {
    await left.powerOff('dbk1');
    const init = join(nodeDir(LEFT, 'dbk1'), 'disk/usr/lib/systemd/systemd');
    mkdirSync(dirname(init), { recursive: true });
    writeFileSync(init, '#!/bin/sh\necho no root file system\nexit 1\n', { mode: 0o755 });
    await expect(left.powerOn('dbk1')).rejects.toMatchObject({
      message: 'node dbk1 ended while it booted',
      hint: expect.stringContaining('no root file system') as string,
    });
    rmSync(init);
    await left.powerOn('dbk1');
  });
}, 300_000);

describe('two labs side by side', () => {
  test('have networks of their own and do not reach each other', async () => {
    const addresses = [...left.nodes, ...right.nodes].flatMap((node) => Object.values(node.addresses));
    expect(new Set(addresses).size).toBe(12);
    for (const address of Object.values(right.nodes[0]?.addresses ?? {})) {
      expect(await reaches(left, 'dbk1', address)).toBe(false);
    }
  });

  test('do not feel the other cut, lose power or go down', async () => {
    const before = await out(right, 'dbk1', 'cat /etc/machine-id; uptime -s');
    await left.cut('dbk1');
    await left.powerOff('dbk2');
    await comesToReach(right, 'dbk1', 'dbk2');
    await comesToReach(right, 'dbk1', 'dbk2-net2');
    await left.down();
    expect(await leftovers(LEFT)).toEqual([]);
    expect(await out(right, 'dbk1', 'cat /etc/machine-id; uptime -s')).toBe(before);
    expect(await out(right, 'dbk2', 'systemctl is-system-running')).toBe('running');
  });
}, 300_000);

test('a node or lab that is not there is named, with those that are', async () => {
  await expect(right.cut('dbk9')).rejects.toMatchObject({
    message: `lab ${RIGHT} has no node dbk9`,
    hint: 'it has dbk1, dbk2',
  });
  await expect(openLab('test-none')).rejects.toThrow('there is no lab test-none');
});

test.each([
  ['cgroup v2 alone', 'mount -t cgroup2 none /sys/fs/cgroup'],
  ['no cgroup mounted', 'true'],
])(
  'a machine with %s can have a lab',
  async (_, prepare) => {
    claim('test-cgroup');
    const lab = `${process.execPath} ${resolve('engine/cli/main.ts')} lab`;
    const verbs = ['up', 'ssh dbk1', 'down'].map((verb) => `${lab} ${verb} --name test-cgroup`);
    const script = `umount -R /sys/fs/cgroup; ${prepare}
      ${verbs[0] ?? ''} --nodes 1 && ${verbs[1] ?? ''} -- systemctl is-system-running; ${verbs[2] ?? ''}`;
    const { stdout, stderr } = await execute('unshare', ['--mount', 'sh', '-c', script]);
    expect(stdout, stderr).toBe('running\n');
    expect(await leftovers('test-cgroup')).toEqual([]);
  },
  240_000,
);
