import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { begin, localShell } from '../../engine/drill/lease.ts';
import { powerFault } from '../../engine/drill/faults/power.ts';
import { cutFault } from '../../engine/drill/faults/network.ts';

const dir = mkdtempSync(join(tmpdir(), 'lease-'));
afterAll(() => rmSync(dir, { recursive: true }));

const mark = join(dir, 'mark');
/** In force while its file is there. */
const scripts = { start: 'echo "$2" >"$1"', heal: 'rm "$1"', args: [mark, "it's"], secret: 'hush' };
const inForce = (): boolean => existsSync(mark);

test('a fault is in force until it is healed, and leaves nothing', async () => {
  const at = join(dir, 'asked');
  const lease = await begin(localShell, scripts, { at, leaseMs: 60_000, mostMs: 60_000 });
  expect([readFileSync(mark, 'utf8'), readFileSync(join(at, 'secret'), 'utf8')]).toEqual(["it's\n", 'hush']);
  expect(await lease.heal()).toEqual({ how: 'asked', said: '' });
  expect([inForce(), existsSync(at)]).toEqual([false, false]);
  expect((await lease.heal()).how).toBe('gone');
});

test('nobody renews it, and it heals itself; renewed, it stays until its time is over', async () => {
  const left = await begin(localShell, scripts, { at: join(dir, 'left'), leaseMs: 1000, mostMs: 60_000 });
  await expect.poll(inForce, { timeout: 20_000 }).toBe(false);
  expect((await left.heal()).how).toBe('lease');
  const kept = await begin(localShell, scripts, { at: join(dir, 'kept'), leaseMs: 2000, mostMs: 5000 });
  const end = await kept.keep(new AbortController().signal);
  expect([end, inForce()]).toEqual(['time', false]);
  await kept.heal();
}, 60_000);

test('one that cannot be begun is healed, and says why', async () => {
  const failing = { ...scripts, start: 'echo x >"$1"; echo "no way" >&2; exit 3' };
  const options = { at: join(dir, 'failing'), leaseMs: 60_000, mostMs: 60_000 };
  await expect(begin(localShell, failing, options)).rejects.toThrow('no way');
  expect(inForce()).toBe(false);
});

test('one whose guard went with a reboot is healed by whoever asks', async () => {
  const at = join(dir, 'rebooted');
  const lease = await begin(localShell, scripts, { at, leaseMs: 60_000, mostMs: 60_000 });
  writeFileSync(join(at, 'boot'), 'another\n');
  expect((await lease.heal()).how).toBe('gone');
  expect(inForce()).toBe(false);
});

test('a node without a button in the inventory is not powered off', () => {
  expect(() => powerFault({ name: 'a', vars: { power_on_command: 'true' } })).toThrow(
    'it is not powered off',
  );
  expect(powerFault({ name: 'a', vars: { power_on_command: 'on', power_off_command: 'off' } }).args).toEqual([
    ...['off', 'on'],
  ]);
});

test('a heartbeat that the pair does not have cannot be cut', () => {
  const networks = { beats: [{ own: '10.0.0.1', peer: '10.0.0.2' }], vips: [] };
  const how = { links: 'heartbeats', direction: 'in' } as const;
  expect(cutFault('t', networks, { ...how, network: 1 }).args).toEqual(['t', 'in', '10.0.0.1', '10.0.0.2']);
  expect(() => cutFault('t', networks, { ...how, network: 2 })).toThrow('there is no heartbeat network 2');
});
