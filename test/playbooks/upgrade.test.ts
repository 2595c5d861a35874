import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import type { Database } from '../../engine/lab/state.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { drillbook, eventsOf } from '../cli/_drillbook.ts';
import { dying, kept, report } from '../run/_matrix.ts';
import { buildPair, codeOf, editedInventory, playbook, statusOf } from './_playbook.ts';
import type { Ran } from './_playbook.ts';
import { readJobs, writer } from './_writer.ts';

/** Both servers in `npm run matrix`, for the time it takes. */
const DATABASES: readonly Database[] = isFull ? ['mariadb', 'mysql'] : ['mariadb'];

/** What an operator wants to see of a pair. */
const seenOf = ({ state, nodes, vips }: ClusterStatus): unknown => [
  state,
  nodes.map(({ role }) => role),
  [...new Set(vips.flatMap(({ holders }) => holders))],
];
const SERVING = ['running', ['primary', 'standby'], ['dbk1']];

describe.each(DATABASES)('a pair on %s', (database) => {
  let lab: Lab;
  let folder: string;
  let vip: string;

  const wish = (...more: readonly string[]): string[] => ['version=8.0-10', 'soak=2s', 'gate=40s', ...more];
  const run = (name: string, extra: readonly string[] = []): Promise<Ran> =>
    playbook(name, lab.inventory, { state: folder, extra });
  const status = (): Promise<ClusterStatus> => statusOf(lab.inventory);
  const releases = async (): Promise<string[]> => {
    const ask = "dpkg-query -W -f '${Version}\\n' 'dbackup3-*' | sort -u | tr '\\n' ' '";
    const said = await Promise.all(lab.nodes.map(({ name }) => lab.ssh(name, ask)));
    return said.map(({ stdout }) => stdout.trim());
  };
  const sql = async (node: string, statement: string): Promise<void> => {
    const { code, stderr } = await lab.ssh(node, 'mysql -BN', { stdin: statement });
    expect([code, stderr]).toEqual([0, '']);
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'upgrade-'));
    lab = await freshLab({ name: `upgrade-${database}`, database });
    vip = (lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100');
    await buildPair(lab.inventory, folder);
  });
  afterAll(async () => {
    await lab?.down();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  // MySQL 8.4 has forgotten the old words.
  const [replica, change] =
    database === 'mysql' ? ['REPLICA', 'REPLICATION SOURCE TO SOURCE'] : ['SLAVE', 'MASTER TO MASTER'];
  const delayed = (seconds: number): string =>
    `STOP ${replica}; CHANGE ${change}_DELAY = ${seconds}; START ${replica}`;

  /** The pair serves as it did, and nothing of it is of the new release. */
  async function isUntouched(): Promise<void> {
    expect(await releases()).toEqual(['8.0-9', '8.0-9']);
    await expect.poll(async () => seenOf(await status()), { timeout: 60_000 }).toEqual(SERVING);
  }

  /** What ends here is undone by the playbook for it. */
  async function goBack(): Promise<void> {
    const back = await run('upgrade-back', ['soak=1s', 'gate=90s']);
    expect(back.code, back.told).toBe(0);
  }

  /** The packages with one of them made otherwise. */
  async function packagesWith(change: (file: string) => Promise<void>): Promise<string> {
    const packages = await mkdtemp(join(folder, 'packages-'));
    const [, from = ''] = /dbackup_packages: (.*)/.exec(await readFile(lab.inventory, 'utf8')) ?? [];
    await cp(from, packages, { recursive: true });
    await change(join(packages, 'dbackup3-agent-mysql_8.0-10_amd64.deb'));
    return `packages=${packages}`;
  }

  /** Runs the upgrade, and does something once a step has ended on the standby. */
  async function struck(step: string, strike: () => Promise<void>, extra: readonly string[]): Promise<Ran> {
    const before = runIds(folder).at(-1);
    const running = run('upgrade', wish(...extra));
    const hasEnded = (): boolean =>
      runIds(folder).at(-1) !== before &&
      kept(folder).some(
        (event) => event.event === 'step_finished' && event.host === 'dbk2' && event.name.startsWith(step),
      );
    await expect.poll(hasEnded, { timeout: 120_000, interval: 100 }).toBe(true);
    await strike();
    return running;
  }
  const UNPACKED = 'Every package of dbk2 is of release';
  const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
  /** A window that is open when the upgrade begins, and closed when it comes to the primary. */
  const closing = (): string[] => [`window_ends=${inSeconds(15)}`, 'needs=1s'];
  /** Its next step installs the packages. */
  const REMEMBERED_ON_STANDBY = 'Gate: backupd';

  /** The standby gets the new release, whatever befalls it; the primary is not begun with, and the standby goes back. */
  async function stopsAtPrimary(strike?: () => Promise<void>, code = 4): Promise<void> {
    const ran = strike
      ? await struck(REMEMBERED_ON_STANDBY, strike, [...closing(), 'gate=2m'])
      : await run('upgrade', wish(...closing()));
    expect([ran.code, ran.told]).toEqual([code, expect.stringContaining('window')]);
    expect(await releases()).toEqual(['8.0-9', '8.0-10']);
    await goBack();
  }

  const troubles: Record<string, () => Promise<void>> = {
    async 'a file of the release is damaged: nothing is begun'() {
      const damaged = await packagesWith(async (file) =>
        writeFile(file, (await readFile(file)).subarray(0, 600)),
      );
      const ran = await run('upgrade', wish(damaged));
      expect([ran.code, ran.changed], ran.told).toEqual([1, []]);
    },
    async 'a package does not come up on the standby: it is put back'() {
      const broken = await packagesWith(async (file) => {
        const tree = `${file}.tree`;
        execFileSync('dpkg-deb', ['-R', file, tree]);
        await writeFile(join(tree, 'DEBIAN/postinst'), '#!/bin/sh\necho no >&2\nexit 1\n', { mode: 0o755 });
        execFileSync('dpkg-deb', ['-b', tree, file]);
      });
      const ran = await run('upgrade', wish(broken));
      expect([ran.code, ran.told], ran.told).toEqual([
        1,
        expect.stringContaining('The primary was not touched'),
      ]);
    },
    async 'replication is stopped before: nothing is begun'() {
      await sql('dbk2', `STOP ${replica}`);
      const ran = await run('upgrade', wish());
      expect([ran.code, ran.failed, ran.changed], ran.told).toEqual([1, ['The pair is whole'], []]);
      await sql('dbk2', `START ${replica}`);
    },
    async 'replication stops while the standby gets its packages: it is put back'() {
      const ran = await struck(UNPACKED, () => sql('dbk2', `STOP ${replica}`), ['gate=8s']);
      expect(ran.told).toContain('The primary was not touched');
      expect([1, 4]).toContain(ran.code);
      await sql('dbk2', `START ${replica}`);
      expect((await run('start')).code).toBe(0);
    },
    async 'the standby lags: the first gate never opens, and failover stays on'() {
      const client = writer(vip, 'lag ');
      await sql('dbk2', delayed(600));
      await pause(8000);
      const ran = await run('upgrade', wish('gate=5s'));
      await client.stop();
      expect([ran.code, ran.changed, ran.told]).toEqual([1, [], expect.stringContaining('behind')]);
      await sql('dbk2', delayed(0));
      await expect.poll(async () => (await status()).replication.lagSeconds, { timeout: 60_000 }).toBe(0);
    },
    async 'the standby has no room: it stays as it is'() {
      const { code } = await lab.ssh('dbk2', 'mount -t tmpfs -o size=4k tmpfs /var/tmp');
      expect(code).toBe(0);
      const ran = await run('upgrade', wish());
      expect(ran.told).toContain('The primary was not touched');
      expect(ran.code, ran.told).toBe(1);
      await lab.ssh('dbk2', 'umount /var/tmp');
    },
    async 'a heartbeat fails before: nothing is begun'() {
      await lab.cut('dbk2', 'net2');
      const ran = await run('upgrade', wish('gate=5s'));
      expect([ran.code, ran.changed, ran.failed], ran.told).toEqual([1, [], ['The pair is whole']]);
      await lab.heal('dbk2', 'net2');
      await expect.poll(async () => (await status()).problems, { timeout: 60_000 }).toEqual([]);
    },
    async 'the window is too short for all of it: nothing is begun'() {
      const ran = await run('upgrade', wish(`window_ends=${inSeconds(600)}`));
      expect([ran.code, ran.changed, ran.told]).toEqual([
        1,
        [],
        expect.stringContaining('what is left takes'),
      ]);
    },
    async 'the window is too short: it ends at the point of no return'() {
      await stopsAtPrimary();
    },
    async 'failover was off before: it is off afterwards'() {
      expect((await run('stop')).code).toBe(0);
      await stopsAtPrimary(undefined, 1);
      await expect.poll(async () => (await status()).state, { timeout: 60_000 }).toBe('stopped');
      expect((await run('start')).code).toBe(0);
    },
    async 'the standby loses its power while it gets its packages: it goes on when it is back'() {
      await stopsAtPrimary(async () => {
        await lab.powerOff('dbk2');
        await lab.powerOn('dbk2');
      });
    },
    async 'the standby is cut off for a while: it goes on when it is back'() {
      await stopsAtPrimary(async () => {
        await lab.cut('dbk2');
        await pause(8000);
        await lab.heal('dbk2');
      });
    },
  };

  /** One of them in `npm test`, all in `npm run matrix`. */
  const chosen = Object.entries(troubles).slice(0, isFull ? undefined : 2);
  test.each(chosen)(
    '%s',
    async (_, befall) => {
      await befall();
      await isUntouched();
    },
    300_000,
  );

  test('what the standby has written and the primary has not is an errant transaction, and no upgrade begins', async () => {
    const codes = async (): Promise<string[]> => (await status()).problems.map(({ code }) => code);
    const until = (wanted: readonly string[]): Promise<void> =>
      expect.poll(codes, { timeout: 60_000 }).toEqual(wanted);
    // The primary follows, and that late: its replication is whole to all other looks.
    await sql('dbk1', delayed(600));
    await until([]);
    // Where the server has it, super_read_only binds the administrator too.
    const superReadOnly = (to: string): string =>
      database === 'mysql' ? `SET GLOBAL super_read_only = ${to};` : '';
    const write =
      'USE dbackup3; CREATE TABLE of_standby (n INT); FLUSH LOGS; INSERT INTO of_standby VALUES (1)';
    await sql('dbk2', `${superReadOnly('OFF')} ${write}; ${superReadOnly('ON')}`);
    await until(['errant-transactions']);
    expect((await status()).problems[0]?.message).toContain(
      'dbk2, the standby, has 2 transactions of its own',
    );
    const ran = await run('upgrade', wish());
    expect([ran.code, ran.changed], ran.told).toEqual([1, []]);
    await sql('dbk1', delayed(0));
    await until([]);
    await sql('dbk1', `STOP ${replica}`);
    await until(['reverse-replication-broken']);
    await sql('dbk1', `START ${replica}; USE dbackup3; DROP TABLE of_standby`);
    await until([]);
  }, 240_000);

  // For the time it takes: five runs, each with restarts of the database.
  test.runIf(isFull)(
    'a configuration is changed on both nodes or on none',
    async () => {
      const options = (text: string): Promise<string> =>
        editedInventory(lab.inventory, join(folder, 'configured.yml'), (all) =>
          all.replace('      database:\n', `      database:\n        options: { ${text} }\n`),
        );
      const configure = async (text: string): Promise<Ran> =>
        playbook('configure', await options(text), { state: folder, extra: ['soak=1s', 'gate=2m'] });
      const seen = async (): Promise<string[]> => {
        const said = await Promise.all(
          lab.nodes.map(({ name }) =>
            lab.ssh(name, "mysql -BNe 'SELECT @@max_connections'; ls /etc/mysql/*.d | grep -c before"),
          ),
        );
        return said.map(({ stdout }) => stdout.trim().split('\n').join(' '));
      };
      const before = await seen();
      const refused = await configure('no_such_option: 1');
      expect([refused.code, refused.changed], refused.told).toEqual([1, []]);
      expect(refused.told).toContain('no_such_option');
      // The server accepts it and does not come up with it.
      const down = await configure('max_connections: 77, innodb_data_home_dir: /nowhere');
      expect([down.code, down.told]).toEqual([1, expect.stringContaining('the configuration of before')]);
      expect(await seen()).toEqual(before);
      await isUntouched();
      // It would come up with it on the standby, and not on the primary: the standby goes back too.
      await lab.ssh('dbk2', 'install -d -o mysql /srv/there');
      const half = await configure('max_connections: 77, tmpdir: /srv/there');
      // MySQL's own look at the file finds it ahead.
      const why = database === 'mysql' ? 'refused the new' : 'restarted-with-it on dbk1';
      expect([half.code, half.told]).toEqual([1, expect.stringContaining(why)]);
      expect(await seen()).toEqual(before);
      await isUntouched();
      const done = await configure('max_connections: 77');
      expect(done.code, done.told).toBe(0);
      expect(await seen()).toEqual(['77 0', '77 0']);
      await isUntouched();
      expect((await configure('max_connections: 77')).changed).toEqual([]);
    },
    600_000,
  );

  test('under a steady writer, by an engine that dies again and again: no row is lost, roles as before', async () => {
    const prefix = 'upgrade ';
    const isBusy = (loadavg()[0] ?? 0) > 2 * availableParallelism();
    const client = writer(vip, prefix);
    await expect.poll(client.count, { timeout: 30_000 }).toBeGreaterThan(30);
    const extra = wish().flatMap((one) => ['-e', one]);
    const args = [
      join(import.meta.dirname, '../../playbooks/dbackup/upgrade.yml'),
      '-i',
      lab.inventory,
      ...extra,
    ];
    const state = join(folder, 'dying');
    const code = await codeOf(args, { DRILLBOOK_STATE: state });
    const deaths = await dying([...args, '--yes', code], state, () => ({
      dies: `after each ${join(folder, 'met')} ${isFull ? 5 : 40}`,
    }));
    const countThen = client.count();
    await expect.poll(client.count, { timeout: 30_000 }).toBeGreaterThan(countThen + 30);
    const { acknowledged, longestGapMs, gapsMs, nodes } = await client.stop();
    report(
      `upgrade on ${database}: died ${deaths} times, ${acknowledged.length} rows, none for ${Math.round(longestGapMs)} ms, ${Math.round(gapsMs)} ms in all${isBusy ? ', on a busy machine' : ''}`,
    );
    // Beside other work the upgrade is as slow as that makes it.
    if (isFull && !isBusy) expect(gapsMs).toBeLessThan(3000);
    expect(nodes).toEqual(['dbk1']);
    const kept = new Set((await readJobs(vip, prefix)).map((job) => job.name));
    expect(acknowledged.filter((row) => !kept.has(row))).toEqual([]);
    expect(deaths).toBeGreaterThan(1);
    expect(await releases()).toEqual(['8.0-10', '8.0-10']);
    expect(await status()).toMatchObject({
      state: 'running',
      nodes: [{ role: 'primary' }, { role: 'standby' }],
    });
    const again = await run('upgrade', wish());
    expect([again.code, again.changed]).toEqual([0, []]);
    // Another run of ours has switched failover off and ended there: it counts as on.
    const short = join(folder, 'short.yml');
    await writeFile(short, 'name: Short\nplays: [{ hosts: primary, tasks: [{ dbackup.hactl: disable }] }]\n');
    const ended = await drillbook(['run', short, '-i', lab.inventory], { env: { DRILLBOOK_STATE: folder } });
    expect([ended.code, (await status()).state], ended.stdout).toEqual([4, 'stopped']);
    const after = await run('upgrade', wish());
    expect([after.code, (await status()).state], after.told).toEqual([0, 'running']);
  }, 600_000);

  /** A folder with the packages of 8.0-10 as 8.0-11. */
  async function nextRelease(): Promise<string> {
    const packages = await mkdtemp(join(folder, 'next-'));
    const [, from = ''] = /dbackup_packages: (.*)/.exec(await readFile(lab.inventory, 'utf8')) ?? [];
    for (const name of (await readdir(from)).filter((one) => one.includes('_8.0-10_'))) {
      const tree = join(packages, 'tree');
      execFileSync('dpkg-deb', ['-R', join(from, name), tree]);
      const control = join(tree, 'DEBIAN/control');
      await writeFile(control, (await readFile(control, 'utf8')).replaceAll('8.0-10', '8.0-11'));
      execFileSync('dpkg-deb', ['-b', tree, join(packages, name.replace('8.0-10', '8.0-11'))]);
      await rm(tree, { recursive: true });
    }
    return packages;
  }

  test.runIf(isFull)(
    'what failed on the primary is tried again by resume, and goes on from there',
    async () => {
      await lab.ssh('dbk1', 'mount -t tmpfs -o size=4k tmpfs /var/tmp');
      const failed = await run('upgrade', [
        ...wish().slice(1),
        'version=8.0-11',
        `packages=${await nextRelease()}`,
      ]);
      expect([failed.code, failed.told]).toEqual([4, expect.stringContaining('the disk is full')]);
      expect(await releases()).toEqual(['8.0-10', '8.0-11']);
      const broken = await status();
      expect(broken.nodes.map(({ role }) => role)).toEqual(['primary', 'standby']);
      expect(broken.state).toBe('stopped');
      await lab.ssh('dbk1', 'umount /var/tmp');
      const resumed = await drillbook(['resume', '--output', 'jsonl'], { env: { DRILLBOOK_STATE: folder } });
      expect(resumed.code, resumed.stderr).toBe(0);
      const again = eventsOf(resumed).flatMap((event) =>
        event.event === 'step_finished' ? [event.host] : [],
      );
      expect(again).not.toContain('dbk2');
      expect(await releases()).toEqual(['8.0-11', '8.0-11']);
      expect(seenOf(await status())).toEqual(SERVING);
    },
    300_000,
  );
});
