import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isFull } from '../_full.ts';
import { report } from '../run/_matrix.ts';
import { drilled } from './_playbook.ts';
import { openUsphere } from './_usphere.ts';
import type { Usphere } from './_usphere.ts';

let pair: Usphere;

// Ten minutes on two nodes with kernels of their own and an arbiter: in full runs alone (npm run matrix).
const long = (name: string, work: () => Promise<void>): void =>
  void test.runIf(isFull)(name, work, 1_200_000);

beforeAll(async () => {
  if (isFull) pair = await openUsphere('test-usphere', true);
});
afterAll(() => pair?.close(), 60_000);

long(
  'two hosts become a hot standby with an arbiter, by one playbook, and a second time nothing changes',
  async () => {
    expect(await pair.view()).toBe('cmsadm: failed to connect to cmsd');
    await pair.done('build');
    const now = await pair.status();
    expect([now.state, now.nodes.map(({ role }) => role)]).toEqual(['running', ['primary', 'standby']]);
    expect(now.arbitration['protection']).toMatch(/^quorum device on arbiter: /);
    expect(await pair.serving()).toBe('dbk1');
    expect((await pair.done('build')).changed).toEqual([]);
    expect((await pair.view()).replaceAll(/ +/g, ' ').split('\n')).toEqual([
      'master : dbk1 (Online)',
      'slave : dbk2 (Online)',
      'quorum : [controller] arbiter (Online)',
      '-----',
      `webip : [${new URL(pair.web).hostname}] Started dbk1`,
      'Master/Slave Set: [/var/lib/mysql-share]',
      ' Master: [dbk1]',
      ' Slave : [dbk2]',
      'mysql : Started dbk1',
      'tomcat : Started dbk1',
      '-----',
    ]);
  },
);

