import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import type { Database } from '../../engine/lab/state.ts';
import { isFull } from '../_full.ts';
import { drillbook, eventsOf, start } from '../cli/_drillbook.ts';
import { drillUnderProbe, killedInMidFault } from '../drill/_on-pair.ts';
import { buildPair, codeOf, playbook } from './_playbook.ts';
import type { Ran } from './_playbook.ts';
import { readJobs, writer } from './_writer.ts';
import { freshLab } from '../lab/_fresh.ts';

/** A planned move may stop writes for this long at most, as an independent client sees it: 0.5 s to 0.9 s where nothing else runs. */
const LONGEST_GAP_MS = 10_000;

/** What operators do with a running pair, each test beginning where the one before ended; a file for each server. */
export const operations = (database: Database) =>
  describe(`a running pair on ${database}`, () => {
    let lab: Lab;
    let state: string;
    let vip: string;

    const run = (name: string, inventory = lab.inventory, isCheck = false): Promise<Ran> =>
      playbook(name, inventory, { state, isCheck });

    async function well(name: string, inventory?: string): Promise<Ran> {
      const done = await run(name, inventory);
      expect(done.code, done.told).toBe(0);
      return done;
    }

    async function status(inventory = lab.inventory): Promise<ClusterStatus> {
      const { stdout } = await drillbook(['status', '-i', inventory, '--output', 'json']);
      return JSON.parse(stdout) as ClusterStatus;
    }

    const rolesOf = ({ nodes }: ClusterStatus) => nodes.map(({ role }) => role);

    async function sql(node: string, statements: string): Promise<string> {
      const { code, stdout, stderr } = await lab.ssh(node, 'mysql -BN', { stdin: statements });
      if (code !== 0) throw new Error(stderr);
      return stdout.trim();
    }

    /** Moves the primary by `name` under a steady writer, and holds the move to its promises. */
    async function moveUnderWrites(name: string, from: string, to: string): Promise<void> {
      const prefix = `${name} `;
      const client = writer(vip, prefix);
      await expect.poll(client.count, { timeout: 30_000 }).toBeGreaterThan(30);
      const done = await run(name);
      const countThen = client.count();
      await expect.poll(client.count, { timeout: 30_000 }).toBeGreaterThan(countThen + 30);
      const { acknowledged, longestGapMs, nodes } = await client.stop();
      expect(done.code, done.told).toBe(0);
      expect(nodes).toEqual([from, to]);
      const kept = new Set((await readJobs(vip, prefix)).map((job) => job.name));
      expect(acknowledged.filter((row) => !kept.has(row))).toEqual([]);
      expect(longestGapMs).toBeLessThan(LONGEST_GAP_MS);
    }

    // On one server in `npm test`, for its time is short.
    const once = test.skipIf(database === 'mysql' && !isFull);

    beforeAll(async () => {
      state = await mkdtemp(join(tmpdir(), 'operations-'));
      lab = await freshLab({ name: `ops-${database}`, database });
      vip = (lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100');
      await buildPair(lab.inventory, state);
    });
    afterAll(async () => {
      await lab?.down();
      await rm(state, { recursive: true, force: true });
    });

    test('a switch stops writes for a moment and loses no acknowledged row', async () => {
      await moveUnderWrites('switch', 'dbk1', 'dbk2');
      const now = await status();
      expect(rolesOf(now)).toEqual(['standby', 'primary']);
      expect(now.state).toBe('running');
    });

    test('failback goes back as smoothly, once', async () => {
      await moveUnderWrites('failback', 'dbk2', 'dbk1');
      expect(rolesOf(await status())).toEqual(['primary', 'standby']);
      const again = await well('failback');
      expect(again.changed).toEqual([]);
    });

    test('a dangerous playbook does not begin without its code', async () => {
      const env = { DRILLBOOK_STATE: state };
      const said = await drillbook(['run', 'playbooks/dbackup/switch.yml', '-i', lab.inventory], { env });
      expect(said.code).toBe(5);
      expect(rolesOf(await status())).toEqual(['primary', 'standby']);
    });

    test('a switch is refused while replication is broken, and a resync mends it', async () => {
      // A row that only the standby has, under the number that the primary gives next.
      await sql(
        'dbk2',
        `SET SESSION sql_log_bin = 0; ${database === 'mysql' ? 'SET GLOBAL super_read_only = 0;' : ''}
       INSERT INTO dbackup3.jobs (id, name, node, created_at)
       SELECT MAX(id) + n, 'astray', 'dbk2', MAX(created_at) FROM dbackup3.jobs, (SELECT 1 n UNION SELECT 2 UNION SELECT 3) numbers GROUP BY n;
       ${database === 'mysql' ? 'SET GLOBAL super_read_only = 1;' : ''}`,
      );
      const client = writer(vip, 'conflict ');
      await expect.poll(client.count, { timeout: 30_000 }).toBeGreaterThan(5);
      await client.stop();
      await expect.poll(async () => (await status()).replication.state, { timeout: 30_000 }).toBe('broken');

      const refused = await run('switch');
      expect(refused.code).toBe(1);
      expect(refused.failed).toEqual(['Replication is normal']);
      expect(refused.told).toContain('resync');
      expect(refused.changed).toEqual([]);
      expect(rolesOf(await status())[0]).toBe('primary');

      await well('resync');
      expect((await status()).replication.state).toBe('normal');
      const rows = 'SELECT id, name FROM dbackup3.jobs ORDER BY id';
      expect(await sql('dbk2', rows)).toBe(await sql('dbk1', rows));
      expect(await sql('dbk2', rows)).not.toContain('astray');
      await moveUnderWrites('switch', 'dbk1', 'dbk2');
      await well('failback');
    });

    once('heartbeats and VIPs are edited as foreseen, once, and back', async () => {
      const text = await readFile(lab.inventory, 'utf8');
      const edited = join(state, 'edited.yml');
      await writeFile(edited, text.replaceAll(/\.100$/gm, '.101'), { mode: 0o600 });
      const foreseen = await run('edit', edited, true);
      expect(foreseen.code, foreseen.told).toBe(0);
      const done = await well('edit', edited);
      expect(foreseen.unforeseen).toEqual([]);
      expect(foreseen.changed).toEqual(done.changed);
      expect(done.changed.length).toBeGreaterThan(0);
      const now = await status(edited);
      expect(now.vips.map(({ address, holders }) => [address.endsWith('.101'), holders])).toEqual([
        [true, ['dbk1']],
        [true, ['dbk1']],
      ]);
      expect((await fetch(`http://${vip.replace(/\.100$/, '.101')}/health`)).status).toBe(200);
      expect((await lab.ssh('dbk1', 'ip -o address')).stdout).not.toContain(`${vip}/`);
      expect((await well('edit', edited)).changed).toEqual([]);
      await well('edit');
      expect((await status()).state).toBe('running');
    });

    once(
      'the pair is powered off and on again, and keeps its rows and roles',
      async () => {
        const before = await sql('dbk1', 'SELECT COUNT(*) FROM dbackup3.jobs');
        await well('power-off');
        expect((await lab.status()).every(({ pid }) => pid === undefined)).toBe(true);
        await well('power-on');
        const now = await status();
        expect(rolesOf(now)).toEqual(['primary', 'standby']);
        expect(now.state).toBe('running');
        expect(await sql('dbk1', 'SELECT COUNT(*) FROM dbackup3.jobs')).toBe(before);
        expect((await fetch(`http://${vip}/health`)).status).toBe(200);
      },
      240_000,
    );

    once(
      'a drill measures what an independent client sees, and finds every row that is lost',
      async () => {
        await drillUnderProbe({ lab, vip, state });
        expect(rolesOf(await status())).toEqual(['standby', 'primary']);
      },
      180_000,
    );

    once(
      'a fault heals itself when the engine dies, and what it held is nobody’s',
      async () => {
        await killedInMidFault({ lab, state, vip });
        await well('failback');
        expect(rolesOf(await status())).toEqual(['primary', 'standby']);
      },
      180_000,
    );

    /** Builds the cluster, its process killed when a step has ended, and goes on with `resume`. */
    async function buildKilledAndResumed(lastStep: string): Promise<void> {
      const env = { DRILLBOOK_STATE: join(state, 'killed') };
      const args = ['playbooks/dbackup/cluster-build.yml', '-i', lab.inventory];
      const code = await codeOf(args, env);
      const child = start(['run', ...args, '--yes', code, '--output', 'jsonl'], {
        env,
        onLine: (line) => {
          if (line.includes('"step_finished"') && line.includes(lastStep)) child.kill('SIGKILL');
        },
      });
      const killed = await child.ended;
      expect(killed.signal).toBe('SIGKILL');
      const resumed = await drillbook(['resume', '--on-interrupt', 'rerun', '--output', 'jsonl'], { env });
      expect(resumed.code, resumed.stderr).toBe(0);
      const stepsOf = (said: typeof killed): string[] =>
        eventsOf(said).flatMap((event) =>
          event.event === 'step_finished' ? [`${event.step} on ${event.host}`] : [],
        );
      const before = stepsOf(killed);
      expect(before.length).toBeGreaterThan(10);
      // The last line seen may not have reached the journal: that step is looked at again.
      expect(stepsOf(resumed).filter((step) => before.slice(0, -2).includes(step))).toEqual([]);
    }

    once(
      'a dissolved cluster still answers by the VIP, and is built again by a run that is killed and resumed',
      async () => {
        await well('dissolve');
        const apart = await status();
        expect(apart.replication.state).toBe('absent');
        expect(rolesOf(apart)).toEqual(['free', 'free']);
        expect((await fetch(`http://${vip}/health`)).status).toBe(200);
        await buildKilledAndResumed('the-node-knows-of-its-cluster');
        expect((await status()).state).toBe('running');
      },
    );

    once('remains of a cluster are cleaned away, and it can be built again', async () => {
      // As the page leaves it: ha.info is gone on one node, the rest stays.
      const agent = '/var/opt/scutech/dbackup3/agent';
      await lab.ssh('dbk1', `rm ${agent}/ha.info; touch ${agent}/standby/of-somebody-else`);
      await well('clean-remains');
      for (const { name } of lab.nodes) {
        const { stdout } = await lab.ssh(name, `ls ${agent}/ha.info ${agent}/standby 2>/dev/null; true`);
        expect(stdout.split('\n').filter((line) => line !== '' && !line.endsWith(':'))).toEqual(
          name === 'dbk1' ? ['of-somebody-else'] : [],
        );
      }
      expect((await lab.ssh('dbk2', 'systemctl is-active dbackup3-keepalived')).stdout.trim()).toBe(
        'inactive',
      );
      await well('cluster-build');
      expect((await status()).state).toBe('running');
    });
  });
