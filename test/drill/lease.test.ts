import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LEFT_FAULTS, leaseOf, localShell } from '../../engine/drill/lease.ts';
import type { FaultScripts, Lease, Shell } from '../../engine/drill/lease.ts';
import { powerFault } from '../../engine/drill/faults/power.ts';
import { cutFault } from '../../engine/drill/faults/network.ts';

const dir = mkdtempSync(join(tmpdir(), 'lease-'));
afterAll(() => rmSync(dir, { recursive: true }));

const mark = join(dir, 'mark');
/** In force while its file is there. */
const scripts = { start: 'echo "$2" >"$1"', heal: 'rm "$1"', args: [mark, "it's"], secret: 'hush' };
const inForce = (): boolean => existsSync(mark);

/** A lease of a minute, from this machine. */
const leased = (
  name: string,
  wanted: FaultScripts = scripts,
  leaseMs = 60_000,
  sh: Shell = localShell,
): Lease => leaseOf(sh, wanted, { at: join(dir, name), host: 'n', leaseMs, mostMs: 60_000 });
/** An engine that dies once the fault is ordered, but comes back to ask. */
function mortal(): { sh: Shell; revive(): void } {
  let calls = 0;
  return {
    sh: (...asked) => (calls++ === 0 ? localShell(...asked) : Promise.reject(new Error('dead'))),
    revive: () => (calls = 0),
  };
}

test('a fault is in force until it is healed, and leaves nothing', async () => {
  const at = join(dir, 'asked');
  const lease = leased('asked');
  await lease.begin();
  expect([readFileSync(mark, 'utf8'), readFileSync(join(at, 'secret'), 'utf8')]).toEqual(["it's\n", 'hush']);
  expect(await lease.heal()).toEqual({ how: 'asked', said: '' });
  expect([inForce(), existsSync(at)]).toEqual([false, false]);
  expect((await lease.heal()).how).toBe('gone');
});

test('nobody renews it, and it heals itself; renewed, it stays until its time is over', async () => {
  const { sh, revive } = mortal();
  const left = leased('left', scripts, 1000, sh);
  await left.begin();
  await expect.poll(inForce, { timeout: 20_000 }).toBe(false);
  revive();
  expect((await left.heal()).how).toBe('lease');
  const kept = leaseOf(localShell, scripts, {
    at: join(dir, 'kept'),
    host: 'n',
    leaseMs: 2000,
    mostMs: 5000,
  });
  await kept.begin();
  await expect.poll(() => existsSync(join(dir, 'kept/healed')), { timeout: 20_000 }).toBe(true);
  expect([(await kept.heal()).how, inForce()]).toEqual(['time', false]);
}, 60_000);

const waits = {
  ...scripts,
  start: 'echo x >"$AT/begun"; while [ ! -e "$1.go" ]; do sleep 0.1; done; echo x >"$1"',
};

test('the lease is renewed while it is being begun, however long that takes', async () => {
  const slow = leased('slow', waits, 2000);
  const begun = slow.begin();
  await expect.poll(() => existsSync(join(dir, 'slow/begun')), { timeout: 20_000 }).toBe(true);
  const until = readFileSync(join(dir, 'slow/until'), 'utf8');
  // Past the first lease and the second.
  await expect
    .poll(() => Number(readFileSync(join(dir, 'slow/until'), 'utf8')) - Number(until), { timeout: 20_000 })
    .toBeGreaterThan(4);
  writeFileSync(`${mark}.go`, '');
  await begun;
  rmSync(`${mark}.go`);
  expect([inForce(), (await slow.heal()).how, inForce()]).toEqual([true, 'asked', false]);
}, 60_000);

test('whose lease runs out before it is in force never comes to be', async () => {
  const { sh, revive } = mortal();
  const slow = leased('late', { ...waits, heal: 'rm -f "$1"' }, 1000, sh);
  const begun = slow.begin();
  await expect(begun).rejects.toThrow();
  writeFileSync(`${mark}.go`, '');
  await expect.poll(() => existsSync(join(dir, 'late/healed')), { timeout: 20_000 }).toBe(true);
  revive();
  expect([(await slow.heal()).how, inForce()]).toEqual(['lease', false]);
  rmSync(`${mark}.go`);
}, 60_000);

