import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { drillbook } from '../cli/_drillbook.ts';
import { freshLab } from '../lab/_fresh.ts';
import { buildPair, playbook, statusOf } from './_playbook.ts';
import type { Ran } from './_playbook.ts';

const NAME = 'drl-recover';

/** The guide's disasters (8), each beginning and ending with a whole pair whose primary is dbk1. */
describe.skipIf(!isFull)('recovery as an operator has it', () => {
  let lab: Lab;
  let state: string;

  const run = (name: string, ...extra: readonly string[]): Promise<Ran> =>
    playbook(name, lab.inventory, { state, extra });
  async function well(name: string, ...extra: readonly string[]): Promise<Ran> {
    const done = await run(name, ...extra);
    expect(done.code, done.told).toBe(0);
    return done;
  }
  const roles = async (): Promise<string[]> => (await statusOf(lab.inventory)).nodes.map(({ role }) => role);
  const holders = async (): Promise<string[]> => [
    ...new Set((await statusOf(lab.inventory)).vips.map((vip) => vip.holders.join())),
  ];
  async function sql(node: string, statements: string): Promise<string> {
    const { code, stdout, stderr } = await lab.ssh(node, 'mysql -BN', { stdin: statements });
    if (code !== 0) throw new Error(stderr);
    return stdout.trim();
  }
  async function sh(node: string, script: string): Promise<void> {
    const { code, stderr } = await lab.ssh(node, script);
    expect([code, stderr]).toEqual([0, '']);
  }
  /** replicate-do-db goes by the database in use. */
  const write = (node: string, name: string): Promise<string> =>
    sql(node, `USE dbackup3; INSERT INTO jobs (name, node, created_at) VALUES ('${name}', '${node}', 'now')`);
  const written = (node: string, name: string): Promise<string> =>
    sql(node, `SELECT COUNT(*) FROM dbackup3.jobs WHERE name = '${name}'`);
  async function obligations(): Promise<readonly [number | null, readonly string[]]> {
    const said = await drillbook(['obligations', '-i', lab.inventory, '--output', 'json'], {
      env: { DRILLBOOK_STATE: state },
    });
    const { obligations: rows } = JSON.parse(said.stdout) as {
      obligations: readonly { obligation: string; state: string }[];
    };
    return [said.code, rows.map((row) => `${row.obligation} ${row.state}`)];
  }

  /** dbk1 stands by with the row, nothing more is to be done, and dbk1 is primary again. */
  async function isRecovered(name: string, row: string): Promise<void> {
    expect([(await statusOf(lab.inventory)).state, await roles()]).toEqual([
      'running',
      ['standby', 'primary'],
    ]);
    await expect.poll(() => written('dbk1', row), { timeout: 20_000 }).toBe('1');
    expect((await well(name)).changed).toEqual([]);
    await well('failback');
    expect(await roles()).toEqual(['primary', 'standby']);
  }

  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), 'recover-'));
    lab = await freshLab({ name: NAME, database: 'mariadb' });
    await buildPair(lab.inventory, state);
  });
  afterAll(async () => {
    await lab?.down();
    await rm(state, { recursive: true, force: true });
  }, 60_000);

  test('service: a node that is off is told and owed, the other serves; back, it stands by with all rows', async () => {
    await lab.powerOff('dbk1');
    await expect.poll(roles, { timeout: 60_000 }).toContain('primary');
    const alone = await run('recover-service');
    expect([alone.code, alone.failed.filter((name) => name !== 'dbk1 answers')]).toEqual([
      4,
      ['dbk1 is back'],
    ]);
    expect(await obligations()).toEqual([4, ['not-recovered@dbk1 open']]);
    await write('dbk2', 'while off');
    await lab.powerOn('dbk1');
    await well('recover-service');
    expect(await obligations()).toEqual([0, ['not-recovered@dbk1 put_right']]);
    await isRecovered('recover-service', 'while off');
    expect(await obligations()).toEqual([0, []]);
  }, 600_000);

  test('link: without failover nobody is promoted on a guess; back, the former primary gives way', async () => {
    await well('stop');
    for (const link of ['net1', 'net2'] as const) await lab.cut('dbk1', link);
    await expect
      .poll(async () => (await statusOf(lab.inventory)).heartbeats.map((one) => one.state), {
        timeout: 60_000,
      })
      .toEqual(Array(4).fill('failed'));
    const guess = await run('recover-link');
    expect([guess.code, guess.failed]).toEqual([1, ['Nobody is promoted on a guess']]);
    expect(guess.told).toContain('give -e cut_off=dbk1');
    expect(await roles()).toEqual(['primary', 'standby']);
    const during = await run('recover-link', 'cut_off=dbk1');
    expect([during.code, during.failed.at(-1)]).toEqual([4, 'Every heartbeat is back']);
    expect(await obligations()).toEqual([4, expect.arrayContaining([`not-recovered@${NAME} open`])]);
    expect((await roles())[1]).toBe('primary');
    await write('dbk2', 'while cut');
    for (const link of ['net1', 'net2'] as const) await lab.heal('dbk1', link);
    await well('recover-link');
    await well('start');
    await isRecovered('recover-link', 'while cut');
    expect((await obligations())[0]).toBe(0);
  }, 600_000);

  test('data centre: a database that does not start is told; mended, its Catalog becomes a copy again', async () => {
    await sh(
      'dbk1',
      'mysql -e "SET sql_log_bin = 0; DROP TABLE dbackup3.jobs" && chmod 0 /var/lib/mysql && pkill -KILL mariadbd',
    );
    await expect.poll(async () => (await roles())[1], { timeout: 60_000 }).toBe('primary');
    const during = await run('recover-datacenter');
    expect([during.code, during.failed]).toEqual([1, ['Database, agent and keepalived of dbk1 run']]);
    expect(during.told).toMatch(/mariadb/);
    await write('dbk2', 'without it');
    await sh('dbk1', 'chmod 755 /var/lib/mysql');
    const after = await well('recover-datacenter');
    expect(after.changed.join('\n')).toContain("becomes a copy of the primary's");
    await isRecovered('recover-datacenter', 'without it');
  }, 600_000);

  test('split brain: once the heartbeats are back the former primary gives way', async () => {
    const peer = `{ ${lab.nodes[1]?.addresses.net1}, ${lab.nodes[1]?.addresses.net2} }`;
    await sh(
      'dbk1',
      `nft -f - <<'END'
table inet apart {
  chain in { type filter hook input priority 0; ip saddr ${peer} drop; }
  chain out { type filter hook output priority 0; ip daddr ${peer} drop; }
}
END`,
    );
    await expect.poll(roles, { timeout: 60_000 }).toEqual(['primary', 'primary']);
    await write('dbk2', 'on the other side');
    await sh('dbk1', 'nft delete table inet apart');
    await expect.poll(holders, { timeout: 60_000 }).toEqual(['dbk2']);
    await well('recover-split-brain');
    await isRecovered('recover-split-brain', 'on the other side');
  }, 600_000);
});
