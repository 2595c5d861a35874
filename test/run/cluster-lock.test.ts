import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Context } from '../../engine/core/module.ts';
import type { Host } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { holderOf, lookAtLock, unlock, unlockCode } from '../../engine/run/lock/unlock.ts';
import type { LockLook } from '../../engine/run/lock/unlock.ts';
import { openLocalWith } from '../../engine/transports/local.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { addUser } from '../transports/_sshd.ts';
import { lockEngine } from './_lock-engine.ts';
import type { Engine } from './_lock-engine.ts';
import { plantRecord, startNode } from './_node.ts';
import type { Node } from './_node.ts';

const NAMES = ['n1', 'n2'];
let nodes: Node[] = [];

beforeAll(async () => {
  nodes = await Promise.all(NAMES.map(() => startNode()));
});
afterAll(async () => {
  await Promise.all(nodes.map(({ sshd }) => sshd.stop()));
});

const nodeOf = (name: string): Node => {
  const node = nodes[NAMES.indexOf(name)];
  if (!node) throw new Error(`no node ${name}`);
  return node;
};

const engine = (from: string, rest: Partial<Host> = {}): Promise<Engine> =>
  lockEngine(
    from,
    NAMES.map((name) => nodeOf(name).host(name, rest)),
  );

/** A look at the lock as a further program takes it, and what it does then. */
async function looking(
  cluster: string,
  work: (look: LockLook, on: (host: string) => Context) => Promise<void> | void,
): Promise<void> {
  const open = new Map(
    NAMES.map((name) => [name, openTransport(nodeOf(name).host(name), { redactor: new Redactor() })]),
  );
  const on = (host: string): Context => open.get(host) as unknown as Context;
  try {
    await work(await lookAtLock({ name: cluster, stack: 'none', nodes: NAMES, settings: {} }, on), on);
  } finally {
    for (const transport of open.values()) await transport.close();
  }
}

const putOut = (cluster: string, by = { operator: 'bob', from: 'root@jump2' }): Promise<void> =>
  looking(cluster, (look, on) => unlock(look, on, by));

const text = (name: string, cluster: string, file: string): string =>
  readFileSync(`${nodeOf(name).folder(cluster)}/${file}`, 'utf8');

test('of two or three engines one gets the lock, in each of 1,000 races, and what it holds is whole', async () => {
  const engines = [await engine('root@one'), await engine('root@two'), await engine('root@three')];
  const wins = engines.map(() => 0);
  for (let race = 0; race < 1000; race++) {
    const racers = engines
      .map((one, index) => ({ index, run: one.run(`r${race}-${index}`, 'race') }))
      .slice(0, race % 3 === 0 ? 3 : 2);
    if (race % 2 === 1) racers.reverse();
    const told = await Promise.all(racers.map(({ run }) => run.take()));
    const winners = racers.filter((_, at) => told[at] === undefined);
    expect(winners, `race ${race}: ${told.join('; ')}`).toHaveLength(1);
    for (const { index, run } of winners) {
      wins[index] = (wins[index] ?? 0) + 1;
      if (race % 20 === 0) expect(await Promise.all(NAMES.map((name) => run.step(name)))).toEqual([7, 7]);
      await run.release();
    }
  }
  // A race that the same one always wins is none.
  expect(Math.min(...wins.slice(0, 2))).toBeGreaterThan(50);
  for (const name of NAMES) {
    expect(text(name, 'race', 'log').split('\n').length).toBeLessThan(500);
    expect(readdirSync(nodeOf(name).folder('race')).length).toBeLessThan(6);
  }
}, 300_000);

test('who is refused hears who holds it, since when, from where and whether that one lives', async () => {
  const [ann, bob] = [await engine('ann@jump1'), await engine('bob@jump2')];
  expect(await ann.run('r1', 'told').take()).toBeUndefined();
  expect(await bob.run('r2', 'told').take()).toMatch(
    /^cluster told is locked on n1 by run r1 of tester \(ann@jump1\) since 20\S+Z; that run is alive .* — wait for its end/,
  );
  for (const name of NAMES) nodeOf(name).setUptime(5070);
  expect(await bob.run('r2', 'told').take()).toMatch(
    /that run has not renewed the lock for 1m10s.* — .*drillbook resume r1.*drillbook unlock told/,
  );
  await looking('told', (look) => {
    expect(holderOf(look)).toMatchObject({
      run: 'r1',
      operator: 'tester',
      from: 'ann@jump1',
      isAlive: false,
    });
  });
  for (const name of NAMES) nodeOf(name).setUptime(5000);
});