long('a switch and one back lose no acknowledged row, and say how long they took', async () => {
  for (const roles of [
    ['standby', 'primary'],
    ['primary', 'standby'],
  ]) {
    const client = pair.writer(`switch-${roles[0]}`);
    await client.goesOn();
    const { steps } = await pair.done('switch');
    const { names, gapMs } = await client.stop();
    const [move = ''] = /The move took [^"]*/.exec(JSON.stringify(steps)) ?? [];
    report(
      `usphere: switch under ${names.length} writes, none for ${Math.round(gapMs)} ms; ${move}; load ${loadavg()[0]?.toFixed(1)}`,
    );
    expect(move).toMatch(/^The move took [\d.]+ s/);
    expect(await pair.roles()).toEqual(roles);
    expect(await pair.lost(names)).toEqual([]);
  }
});

const releases = async (): Promise<string[]> => {
  const wish = "dpkg-query -W -f '${db:Status-Status} ${Version}\\n' 'usphere-*' | sort -u";
  return Promise.all(['dbk1', 'dbk2'].map((node) => pair.on(node, wish)));
};

long('what does not install on the standby is put back, and the primary is not touched', async () => {
  const [, from = ''] = /usphere_packages: (.*)/.exec(await readFile(pair.lab.inventory, 'utf8')) ?? [];
  const packages = await mkdtemp(join(pair.state, 'broken-'));
  const script = `set -e; cd "$1"; cp "$2"/usphere-*_1.0-2_*.deb .; dpkg-deb -R usphere-vms_*.deb tree
    printf '#!/bin/sh\\nexit 1\\n' >tree/DEBIAN/postinst; dpkg-deb -b tree usphere-vms_*.deb; rm -r tree`;
  execFileSync('sh', ['-c', script, 'sh', packages, from], { stdio: 'ignore' });
  const extra = ['version=1.0-2', 'soak=1s', `packages=${packages}`];
  const ran = await pair.run('upgrade', undefined, extra);
  expect([ran.code, ran.told]).toEqual([1, expect.stringContaining('the primary was not touched')]);
  expect(await releases()).toEqual(['installed 1.0-1', 'installed 1.0-1']);
  expect([(await pair.status()).state, await pair.roles()]).toEqual(['running', ['primary', 'standby']]);
});

long('both hosts get another release under a steady writer: no row is lost, roles as before', async () => {
  const client = pair.writer('upgrade');
  await client.goesOn();
  await pair.done('upgrade', undefined, ['version=1.0-2', 'soak=1s']);
  const { names, gapMs } = await client.stop();
  report(
    `usphere: upgrade under ${names.length} writes, none for ${Math.round(gapMs)} ms at a time; load ${loadavg()[0]?.toFixed(1)}`,
  );
  expect(await pair.lost(names)).toEqual([]);
  expect(await releases()).toEqual(['installed 1.0-2', 'installed 1.0-2']);
  expect([(await pair.status()).state, await pair.roles()]).toEqual(['running', ['primary', 'standby']]);
  expect((await pair.done('upgrade', undefined, ['version=1.0-2', 'soak=1s'])).changed).toEqual([]);
});

long('a drill passes: the primary loses its power', async () => {
  const { measures } = await drilled('usphere-power', pair.lab.inventory, pair.state);
  expect([measures?.rpo.rows, (measures?.acknowledged ?? 0) > 500]).toEqual([0, true]);
  // The following test begins with dbk1 as primary.
  await pair.done('switch');
  expect(await pair.roles()).toEqual(['primary', 'standby']);
});

long('whom the other host and the arbiter lose serves no more, and the other one does', async () => {
  const client = pair.writer('cut');
  await client.goesOn();
  for (const link of ['net1', 'net2', 'mgmt'] as const) await pair.lab.cut('dbk1', link);
  await client.goesOn();
  expect(await pair.serving()).toBe('dbk2');
  const { names, gapMs } = await client.stop();
  report(`usphere: primary cut off under ${names.length} writes, none for ${Math.round(gapMs)} ms`);
  expect(await pair.lost(names)).toEqual([]);
  for (const link of ['net1', 'net2', 'mgmt'] as const) await pair.lab.heal('dbk1', link);
  await expect.poll(pair.roles, { timeout: 180_000 }).toEqual(['standby', 'primary']);
  // What it wrote before it stood down is a split brain, and nobody gives that up unasked.
  const replication = async (): Promise<string> => (await pair.status()).replication.state;
  await expect.poll(replication, { timeout: 120_000 }).toMatch(/^(normal|broken)$/);
  if ((await replication()) === 'broken')
    await pair.done('recover-split-brain', undefined, ['victim=dbk1', 'at_most=300 MiB']);
  await expect.poll(replication, { timeout: 120_000 }).toBe('normal');
});

long('when the primary loses its power the other host serves with every acknowledged row', async () => {
  const client = pair.writer('power');
  await client.goesOn();
  await pair.lab.powerOff('dbk2');
  await client.goesOn();
  expect(await pair.serving()).toBe('dbk1');
  const { names, gapMs } = await client.stop();
  report(`usphere: power-off under ${names.length} writes, none for ${Math.round(gapMs)} ms`);
  expect(names.length).toBeGreaterThan(10);
  expect(await pair.lost(names)).toEqual([]);
  expect(await pair.view()).toContain('slave  : dbk2 (Offline)');
});

const PASSWORD = `a&#@'"$b!\\c d`;

long(
  'a bare host with a larger disk is recovered while the other one serves, whatever its passwords are made of',
  async () => {
    await pair.lab.replaceNode('dbk2', 300);
    await pair.lab.powerOn('dbk2');
    const login = 'echo PermitRootLogin yes >/etc/ssh/sshd_config.d/00-test.conf; systemctl restart ssh';
    await pair.on('dbk2', `chpasswd && rm /root/.ssh/authorized_keys; ${login}`, `root:${PASSWORD}\n`);
    const inventory = await pair.edited('passwords', (text) =>
      text
        .replace(
          /(\n {2}dbk2:\n {4}connection:\n)/,
          `$1      password: !secret ${JSON.stringify(PASSWORD).replaceAll('$', '$$$$')}\n`,
        )
        .replace(/password: !secret "[\w-]+"/, () => `password: !secret ${JSON.stringify(`${PASSWORD}h`)}`),
    );
    const client = pair.writer('recover');
    const ran = await pair.done('recover-node', inventory, ['node=dbk2', 'version=1.0-2']);
    const { names, gapMs } = await client.stop();
    report(`usphere: recovery under ${names.length} writes, none for ${Math.round(gapMs)} ms`);
    expect(ran.told + JSON.stringify(ran.steps)).not.toContain(PASSWORD.slice(0, 8));
    expect(names.length).toBeGreaterThan(50);
    expect(await pair.lost(names)).toEqual([]);
    expect(await pair.on('dbk1', 'drbdadm dstate r0; drbdadm cstate r0')).toBe(
      'UpToDate/UpToDate\nConnected',
    );
    expect(
      ran.changed.filter((step) => step.endsWith(': The initiator name is the one from before')),
    ).toHaveLength(1);
    expect(await pair.view(inventory)).toContain('slave  : dbk2 (Online)');
  },
);
