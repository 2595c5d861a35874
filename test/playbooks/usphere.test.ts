import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { editedInventory, playbook, statusOf } from './_playbook.ts';
import type { Ran } from './_playbook.ts';

let lab: Lab;
let state: string | undefined;
let web: string;

// Ten minutes on two nodes with kernels of their own and an arbiter: in full runs alone (npm run matrix).
const long = (name: string, work: () => Promise<void>): void =>
  void test.runIf(isFull)(name, work, 1_200_000);

beforeAll(async () => {
  if (!isFull) return;
  state = await mkdtemp(join(tmpdir(), 'usphere-pair-'));
  lab = await freshLab({
    ...{ name: 'test-usphere', stack: 'usphere', database: 'mariadb' },
    ...{ drbd: true, installed: true, arbiter: true },
  });
  web = `http://${(lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100')}:8080`;
}, 600_000);
afterAll(async () => {
  await lab?.down();
  if (state !== undefined) await rm(state, { recursive: true, force: true });
}, 60_000);

const on = async (node: string, command: string, stdin = ''): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command, { stdin });
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
async function done(name: string, inventory = lab.inventory, extra: readonly string[] = []): Promise<Ran> {
  const ran = await playbook(`usphere/${name}`, inventory, { state: state ?? '', extra });
  expect(ran.code, ran.told).toBe(0);
  return ran;
}
/** The inventory with some of its text changed. */
const edited = (name: string, change: (text: string) => string): Promise<string> =>
  editedInventory(lab.inventory, join(state ?? '', `${name}.yml`), change);
const status = (): Promise<ClusterStatus> => statusOf(lab.inventory);
const roles = async (): Promise<string[]> => (await status()).nodes.map(({ role }) => role);
/** The view of the guide. */
const view = async (inventory = lab.inventory): Promise<string> =>
  String((await done('status', inventory)).steps.find(({ name }) => name === 'crm status')?.result['msg']);
/** The host that answers by the virtual address. */
async function serving(): Promise<string> {
  const answer = await fetch(`${web}/status.json`, { signal: AbortSignal.timeout(3000) }).catch(
    () => undefined,
  );
  return answer?.ok === true ? ((await answer.json()) as { node: string }).node : '';
}

/** Enters hosts by the virtual address; the names that were acknowledged, and the longest time without one. */
function writer(word: string): {
  begun: () => Promise<void>;
  stop: () => Promise<{ names: string[]; gapMs: number }>;
} {
  const names: string[] = [];
  let isOver = false;
  let [last, gapMs] = [performance.now(), 0];
  const enter = async (name: string): Promise<boolean> => {
    const body = JSON.stringify({ name, address: '10.0.0.9' });
    const wish = { method: 'POST', body, signal: AbortSignal.timeout(3000) };
    const answer = await fetch(`${web}/hosts`, wish).catch(() => undefined);
    return answer?.status === 201;
  };
  const going = (async () => {
    for (let n = 1; !isOver; n++) {
      if (await enter(`${word}-${n}`)) {
        names.push(`${word}-${n}`);
        gapMs = Math.max(gapMs, performance.now() - last);
        last = performance.now();
      }
      await pause(50);
    }
  })();
  return {
    begun: () => expect.poll(() => names.length, { timeout: 120_000 }).toBeGreaterThan(10),
    stop: async () => {
      isOver = true;
      await going;
      return { names, gapMs };
    },
  };
}
async function lost(names: readonly string[]): Promise<string[]> {
  const answer = (await (await fetch(`${web}/hosts`)).json()) as { hosts: { name: string }[] };
  const kept = new Set(answer.hosts.map(({ name }) => name));
  return names.filter((name) => !kept.has(name));
}

long(
  'two hosts become a hot standby with an arbiter, by one playbook, and a second time nothing changes',
  async () => {
    expect(await view()).toBe('cmsadm: failed to connect to cmsd');
    await done('build');
    const now = await status();
    expect([now.state, now.nodes.map(({ role }) => role)]).toEqual(['running', ['primary', 'standby']]);
    expect(now.arbitration['protection']).toMatch(/^quorum device on arbiter: /);
    expect(await serving()).toBe('dbk1');
    expect((await done('build')).changed).toEqual([]);
    expect((await view()).replaceAll(/ +/g, ' ').split('\n')).toEqual([
      'master : dbk1 (Online)',
      'slave : dbk2 (Online)',
      'quorum : [controller] arbiter (Online)',
      '-----',
      `webip : [${new URL(web).hostname}] Started dbk1`,
      'Master/Slave Set: [/var/lib/mysql-share]',
      ' Master: [dbk1]',
      ' Slave : [dbk2]',
      'mysql : Started dbk1',
      'tomcat : Started dbk1',
      '-----',
    ]);
  },
);

const releases = async (): Promise<string[]> => {
  const wish = "dpkg-query -W -f '${db:Status-Status} ${Version}\\n' 'usphere-*' | sort -u";
  return Promise.all(['dbk1', 'dbk2'].map((node) => on(node, wish)));
};