test('when a later node refuses, those that were taken are given back', async () => {
  const one = await engine('root@one');
  plantRecord(nodeOf('n2').folder('later'), 4, [
    'x',
    'held',
    'r0',
    'ann',
    'ann@jump1',
    '2026-01-01',
    'boot 10',
  ]);
  const run = one.run('r1', 'later');
  expect(await run.take()).toMatch(/locked on n2 by run r0/);
  expect(existsSync(`${nodeOf('n1').folder('later')}/1.released`)).toBe(true);
  expect(run.events).toEqual([]);
  expect(await run.step('n1')).toMatch(/^cluster later is not locked on n1/);
});

test('a lock is renewed, and a node that was rebooted counts its lease from the boot', async () => {
  const [ann, bob] = [await engine('ann@jump1'), await engine('bob@jump2')];
  const timers = vi.spyOn(globalThis, 'setInterval');
  try {
    expect(await ann.run('r1', 'lease').take()).toBeUndefined();
    const [renew] = timers.mock.calls.find(([, every]) => every === 20_000) ?? [];
    for (const name of NAMES) nodeOf(name).setUptime(5090);
    expect(await bob.run('r2', 'lease').take()).toContain('has not renewed');
    renew?.();
    for (const name of NAMES)
      await vi.waitFor(() => expect(text(name, 'lease', '1.lease')).toMatch(/ 5090\n$/), 10_000);
    expect(await bob.run('r2', 'lease').take()).toContain('is alive');
    // The boot in the record is another one now, as after a reboot of the node.
    for (const [uptime, word] of [
      [30, 'is alive'],
      [200, 'has not renewed'],
    ] as const) {
      for (const name of NAMES) {
        writeFileSync(`${nodeOf(name).folder('lease')}/1.lease`, 'another-boot 5090\n');
        nodeOf(name).setUptime(uptime);
      }
      expect(await bob.run('r2', 'lease').take()).toContain(word);
    }
  } finally {
    timers.mockRestore();
    for (const name of NAMES) nodeOf(name).setUptime(5000);
  }
});

test('a resume takes over the lock of its own run at once, and the node refuses whoever had it before', async () => {
  const one = await engine('root@one');
  const [before, resumed] = [one.run('r1', 'resumed'), one.run('r1', 'resumed')];
  expect(await before.take()).toBeUndefined();
  expect(await resumed.take()).toBeUndefined();
  expect(resumed.events).toEqual([{ event: 'lock_taken', cluster: 'resumed', tokens: { n1: 2, n2: 2 } }]);
  expect(await resumed.step('n1')).toBe(7);
  expect(await before.step('n1')).toMatch(/the lock of cluster resumed on n1 was taken over by run r1 of/);
  await before.release();
  expect(await resumed.step('n2')).toBe(7);
});

test('unlocked, a holder that wakes up is refused by the node, and can neither renew, release nor come in again', async () => {
  const [ann, bob] = [await engine('ann@jump1'), await engine('bob@jump2')];
  const [stale, next] = [ann.run('r1', 'stale'), bob.run('r2', 'stale')];
  expect(await stale.take()).toBeUndefined();
  expect(await stale.step('n2')).toBe(7);
  await putOut('stale');
  expect(await stale.step('n2')).toMatch(
    /^the lock of cluster stale on n2 was taken from this run by bob \(root@jump2\) at 20/,
  );
  expect(await stale.connect('n1')).toContain('cluster stale was taken from this run on n1');
  expect(await next.take()).toBeUndefined();
  await stale.release();
  expect(await stale.connect('n1')).toContain('locked on n1 by run r2');
  expect([await next.step('n1'), await next.step('n2')]).toEqual([7, 7]);
  expect(await stale.step('n1')).toMatch(/^cluster stale was taken from this run on n1/);
  await next.release();
  expect(await stale.connect('n1')).toContain('was taken from this run');
  expect(text('n1', 'stale', 'log').split('\n')).toEqual([
    expect.stringMatching(/Z token 1: taken by run r1 of tester \(ann@jump1\)$/),
    expect.stringMatching(/Z token 2: taken from run r1 by bob \(root@jump2\)$/),
    expect.stringMatching(/Z token 3: taken by run r2 of tester \(bob@jump2\)$/),
    expect.stringMatching(/Z token 3: released by run r2$/),
    '',
  ]);
});

test('a code unlocks only the holder it was shown with', async () => {
  const one = await engine('root@one');
  const first = one.run('r1', 'code');
  await first.take();
  let seen: LockLook | undefined;
  await looking('code', (look) => void (seen = look));
  await first.release();
  const second = one.run('r2', 'code');
  expect(await second.take()).toBeUndefined();
  await looking('code', async (look, on) => {
    if (!seen) throw new Error('not seen');
    expect(unlockCode(look)).not.toBe(unlockCode(seen));
    await expect(unlock(seen, on, { operator: 'bob', from: 'x' })).rejects.toMatchObject({
      code: 'guard.lock',
    });
  });
  expect(await second.step('n1')).toBe(7);
});

