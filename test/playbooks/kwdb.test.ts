import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { kept, report } from '../run/_matrix.ts';
import { drilled, editedInventory, playbook, statusOf } from './_playbook.ts';
import type { Ran } from './_playbook.ts';

const OPEN = 'secure=false';
const TRUST = 'ssh_trust=true';
/** What the upgrade leaves on both nodes. */
const NEW = 'version=2.2.1';
let lab: Lab;
let state: string | undefined;
let vip: string;

// Six minutes on two nodes with kernels of their own: in full runs alone (npm run matrix).
const long = test.runIf(isFull);

beforeAll(async () => {
  if (!isFull) return;
  state = await mkdtemp(join(tmpdir(), 'kwdb-pair-'));
  lab = await freshLab({
    ...{ name: 'test-kwdb-pair', stack: 'kwdb', database: 'mariadb' },
    ...{ drbd: true, installed: true, dataMb: 128 },
  });
  vip = (lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100');
});
afterAll(async () => {
  await lab?.down();
  if (state !== undefined) await rm(state, { recursive: true, force: true });
}, 60_000);

const run = (name: string, extra: readonly string[] = [], inventory = lab.inventory): Promise<Ran> =>
  playbook(`kwdb/${name}`, inventory, { state: state ?? '', extra });
async function done(...given: Parameters<typeof run>): Promise<readonly string[]> {
  const ran = await run(...given);
  expect(ran.code, ran.told).toBe(0);
  return ran.changed;
}
/** The inventory with some of its text changed. */
const edited = (name: string, change: (text: string) => string): Promise<string> =>
  editedInventory(lab.inventory, join(state ?? '', `${name}.yml`), change);
const status = (): Promise<ClusterStatus> => statusOf(lab.inventory);
/** Who serves, and who stands by. */
async function sides(): Promise<readonly [primary: string, standby: string]> {
  const { nodes } = await status();
  const of = (role: string): string => nodes.find((node) => node.role === role)?.name ?? '';
  return [of('primary'), of('standby')];
}
const roles = async (): Promise<string[]> => (await status()).nodes.map(({ role }) => role);

/** A new connection for each statement, as one that hangs on a node that is gone would hide that the other serves. */
async function ask(statement: string): Promise<unknown> {
  const options = { host: vip, port: 26257, user: 'root', connectTimeout: 1000 };
  const client = await mysql.createConnection(options);
  try {
    const [rows] = await client.query({ sql: statement, timeout: 2000 });
    return rows;
  } finally {
    client.destroy();
  }
}

/** Writes numbered rows by the virtual address; the acknowledged ones, and the longest time without one. */
function writer(): {
  count: () => number;
  stop: () => Promise<{ numbers: number[]; gapMs: number }>;
} {
  const numbers: number[] = [];
  let isOver = false;
  let [last, gapMs] = [performance.now(), 0];
  const going = (async () => {
    for (let n = 1; !isOver; n++) {
      const isDone = await ask(`INSERT INTO steady.rows_of (n) VALUES (${n})`).then(
        () => true,
        () => false,
      );
      if (isDone) {
        numbers.push(n);
        gapMs = Math.max(gapMs, performance.now() - last);
        last = performance.now();
      }
      await pause(20);
    }
  })();
  return {
    count: () => numbers.length,
    stop: async () => {
      isOver = true;
      await going;
      return { numbers, gapMs };
    },
  };
}
async function lost(numbers: readonly number[]): Promise<number[]> {
  const kept = new Set(((await ask('SELECT n FROM steady.rows_of')) as { n: number }[]).map(({ n }) => n));
  return numbers.filter((n) => !kept.has(n));
}

long(
  'preflight tells every condition that is not met, and changes nothing',
  async () => {
    expect(await done('preflight')).toEqual([]);
    await lab.ssh('dbk2', 'mkfs.ext4 -q -F /dev/ubdb');
    const broken = await edited('broken', (text) =>
      text
        .replace(/(disks:\s+dbk1: ).*/, '$1/dev/ubdb')
        .replaceAll(`${vip}`, vip.replace('.100', '.1'))
        .replace('arbitration: none', 'arbitration: { ping: [203.0.113.9] }'),
    );
    const ran = await run('preflight', [], broken);
    expect([ran.code, ran.changed, ran.failed]).toEqual([
      1,
      [],
      [
        'The disk is there, by a name that stays',
        "The disk is empty, or the pair's already",
        'No other machine has the virtual address',
        'The arbiter, or each address to ping, is reached',
        'Every condition is met',
      ],
    ]);
    expect(ran.told).toContain('dbk1 does not meet all conditions: disk; virtual address; arbitration');
    await lab.ssh('dbk2', 'wipefs -aq /dev/ubdb; dd if=/dev/zero of=/dev/ubdb bs=1M count=1 conv=fsync');
  },
  120_000,
);

long(
  'a node that loses its power between the first sync and the file system gets it all the same',
  async () => {
    await done('install');
    await done('drbd-create-md');
    await lab.ssh('dbk1', 'drbdadm primary --force drbd3');
    const disks = async (): Promise<string> => (await lab.ssh('dbk1', 'drbdadm dstate drbd3')).stdout.trim();
    await expect.poll(disks, { timeout: 120_000 }).toBe('UpToDate/UpToDate');
    await lab.powerOff('dbk1');
    await lab.powerOn('dbk1');
    await done('drbd-create-md');
    await done('drbd-sync');
    expect((await lab.ssh('dbk1', 'blkid -p -s TYPE -o value /dev/drbd3')).stdout.trim()).toBe('ext4');
    expect(await done('drbd-sync')).toEqual([]);
    for (const node of ['dbk1', 'dbk2']) {
      await lab.powerOff(node);
      await lab.replaceNode(node);
      await lab.powerOn(node);
    }
  },
  600_000,
);

long(
  'two bare nodes become a pair that serves, by one playbook, and a second time nothing changes',
  async () => {
    await done('build', [OPEN, TRUST]);
    const over =
      "grep -oE '^10[0-9.]+' ~/.ssh/known_hosts | head -n 1 | xargs -I {} ssh -o BatchMode=yes {} uname -n";
    expect((await lab.ssh('dbk1', over)).stdout.trim()).toBe('dbk2');
    const now = await status();
    expect([now.state, now.nodes.map(({ role }) => role)]).toEqual(['running', ['primary', 'standby']]);
    expect(now.vips).toEqual([{ address: vip, holders: ['dbk1'] }]);
    // What does not guard the pair is said.
    expect(now.problems.map(({ code }) => code)).toEqual(['unguarded']);
    expect(now.arbitration['protection']).toMatch(/^none: .*split brain/);
    expect(await done('build', [OPEN, TRUST])).toEqual([]);
    expect(await done('preflight')).toEqual([]);
    expect(await done('verify')).toEqual([]);
  },
  600_000,
);

long(
  'a switch and one back lose no acknowledged row, and say how long they took',
  async () => {
    await ask('CREATE DATABASE steady');
    await ask('CREATE TABLE steady.rows_of (n INT PRIMARY KEY)');
    for (const expected of [
      ['standby', 'primary'],
      ['primary', 'standby'],
    ]) {
      await ask('DELETE FROM steady.rows_of');
      const client = writer();
      const { steps, told, code } = await run('switch');
      expect(code, told).toBe(0);
      const { numbers, gapMs } = await client.stop();
      const [move = ''] = /The move took [^"]*/.exec(JSON.stringify(steps)) ?? [];
      expect(move).toMatch(/^The move took [\d.]+ s, [\d.]+ s (less|more) than the 40 s of the document$/);
      report(
        `kwdb: switch under ${numbers.length} writes, none for ${Math.round(gapMs)} ms; ${move}; load ${loadavg()[0]?.toFixed(1)}`,
      );
      expect(await roles()).toEqual(expected);
      expect(numbers.length).toBeGreaterThan(20);
      expect(await lost(numbers)).toEqual([]);
    }
  },
  400_000,
);

/** Packages that cannot be installed: the archive of a release with a package in it whose script fails. */
async function brokenPackages(release: string): Promise<string> {
  const [, from = ''] = /kwdb_packages: (.*)/.exec(await readFile(lab.inventory, 'utf8')) ?? [];
  const folder = await mkdtemp(join(state ?? '', 'broken-'));
  const [archive = ''] = (await readdir(from)).filter((name) => name.startsWith(`KWDB-${release}-`));
  const script = `set -e; cd "$1"; tar -xzf "$2/$3"; cd kwdb_install/packages
    for deb in kaiwudb-server_*.deb; do
      dpkg-deb -R "$deb" tree; printf '#!/bin/sh\\nexit 1\\n' >tree/DEBIAN/postinst; chmod 755 tree/DEBIAN/postinst
      dpkg-deb -b tree "$deb"; rm -r tree
    done; cd "$1"; tar -czf "$3" kwdb_install; rm -r kwdb_install`;
  execFileSync('sh', ['-c', script, 'sh', folder, from, archive], { stdio: 'ignore' });
  return folder;
}
const releases = async (): Promise<string[]> => {
  const wish = "dpkg-query -W -f '${db:Status-Status} ${Version}\\n' 'kaiwudb-*' | sort -u";
  const said = await Promise.all(['dbk1', 'dbk2'].map((node) => lab.ssh(node, wish)));
  return said.map(({ stdout }) => stdout.trim());
};
const OLD = ['installed 2.2.0', 'installed 2.2.0'];
const upgrade = (...extra: readonly string[]): Promise<Ran> =>
  run('upgrade', ['version=2.2.1', 'soak=1s', ...extra]);

long(
  'what does not install on the standby is put back, and the primary is not touched',
  async () => {
    const before = await roles();
    const packages = await brokenPackages('2.2.1');
    const [archive = ''] = await readdir(packages);
    const whole = await readFile(join(packages, archive));
    await writeFile(join(packages, archive), whole.subarray(0, whole.length - 100));
    const damaged = await upgrade(`packages=${packages}`);
    expect([damaged.code, damaged.changed], damaged.told).toEqual([1, []]);
    await writeFile(join(packages, archive), whole);
    const ran = await upgrade(`packages=${packages}`);
    expect([ran.code, ran.told]).toEqual([1, expect.stringContaining('the primary was not touched')]);
    expect(await releases()).toEqual(OLD);
    expect([await roles(), (await status()).state]).toEqual([before, 'running']);
  },
  600_000,
);

long(
  'where the window is too short only the standby has the new release, and goes back to that of the primary',
  async () => {
    const before = await roles();
    const inSeconds = (seconds: number): string =>
      `window_ends=${new Date(Date.now() + seconds * 1000).toISOString()}`;
    const none = await upgrade(inSeconds(-60));
    expect([none.code, none.changed, none.failed], none.told).toEqual([1, [], ['The window is long enough']]);
    // It ends while the standby gets its packages.
    const ran = await upgrade(inSeconds(30), 'needs=1s');
    expect([ran.code, ran.told]).toEqual([1, expect.stringContaining('the window ended')]);
    expect((await releases()).toSorted()).toEqual(['installed 2.2.0', 'installed 2.2.1']);
    await done('upgrade', ['version=2.2.0', 'soak=1s']);
    expect(await releases()).toEqual(OLD);
    expect([await roles(), (await status()).state]).toEqual([before, 'running']);
  },
  600_000,
);

long(
  'a standby that gets its packages while the primary loses its power does not serve without the last rows',
  async () => {
    await ask('DELETE FROM steady.rows_of');
    const [primary, standby] = await sides();
    const before = runIds(state ?? '').at(-1);
    const running = upgrade('gate=20s');
    const isAside = (): boolean =>
      runIds(state ?? '').at(-1) !== before &&
      kept(state ?? '').some(
        ({ event, ...rest }) =>
          event === 'step_finished' && 'name' in rest && rest.name.startsWith('What it has is out of date'),
      );
    await expect.poll(isAside, { timeout: 240_000, interval: 200 }).toBe(true);
    await ask('INSERT INTO steady.rows_of (n) VALUES (1)');
    await lab.powerOff(primary);
    const ran = await running;
    expect(ran.code, ran.told).not.toBe(0);
    // It is back in the cluster, alone, and is left a while to do the wrong thing.
    const member = async (): Promise<string> => (await lab.ssh(standby, 'crm_mon -1')).stdout;
    await expect.poll(member, { timeout: 120_000 }).toMatch(/Unpromoted: \[ \w+ \]/);
    await pause(10_000);
    expect(await member()).not.toContain('Promoted: [');
    const refused = await run('recover-datacenter');
    expect([refused.code, refused.told]).toEqual([1, expect.stringContaining('-e is_off=true')]);
    await lab.powerOn(primary);
    await expect.poll(async () => (await status()).state, { timeout: 240_000 }).toBe('running');
    expect(await ask('SELECT n FROM steady.rows_of')).toEqual([{ n: 1 }]);
    if ((await releases()).join() !== OLD.join()) await done('upgrade', ['version=2.2.0', 'soak=1s']);
  },
  900_000,
);

long(
  'under a steady writer both nodes get the new release: no row is lost, the roles are as recorded',
  async () => {
    await ask('DELETE FROM steady.rows_of');
    const before = await roles();
    const client = writer();
    const ran = await upgrade();
    const { numbers, gapMs } = await client.stop();
    expect(ran.code, ran.told).toBe(0);
    report(
      `kwdb: upgrade under ${numbers.length} writes, none for ${Math.round(gapMs)} ms at a time; load ${loadavg()[0]?.toFixed(1)}`,
    );
    expect(numbers.length).toBeGreaterThan(50);
    expect(await lost(numbers)).toEqual([]);
    expect(await releases()).toEqual(['installed 2.2.1', 'installed 2.2.1']);
    expect(JSON.stringify(await ask('SELECT version() AS v'))).toContain('2.2.1');
    expect([await roles(), (await status()).state]).toEqual([before, 'running']);
    expect((await upgrade()).changed).toEqual([]);
    expect((await run('upgrade', ['version=2.2.0'])).failed).toEqual(['The primary does not go back']);
  },
  900_000,
);

long(
  'when the primary loses its power the standby serves with every acknowledged row, and has it back',
  async () => {
    await ask('DELETE FROM steady.rows_of');
    const client = writer();
    await expect.poll(client.count, { timeout: 60_000 }).toBeGreaterThan(20);
    await lab.powerOff('dbk1');
    const before = client.count();
    await expect.poll(client.count, { timeout: 120_000 }).toBeGreaterThan(before + 5);
    const { numbers, gapMs } = await client.stop();
    report(`kwdb: power-off under ${numbers.length} writes, none for ${Math.round(gapMs)} ms`);
    expect(await lost(numbers)).toEqual([]);
    await lab.powerOn('dbk1');
    await expect.poll(roles, { timeout: 180_000 }).toEqual(['standby', 'primary']);
    await expect.poll(async () => (await status()).replication.state, { timeout: 60_000 }).toBe('normal');
  },
  400_000,
);

long(
  'drills pass: the primary loses its power, and its database does not come up any more',
  async () => {
    for (const name of ['power', 'service']) {
      const { measures } = await drilled(`kwdb-${name}`, lab.inventory, state ?? '');
      expect([measures?.rpo.rows, (measures?.acknowledged ?? 0) > 500]).toEqual([0, true]);
    }
  },
  900_000,
);

const BREAK = `mkdir -p /run/systemd/system/kaiwudb.service.d && cd /run/systemd/system/kaiwudb.service.d &&
  printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >no.conf && systemctl daemon-reload`;
const MEND = 'rm -r /run/systemd/system/kaiwudb.service.d; systemctl daemon-reload';
const isRunning = async (): Promise<void> => {
  await expect.poll(async () => (await status()).state, { timeout: 240_000 }).toBe('running');
};

long(
  'a service that comes up on neither node is told with its cause; mended, it serves again',
  async () => {
    const now = await status();
    const primary = now.nodes.find(({ role }) => role === 'primary')?.name ?? '';
    for (const node of ['dbk1', 'dbk2']) await lab.ssh(node, BREAK);
    await lab.ssh(primary, 'systemctl kill -s KILL kaiwudb');
    await expect.poll(async () => (await status()).state, { timeout: 60_000 }).not.toBe('running');
    const ran = await run('recover-service');
    expect([ran.code, ran.told]).toEqual([1, expect.stringMatching(/kaiwudb|KaiwuDB/)]);
    for (const node of ['dbk1', 'dbk2']) await lab.ssh(node, MEND);
    await done('recover-service');
    expect(await done('recover-service')).toEqual([]);
    expect((await status()).state).toBe('running');
  },
  900_000,
);

long(
  'while a node is away it is told what could not be done there; when it is back it is filled',
  async () => {
    const now = await status();
    const primary = now.nodes.find(({ role }) => role === 'primary')?.name ?? '';
    await lab.powerOff(primary);
    const away = await run('recover-datacenter');
    expect([away.code, away.failed.at(-1)], away.told).toEqual([4, `${primary} is back`]);
    await ask('DELETE FROM steady.rows_of');
    await lab.powerOn(primary);
    await done('recover-datacenter');
    expect((await status()).nodes.find(({ name }) => name === primary)?.role).toBe('standby');
    expect(await done('recover-datacenter')).toEqual([]);
  },
  900_000,
);

long(
  'a link that is cut and healed: the nodes meet again, and a pair that is whole is left as it is',
  async () => {
    await lab.cut('dbk2', 'net2');
    await expect.poll(async () => (await status()).replication.state, { timeout: 120_000 }).toBe('stopped');
    await ask('INSERT INTO steady.rows_of (n) VALUES (2)');
    const early = await run('recover-link');
    expect([early.code, early.told]).toEqual([1, expect.stringContaining('No heartbeat comes')]);
    await lab.heal('dbk2', 'net2');
    await done('recover-link');
    expect((await status()).state).toBe('running');
    expect(await done('recover-link')).toEqual([]);
  },
  900_000,
);

long(
  'after a split brain the victim gives up what it wrote alone, and both are in step',
  async () => {
    const [survivor, victim] = ['dbk1', 'dbk2'];
    for (const link of ['net1', 'net2'] as const) await lab.cut(victim, link);
    const promoted = async (): Promise<string> =>
      (await Promise.all([survivor, victim].map((node) => lab.ssh(node, 'drbdadm role drbd3'))))
        .map(({ stdout }) => stdout.split('/')[0])
        .join();
    await expect.poll(promoted, { timeout: 180_000 }).toBe('Primary,Primary');
    // Promoted is not yet mounted.
    const write = 'until mountpoint -q /var/lib/kwdb; do sleep 0.2; done; date >/var/lib/kwdb/alone; sync';
    for (const node of [survivor, victim]) await lab.ssh(node, write);
    for (const link of ['net1', 'net2'] as const) await lab.heal(victim, link);
    const told = await run('recover-service');
    expect([told.code, told.told]).toEqual([1, expect.stringContaining('Split brain')]);
    const now = await status();
    const idle = now.nodes.find(({ role }) => role === 'standby')?.name ?? '';
    await done('recover-split-brain', [`victim=${idle}`, 'at_most=200 MiB']);
    await isRunning();
    await done('verify');
  },
  900_000,
);

long(
  'the pair is stopped and started; dissolved, it is built again with what it holds',
  async () => {
    const count = async (): Promise<unknown> => ask('SELECT COUNT(*) AS n FROM steady.rows_of');
    const before = await count();
    await done('stop');
    await expect(count()).rejects.toThrow();
    await done('start');
    expect(await count()).toEqual(before);
    expect(await done('start')).toEqual([]);
    await done('dissolve');
    await done('build', [OPEN, NEW]);
    expect(await count()).toEqual(before);
  },
  600_000,
);

long(
  'a node that was replaced by a bare one is whole again, while the other serves all along',
  async () => {
    const [survivor, node] = await sides();
    await ask('DELETE FROM steady.rows_of');
    await lab.powerOff(node);
    await lab.replaceNode(node);
    await lab.powerOn(node);
    const client = writer();
    const given = [OPEN, NEW, `node=${node}`];
    expect((await run('recover-node', [OPEN, NEW, `node=${survivor}`])).failed).toEqual([
      'The other node is primary',
    ]);
    // The next number that is free is another here.
    await lab.ssh(node, 'mkfs.ext4 -q -F /dev/ubdb; useradd -u 1005 someone');
    const refused = await run('recover-node', given);
    expect([refused.code, refused.failed]).toEqual([1, ['Metadata on the new disk']]);
    expect((await lab.ssh(node, 'blkid -p -s TYPE -o value /dev/ubdb')).stdout.trim()).toBe('ext4');
    expect((await run('give-up-disk', [`node=${survivor}`])).failed).toEqual(['The other node is primary']);
    await done('give-up-disk', [`node=${node}`]);
    // Slow, so that there is something to see.
    const slow = await edited('slow', (text) =>
      text.replace(/^( +)resource: drbd3$/m, '$&\n$1resync_rate: 1M'),
    );
    const changed = await done('recover-node', given, slow);
    // The node that comes in has the configuration of the other before anything is looked for in it.
    expect(changed.filter((step) => step.includes('when its nodes lose each other'))).toEqual([]);
    const percents = kept(state ?? '').flatMap((event) =>
      event.event === 'step_progress' && event.percent !== undefined ? [event.percent] : [],
    );
    expect(percents.length).toBeGreaterThan(1);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    const { numbers, gapMs } = await client.stop();
    report(`kwdb: a node brought back under ${numbers.length} writes, none for ${Math.round(gapMs)} ms`);
    expect(numbers.length).toBeGreaterThan(100);
    expect(gapMs).toBeLessThan(15_000);
    expect(await lost(numbers)).toEqual([]);
    const now = await status();
    expect([now.state, now.replication.state]).toEqual(['running', 'normal']);
    expect(now.nodes.find(({ name }) => name === node)?.role).toBe('standby');
    await done('verify');
    // What was copied serves.
    await done('switch');
    expect(await lost(numbers)).toEqual([]);
    expect(await done('recover-node', [OPEN, NEW, `node=${survivor}`], slow)).toEqual([]);
  },
  1_200_000,
);

long(
  'a primary that does not come back: the standby that is out of date serves once that is said',
  async () => {
    const [primary, standby] = await sides();
    await ask('DELETE FROM steady.rows_of');
    await ask('INSERT INTO steady.rows_of (n) VALUES (1)');
    await lab.ssh(standby, 'drbdadm disconnect drbd3 && drbdadm outdate drbd3');
    await ask('INSERT INTO steady.rows_of (n) VALUES (2)');
    await lab.powerOff(primary);
    const off = await run('recover-datacenter', ['is_off=true']);
    expect([off.code, off.told]).toEqual([1, expect.stringContaining('-e is_lost=true')]);
    const ran = await run('recover-datacenter', ['is_lost=true']);
    expect([ran.code, ran.failed.at(-1)], ran.told).toEqual([4, `${primary} is back`]);
    expect(await ask('SELECT n FROM steady.rows_of')).toEqual([{ n: 1 }]);
  },
  900_000,
);
