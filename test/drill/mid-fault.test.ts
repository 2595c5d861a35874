import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { buildPair, playbook, statusOf } from '../playbooks/_playbook.ts';
import { report, seeded } from '../run/_matrix.ts';
import { killedInMidFault } from './_on-pair.ts';

const BACKUPD = 'dbackup3-backupd';
const FAULTS: readonly Readonly<Record<string, Readonly<Record<string, unknown>>>>[] = [
  { cut: { on: 'primary' } },
  { cut: { on: 'primary', links: 'heartbeats' } },
  { cut: { on: 'standby', direction: 'in' } },
  { cut: { on: 'primary', direction: 'out', network: 2 } },
  { service: { on: 'primary', name: BACKUPD } },
  { service: { on: 'standby', name: BACKUPD, how: 'stop' } },
  { service: { on: 'primary', name: 'dbackup3-keepalived', how: 'freeze' } },
  { database: { on: 'primary' } },
  { database: { on: 'standby', how: 'stop' } },
  { database: { on: 'primary', how: 'freeze' } },
  { power_off: { on: 'primary' } },
  { power_off: { on: 'standby' } },
  { full_disk: { on: 'primary', directory: '/srv/small' } },
  { read_only: { on: 'standby', directory: '/var/log' } },
  { conflicting_row: {} },
  { wrong_password: {} },
];
const TIMES = 20;

// Some minutes on a pair: in full runs alone (npm run matrix).
describe.runIf(isFull)('the engine dies in mid-fault', () => {
  let lab: Lab;
  let state: string;

  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), 'mid-fault-'));
    lab = await freshLab({ name: 'drl-midfault', database: 'mariadb' });
    await buildPair(lab.inventory, state);
  });
  afterAll(async () => {
    await lab?.down();
    await rm(state, { recursive: true, force: true });
  }, 60_000);

  const next = seeded(6);
  const deaths = Array.from({ length: TIMES }, (_, i) => ({
    fault: FAULTS[i % FAULTS.length] ?? {},
    // One in five dies before it has heard that the fault is in force.
    ...(i % 5 === 4
      ? { state: 'ordered' as const, lateMs: Math.round(next() * 200) }
      : { state: 'in force' as const, lateMs: Math.round(next() * 5000) }),
  })).map((death) => ({ ...death, name: JSON.stringify(death.fault) }));

  test.each(deaths)(
    '$name, $lateMs ms after it is $state: it heals by itself',
    async ({ name, ...death }) => {
      for (const node of ['dbk1', 'dbk2'])
        await lab.ssh(
          node,
          'mkdir -p /srv/small; mountpoint -q /srv/small || mount -t tmpfs -o size=8m tmpfs /srv/small',
        );
      await killedInMidFault({ lab, vip: '', state }, death);
      const recovered = await playbook('recover-service', lab.inventory, { state });
      report(
        `${name} killed ${death.lateMs} ms after it was ${death.state}: ${recovered.told.split('\n')[0]}`,
      );
      await expect
        .poll(
          async () => {
            const now = await statusOf(lab.inventory);
            return [now.state, now.replication.state];
          },
          { timeout: 120_000 },
        )
        .toEqual(['running', 'normal']);
    },
    400_000,
  );
});