test('a node that was away is locked when it is first reached, or refuses then', async () => {
  const [ann, bob] = [await engine('ann@jump1'), await engine('bob@jump2')];
  for (const one of [ann, bob]) one.setAway('n2', true);
  const run = ann.run('r1', 'away');
  expect(await run.take()).toBeUndefined();
  expect(run.events).toEqual([{ event: 'lock_taken', cluster: 'away', tokens: { n1: 1 } }]);
  ann.setAway('n2', false);
  expect(await run.connect('n2')).toBeUndefined();
  expect(run.events[1]).toEqual({ event: 'lock_taken', cluster: 'away', tokens: { n2: 1 } });
  expect(await run.step('n2')).toBe(7);
  // Connected anew, it has it already.
  expect(await run.connect('n2')).toBeUndefined();
  expect(run.events).toHaveLength(2);
  // Who sees the other node alone is told when it comes to this one.
  await run.release();
  bob.setAway('n2', false);
  bob.setAway('n1', true);
  const other = bob.run('r2', 'away');
  expect(await other.take()).toBeUndefined();
  ann.setAway('n2', true);
  const late = ann.run('r3', 'away');
  expect(await late.take()).toBeUndefined();
  ann.setAway('n2', false);
  expect(await late.step('n2')).toBe('cluster away is not locked on n2 — undefined');
  expect(await late.connect('n2')).toMatch(/locked on n2 by run r2/);
  // All or nothing: the node that it has is no longer its own to act on either.
  expect(await late.step('n1')).toMatch(/locked on n2 by run r2/);
});

test('a run does not wait long for a node that does not answer', async () => {
  const one = await engine('root@one');
  one.setAway('n1', 'silent');
  const run = one.run('r1', 'silent');
  expect(await run.take()).toBeUndefined();
  expect(run.events).toEqual([{ event: 'lock_taken', cluster: 'silent', tokens: { n2: 1 } }]);
  one.setAway('n1', false);
  expect(await run.connect('n1')).toBeUndefined();
  expect([await run.step('n1'), await run.step('n2')]).toEqual([7, 7]);
});

test('a run that could not give back a node, being away at its end, is no hindrance where another node has its word', async () => {
  for (const gone of NAMES) {
    const cluster = `ended-${gone}`;
    const [ann, bob] = [await engine('ann@jump1'), await engine('bob@jump2')];
    const first = ann.run('r1', cluster);
    await first.take();
    ann.setAway(gone, true);
    await first.release();
    expect(existsSync(`${nodeOf(gone).folder(cluster)}/1.released`)).toBe(false);
    expect(await bob.run('r2', cluster).take()).toBeUndefined();
  }
  // Taken again after that word, it is held.
  const ann = await engine('ann@jump1');
  const cluster = 'ended-again';
  const first = ann.run('r1', cluster);
  await first.take();
  ann.setAway('n2', true);
  await first.release();
  ann.setAway('n2', false);
  ann.setAway('n1', true);
  expect(await ann.run('r1', cluster).take()).toBeUndefined();
  expect(await (await engine('bob@jump2')).run('r2', cluster).take()).toMatch(/locked on n2 by run r1/);
});

test('a record that a power failure lost is made again by its owner, unless another run came meanwhile', async () => {
  const [ann, bob] = [await engine('ann@jump1'), await engine('bob@jump2')];
  const run = ann.run('r1', 'lost');
  await run.take();
  rmSync(nodeOf('n1').folder('lost'), { recursive: true });
  expect(await run.step('n1')).toBe('the lock of cluster lost on n1 is gone — undefined');
  expect(await run.connect('n1')).toBeUndefined();
  expect(await run.step('n1')).toBe(7);
  rmSync(nodeOf('n1').folder('lost'), { recursive: true });
  bob.setAway('n2', true);
  const other = bob.run('r2', 'lost');
  expect(await other.take()).toBeUndefined();
  // The same token, and not the same holder.
  expect(await run.step('n1')).toMatch(/was taken over by run r2/);
  expect(await run.connect('n1')).toMatch(/locked on n1 by run r2/);
  await other.release();
  expect(await run.connect('n1')).toMatch(/was taken from this run on n1/);
});

test('a damaged record is nobody’s to take but by unlock', async () => {
  const one = await engine('root@one');
  plantRecord(nodeOf('n1').folder('damaged'), 3, []);
  expect(await one.run('r1', 'damaged').take()).toMatch(/locked on n1 by somebody whose record is damaged/);
  await putOut('damaged');
  const run = one.run('r1', 'damaged');
  expect(await run.take()).toBeUndefined();
  expect(run.events[0]).toMatchObject({ tokens: { n1: 5, n2: 1 } });
});