test('one that cannot be begun says why, and is healed as any other', async () => {
  const failing = leased('failing', { ...scripts, start: 'echo x >"$1"; echo "no way" >&2; exit 3' });
  await expect(failing.begin()).rejects.toThrow('no way');
  expect([(await failing.heal()).how, inForce()]).toEqual(['asked', false]);
});

test('what cannot be healed stays, is told of, and is tried again', async () => {
  const at = join(dir, 'drill/drillbook_stuck');
  const stuck = { ...scripts, heal: '[ -e "$1.ok" ] || { echo "not yet" >&2; exit 1; }; rm "$1"' };
  const { sh, revive } = mortal();
  await leased('drill/drillbook_stuck', stuck, 1000, sh).begin();
  await expect.poll(() => existsSync(join(at, 'said')), { timeout: 20_000 }).toBe(true);
  const left = async (...hosts: string[]): Promise<string> =>
    (await localShell(LEFT_FAULTS, { args: [hosts.join(' '), dir] })).stdout;
  expect([await left(), await left('m', 'n'), await left('m')]).toEqual([`n: ${at}\n`, `n: ${at}\n`, '']);
  expect(inForce()).toBe(true);
  writeFileSync(`${mark}.ok`, '');
  await expect.poll(() => left('n'), { timeout: 20_000 }).toBe('');
  expect([inForce(), existsSync(at)]).toEqual([false, false]);
  revive();
}, 60_000);

test('an answer that says nothing is no healing', async () => {
  const mute: Shell = () => Promise.resolve({ code: 137, stdout: '', stderr: '' });
  expect((await leased('mute', scripts, 1000, mute).heal()).how).toBe('unhealed');
});

test('one whose guard is no more is healed by whoever asks', async () => {
  const lease = leased('rebooted');
  await lease.begin();
  process.kill(Number(readFileSync(join(dir, 'rebooted/guard'), 'utf8')), 'SIGKILL');
  expect([(await lease.heal()).how, inForce()]).toEqual(['gone', false]);
});

test('an exchange that hangs does not cost the lease', async () => {
  let calls = 0;
  // The first renewal never comes back.
  const sh: Shell = (...asked) => (++calls === 2 ? new Promise(() => undefined) : localShell(...asked));
  const lease = leased('hung', scripts, 8000, sh);
  await lease.begin();
  const until = readFileSync(join(dir, 'hung/until'), 'utf8');
  await expect
    .poll(() => readFileSync(join(dir, 'hung/until'), 'utf8') > until, { timeout: 20_000 })
    .toBe(true);
  expect((await lease.heal()).how).toBe('asked');
}, 60_000);

test('what it is given is in the arguments of nothing that watches over it', async () => {
  const words = [mark, 'a $(b) "c"', "it's\n two\n", ''];
  const said = { ...scripts, start: 'printf "%s|" "$@" >"$1"', args: words };
  const lease = leased('words', said);
  await lease.begin();
  const guard = readFileSync(join(dir, 'words/guard'), 'utf8').trim();
  expect(readFileSync(`/proc/${guard}/cmdline`, 'utf8')).not.toContain('a $(b)');
  expect(readFileSync(mark, 'utf8')).toBe(words.map((word) => `${word}|`).join(''));
  await lease.heal();
  expect(inForce()).toBe(false);
});

test('a node without a button in the inventory is not powered off', () => {
  expect(() => powerFault({ name: 'a', vars: { power_on_command: 'true' } })).toThrow(
    'it is not powered off',
  );
  const { args, secret } = powerFault({
    name: 'a',
    vars: { power_on_command: 'on', power_off_command: 'off' },
  });
  expect([args, secret]).toEqual([['off'], 'on']);
});

test('a heartbeat that the pair does not have cannot be cut', () => {
  const networks = { beats: [{ own: '10.0.0.1', peer: '10.0.0.2' }], vips: [] };
  const how = { links: 'heartbeats', direction: 'in' } as const;
  expect(cutFault('t', networks, { ...how, network: 1 }).args).toEqual(['t', 'in', '10.0.0.1', '10.0.0.2']);
  expect(() => cutFault('t', networks, { ...how, network: 2 })).toThrow('there is no heartbeat network 2');
});
