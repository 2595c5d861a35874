import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { drillbook } from '../cli/_drillbook.ts';
import { freshLab } from '../lab/_fresh.ts';
import { playbook } from './_playbook.ts';

const OPEN = 'secure=false';
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
}, 600_000);
afterAll(async () => {
  await lab?.down();
  if (state !== undefined) await rm(state, { recursive: true, force: true });
}, 60_000);

async function done(name: string, extra: readonly string[] = []): Promise<readonly string[]> {
  const ran = await playbook(`kwdb/${name}`, lab.inventory, { state: state ?? '', extra });
  expect(ran.code, ran.told).toBe(0);
  return ran.changed;
}
async function status(): Promise<ClusterStatus> {
  const said = await drillbook(['status', '-i', lab.inventory, '--output', 'json']);
  return JSON.parse(said.stdout) as ClusterStatus;
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
function writer(): { stop: () => Promise<{ numbers: number[]; gapMs: number }> } {
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
  'two bare nodes become a pair that serves, by one playbook, and a second time nothing changes',
  async () => {
    await done('build', [OPEN]);
    const now = await status();
    expect([now.state, now.nodes.map(({ role }) => role)]).toEqual(['running', ['primary', 'standby']]);
    expect(now.vips).toEqual([{ address: vip, holders: ['dbk1'] }]);
    // What does not guard the pair is said.
    expect(now.problems.map(({ code }) => code)).toEqual(['unguarded']);
    expect(now.arbitration['protection']).toMatch(/^none: .*split brain/);
    expect(await done('build', [OPEN])).toEqual([]);
  },
  600_000,
);

long(
  'a switch loses no acknowledged row',
  async () => {
    await ask('CREATE DATABASE steady');
    await ask('CREATE TABLE steady.rows_of (n INT PRIMARY KEY)');
    const client = writer();
    await done('switch');
    const { numbers, gapMs } = await client.stop();
    process.stderr.write(`kwdb: switch under ${numbers.length} writes, none for ${Math.round(gapMs)} ms\n`);
    expect(await roles()).toEqual(['standby', 'primary']);
    expect(numbers.length).toBeGreaterThan(20);
    expect(await lost(numbers)).toEqual([]);
  },
  300_000,
);

long(
  'when the primary loses its power the standby serves with every acknowledged row, and has it back',
  async () => {
    await ask('DELETE FROM steady.rows_of');
    const client = writer();
    await pause(3000);
    await lab.powerOff('dbk2');
    await expect
      .poll(
        () =>
          ask('SELECT 1').then(
            () => true,
            () => false,
          ),
        { timeout: 120_000 },
      )
      .toBe(true);
    const { numbers, gapMs } = await client.stop();
    process.stderr.write(
      `kwdb: power-off under ${numbers.length} writes, none for ${Math.round(gapMs)} ms\n`,
    );
    expect(await lost(numbers)).toEqual([]);
    await lab.powerOn('dbk2');
    await expect.poll(roles, { timeout: 180_000 }).toEqual(['primary', 'standby']);
    await expect.poll(async () => (await status()).replication.state, { timeout: 60_000 }).toBe('normal');
  },
  400_000,
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
    await done('build', [OPEN]);
    expect(await count()).toEqual(before);
  },
  600_000,
);
