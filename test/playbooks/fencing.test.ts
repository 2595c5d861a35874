import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { report } from '../run/_matrix.ts';
import { editedInventory, playbook, statusOf } from './_playbook.ts';

const NODES = ['dbk1', 'dbk2'] as const;
let lab: Lab;
let state: string | undefined;
/** The inventory of the lab, with fencing. */
let inventory: string;

// Five minutes on two nodes with kernels of their own: in full runs alone (npm run matrix).
const long = (name: string, work: () => Promise<void>): void =>
  void test.runIf(isFull)(name, work, 1_200_000);

beforeAll(async () => {
  if (!isFull) return;
  state = await mkdtemp(join(tmpdir(), 'fencing-'));
  lab = await freshLab({
    ...{ name: 'test-fencing', stack: 'kwdb', database: 'mariadb' },
    ...{ drbd: true, installed: true, dataMb: 128 },
  });
  const agent = await readFile(new URL('_fence_sysrq.sh', import.meta.url));
  for (const node of NODES)
    await on(node, 'cat >/usr/sbin/fence_sysrq && chmod 755 /usr/sbin/fence_sysrq', String(agent));
  const [one, other] = lab.nodes.map(({ addresses }) => addresses.mgmt);
  inventory = await edited((text) =>
    text
      .replace(
        /^( +)drbd:$/m,
        `$1fencing: { agent: fence_sysrq, options: { dbk1: { ip: ${one} }, dbk2: { ip: ${other} } } }\n$&`,
      )
      .replace(/^( +)resource: drbd3$/m, '$&\n$1fencing: resource-and-stonith'),
  );
}, 600_000);
afterAll(async () => {
  await lab?.down();
  if (state !== undefined) await rm(state, { recursive: true, force: true });
}, 60_000);

async function on(node: string, command: string, stdin = ''): Promise<string> {
  const { code, stdout, stderr } = await lab.ssh(node, command, { stdin });
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
}
const edited = (change: (text: string) => string): Promise<string> =>
  editedInventory(lab.inventory, join(state ?? '', 'fencing.yml'), change);
async function build(): Promise<readonly string[]> {
  const ran = await playbook('kwdb/build', inventory, { state: state ?? '', extra: ['ssh_trust=true'] });
  expect(ran.code, ran.told).toBe(0);
  return ran.changed;
}
const problems = async (): Promise<string[]> => (await statusOf(inventory)).problems.map(({ code }) => code);
const whole = (): Promise<void> =>
  expect
    .poll(
      async () => {
        const now = await statusOf(inventory);
        return [now.state, now.nodes.map(({ role }) => role).toSorted(), now.problems];
      },
      { timeout: 300_000 },
    )
    .toEqual(['running', ['primary', 'standby'], []]);

long('a pair that fences is built by one playbook, and a second time nothing changes', async () => {
  await build();
  expect(await build()).toEqual([]);
  const { arbitration } = await statusOf(inventory);
  expect(arbitration['protection']).toMatch(/^fencing by fence_sysrq: .* switched off/);
  await whole();
});

long('status tells what a hand has changed of what guards the pair', async () => {
  await on('dbk1', 'crm_resource --ban --resource ClusterIP --node dbk2');
  await on('dbk1', 'crm_attribute --type crm_config --name stonith-enabled --update false');
  expect((await problems()).toSorted()).toEqual(['guarded-otherwise', 'pinned']);
  await on('dbk1', 'crm_resource --clear --resource ClusterIP');
  expect((await build()).length).toBeGreaterThan(0);
  await whole();
});

long('nodes that lose each other: the primary serves on, and the other one is off', async () => {
  for (const link of ['net1', 'net2'] as const) await lab.cut('dbk2', link);
  await expect
    .poll(async () => (await lab.ssh('dbk2', 'true')).code, { timeout: 120_000, interval: 1000 })
    .not.toBe(0);
  await expect.poll(() => on('dbk1', 'drbdadm dstate drbd3'), { timeout: 60_000 }).toBe('UpToDate/Outdated');
  expect(await on('dbk1', 'drbdadm role drbd3; systemctl is-active kaiwudb')).toBe('Primary/Unknown\nactive');
  await lab.powerOff('dbk2');
  for (const link of ['net1', 'net2'] as const) await lab.heal('dbk2', link);
  await lab.powerOn('dbk2');
  await whole();
});

long('a standby that missed writes is not promoted, though the primary cannot serve', async () => {
  await lab.cut('dbk2', 'net2');
  await expect.poll(problems, { timeout: 120_000 }).toContain('drbd.fenced');
  const broken = '/run/systemd/system/kaiwudb.service.d';
  const lines = '[Service]\\nExecStart=\\nExecStart=/bin/false\\n';
  await on('dbk1', `mkdir -p ${broken}; printf '${lines}' >${broken}/no.conf; systemctl daemon-reload`);
  await on('dbk1', 'systemctl kill -s KILL kaiwudb');
  for (let seconds = 0; seconds < 45; seconds += 5) {
    await pause(5000);
    expect(await on('dbk2', 'drbdadm role drbd3')).toMatch(/^Secondary/);
  }
  await on('dbk1', `rm -r ${broken}; systemctl daemon-reload; crm_resource --cleanup`);
  await lab.heal('dbk2', 'net2');
  await whole();
});

long('where the primary loses its power the other one serves', async () => {
  const begun = performance.now();
  await lab.powerOff('dbk1');
  await expect
    .poll(async () => (await lab.ssh('dbk2', 'systemctl is-active kaiwudb')).stdout.trim(), {
      timeout: 180_000,
      interval: 500,
    })
    .toBe('active');
  report(
    `kwdb with fencing: the standby serves ${Math.round(performance.now() - begun)} ms after a power-off`,
  );
  await lab.powerOn('dbk1');
  await whole();
});