long('what does not install on the standby is put back, and the primary is not touched', async () => {
  const [, from = ''] = /usphere_packages: (.*)/.exec(await readFile(lab.inventory, 'utf8')) ?? [];
  const packages = await mkdtemp(join(state ?? '', 'broken-'));
  const script = `set -e; cd "$1"; cp "$2"/usphere-*_1.0-2_*.deb .; dpkg-deb -R usphere-vms_*.deb tree
    printf '#!/bin/sh\\nexit 1\\n' >tree/DEBIAN/postinst; dpkg-deb -b tree usphere-vms_*.deb; rm -r tree`;
  execFileSync('sh', ['-c', script, 'sh', packages, from], { stdio: 'ignore' });
  const extra = ['version=1.0-2', 'soak=1s', `packages=${packages}`];
  const ran = await playbook('usphere/upgrade', lab.inventory, { state: state ?? '', extra });
  expect([ran.code, ran.told]).toEqual([1, expect.stringContaining('the primary was not touched')]);
  expect(await releases()).toEqual(['installed 1.0-1', 'installed 1.0-1']);
  expect([(await status()).state, await roles()]).toEqual(['running', ['primary', 'standby']]);
});

long('both hosts get another release under a steady writer: no row is lost, roles as before', async () => {
  const client = writer('upgrade');
  await client.begun();
  await done('upgrade', lab.inventory, ['version=1.0-2', 'soak=1s']);
  const { names, gapMs } = await client.stop();
  process.stderr.write(
    `usphere: upgrade under ${names.length} writes, none for ${Math.round(gapMs)} ms at a time; load ${loadavg()[0]?.toFixed(1)}\n`,
  );
  expect(await lost(names)).toEqual([]);
  expect(await releases()).toEqual(['installed 1.0-2', 'installed 1.0-2']);
  expect([(await status()).state, await roles()]).toEqual(['running', ['primary', 'standby']]);
  expect((await done('upgrade', lab.inventory, ['version=1.0-2', 'soak=1s'])).changed).toEqual([]);
});

long('whom the other host and the arbiter lose serves no more, and the other one does', async () => {
  const client = writer('cut');
  await client.begun();
  for (const link of ['net1', 'net2', 'mgmt'] as const) await lab.cut('dbk1', link);
  await expect.poll(serving, { timeout: 180_000 }).toBe('dbk2');
  const { names, gapMs } = await client.stop();
  process.stderr.write(
    `usphere: primary cut off under ${names.length} writes, none for ${Math.round(gapMs)} ms\n`,
  );
  expect(await lost(names)).toEqual([]);
  for (const link of ['net1', 'net2', 'mgmt'] as const) await lab.heal('dbk1', link);
  await expect.poll(roles, { timeout: 180_000 }).toEqual(['standby', 'primary']);
});

long('when the primary loses its power the other host serves with every acknowledged row', async () => {
  const client = writer('power');
  await client.begun();
  await lab.powerOff('dbk2');
  await expect.poll(serving, { timeout: 180_000 }).toBe('dbk1');
  const { names, gapMs } = await client.stop();
  process.stderr.write(`usphere: power-off under ${names.length} writes, none for ${Math.round(gapMs)} ms\n`);
  expect(names.length).toBeGreaterThan(10);
  expect(await lost(names)).toEqual([]);
  expect(await view()).toContain('slave  : dbk2 (Offline)');
});

const PASSWORD = `a&#@'"$b!\\c d`;

long(
  'a bare host with a larger disk is recovered while the other one serves, whatever its passwords are made of',
  async () => {
    await lab.replaceNode('dbk2', 300);
    await lab.powerOn('dbk2');
    const login = 'echo PermitRootLogin yes >/etc/ssh/sshd_config.d/00-test.conf; systemctl restart ssh';
    await on('dbk2', `chpasswd && rm /root/.ssh/authorized_keys; ${login}`, `root:${PASSWORD}\n`);
    const inventory = await edited('passwords', (text) =>
      text
        .replace(
          /(\n {2}dbk2:\n {4}connection:\n)/,
          `$1      password: !secret ${JSON.stringify(PASSWORD).replaceAll('$', '$$$$')}\n`,
        )
        .replace(/password: !secret "[\w-]+"/, () => `password: !secret ${JSON.stringify(`${PASSWORD}h`)}`),
    );
    const client = writer('recover');
    const ran = await done('recover-node', inventory, ['node=dbk2', 'version=1.0-2']);
    const { names, gapMs } = await client.stop();
    process.stderr.write(
      `usphere: recovery under ${names.length} writes, none for ${Math.round(gapMs)} ms\n`,
    );
    expect(ran.told + JSON.stringify(ran.steps)).not.toContain(PASSWORD.slice(0, 8));
    expect(names.length).toBeGreaterThan(50);
    expect(await lost(names)).toEqual([]);
    expect(await on('dbk1', 'drbdadm dstate r0; drbdadm cstate r0')).toBe('UpToDate/UpToDate\nConnected');
    expect(
      ran.changed.filter((step) => step.endsWith(': The initiator name is the one from before')),
    ).toHaveLength(1);
    expect(await view(inventory)).toContain('slave  : dbk2 (Online)');
  },
);