test('two names of one machine share its lock', async () => {
  const node = nodeOf('n1');
  const one = await lockEngine('root@one', [node.host('a'), node.host('b')]);
  const run = one.run('r1', 'shared');
  expect(await run.take()).toBeUndefined();
  expect([await run.step('a'), await run.step('b')]).toEqual([7, 7]);
  expect(await one.run('r2', 'shared').take()).toMatch(/locked on a by run r1/);
  await run.release();
  expect(await one.run('r2', 'shared').take()).toBeUndefined();
});

test('a step of another user passes the fence, and is refused by it', async () => {
  const user = addUser();
  try {
    const one = await engine('root@one');
    const run = one.run('r1', 'become');
    await run.take();
    const become = { user: user.name, method: 'su' } as const;
    expect(await run.step('n1', become)).toBe(7);
    await putOut('become');
    expect(await run.step('n1', become)).toMatch(/was taken from this run by bob/);
    expect(statSync(nodeOf('n1').folder('become')).mode & 0o777).toBe(0o755);
  } finally {
    user.remove();
  }
});

test('who is not root there takes the lock as whom the inventory lets him become, or in a folder of his own', async () => {
  const user = addUser('ALL=(ALL) NOPASSWD: ALL');
  try {
    const connection = { ...nodeOf('n1').sshd.host().connection, user: user.name };
    const sudo = { user: 'root', method: 'sudo' } as const;
    const [root, becoming, plain] = [
      await lockEngine('root@one', [nodeOf('n1').host('n1')]),
      await lockEngine('ann@two', [{ ...nodeOf('n1').host('n1'), connection, become: sudo }]),
      await lockEngine('bob@three', [{ ...nodeOf('n1').host('n1'), connection }]),
    ];
    const first = becoming.run('r1', 'users');
    expect(await first.take()).toBeUndefined();
    expect(await root.run('r2', 'users').take()).toMatch(/by run r1/);
    expect(await plain.run('r3', 'users').take()).toMatch(/by run r1/);
    await first.release();
    const own = plain.run('r3', 'users');
    expect(await own.take()).toBeUndefined();
    expect(await own.step('n1')).toBe(7);
    expect(await plain.run('r4', 'users').take()).toMatch(/by run r3/);
    const folder = own.locks.guardsOf(nodeOf('n1').host('n1'))[0]?.args[0] ?? '';
    expect(folder).toMatch(/^\/var\/tmp\/drillbook-\d+\/locks\/users$/);
    await own.release();
    rmSync(folder.replace(/\/locks.*/, ''), { recursive: true });
  } finally {
    user.remove();
  }
});

test.each([
  ['full', 'mode=755,size=64k', /cannot be kept on n1: .*No space left on device/],
  ['read-only', 'mode=755', /cannot be kept on n1: .*Read-only file system/],
])('a %s disk is told, and nothing is begun', async (kind, mount, wanted) => {
  const node = await startNode(mount);
  try {
    const one = await lockEngine('root@one', [node.host('n1')]);
    if (kind === 'full') {
      const file = node.path('/var/lib/drillbook/filler');
      expect(() => {
        for (;;) appendFileSync(file, 'x'.repeat(512));
      }).toThrow(/ENOSPC/);
    } else {
      const remount = openTransport(node.host('n1'), { redactor: new Redactor() });
      expect((await remount.sh('mount -o remount,bind,ro /var/lib/drillbook')).code).toBe(0);
      await remount.close();
    }
    expect(await one.run('r1', 'disk').take()).toMatch(wanted);
  } finally {
    await node.sshd.stop();
  }
});

test.each(['dash', 'busybox sh', 'bash'])('%s speaks the lock’s language', async (shell) => {
  const cluster = `shell-${shell.replace(' ', '-')}`;
  const folder = `/var/lib/drillbook/locks/${cluster}`;
  rmSync(folder, { recursive: true, force: true });
  try {
    const host: Host = { name: 'here', groups: [], vars: {}, connection: { transport: 'local' } };
    const open = (one: Host) => openLocalWith(one, new Redactor(), shell);
    const one = await lockEngine('root@one', [host], open);
    const run = one.run('r1', cluster);
    expect(await run.take()).toBeUndefined();
    expect(await run.step('here')).toBe(7);
    expect(await one.run('r2', cluster).take()).toMatch(/locked on here by run r1/);
    await run.release();
    const next = one.run('r2', cluster);
    expect(await next.take()).toBeUndefined();
    expect(await run.step('here')).toMatch(/was taken over by run r2|is gone/);
    expect(readdirSync(folder).toSorted()).toEqual(['2', 'log']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
