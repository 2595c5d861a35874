import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import type { Database } from '../../engine/lab/state.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { dying, report } from '../run/_matrix.ts';
import { codeOf, playbook, statusOf } from './_playbook.ts';
import type { Ran } from './_playbook.ts';
import { readJobs, writer } from './_writer.ts';

/** Both servers in `npm run matrix`, for the time it takes. */
const DATABASES: readonly Database[] = isFull ? ['mariadb', 'mysql'] : ['mariadb'];

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
    for (const name of ['install', 'catalog', 'cluster-build']) {
      const done = await run(name);
      expect(done.code, done.told).toBe(0);
    }
  }, 600_000);
  afterAll(async () => {
    await lab?.down();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  /** The pair serves as it did, and nothing of it is of the new release. */
  async function isUntouched(): Promise<void> {
    expect(await releases()).toEqual(['8.0-9', '8.0-9']);
    await expect
      .poll(async () => (await status()).nodes.map(({ role }) => role), { timeout: 30_000 })
      .toEqual(['primary', 'standby']);
  }

  test('a package that does not come up on the standby: the standby is put back, the primary not touched', async () => {
    const packages = join(folder, 'packages');
    const [, from = ''] = /dbackup_packages: (.*)/.exec(await readFile(lab.inventory, 'utf8')) ?? [];
    await cp(from, packages, { recursive: true });
    const broken = join(packages, 'dbackup3-agent-mysql_8.0-10_amd64.deb');
    await writeFile(broken, (await readFile(broken)).subarray(0, 600));
    const ran = await run('upgrade', wish(`packages=${packages}`));
    expect([ran.code, ran.told]).toEqual([4, expect.stringContaining('The primary was not touched')]);
    await isUntouched();
    await rm(packages, { recursive: true });
    expect((await run('start')).code).toBe(0);
  }, 300_000);

  test('a pair whose replication is stopped is not begun with', async () => {
    await sql('dbk2', 'STOP SLAVE');
    const ran = await run('upgrade', wish());
    expect([ran.code, ran.failed]).toEqual([1, ['The pair is whole']]);
    await isUntouched();
    await sql('dbk2', 'START SLAVE');
  }, 300_000);

  test('under a steady writer, by an engine that dies again and again: no row is lost, roles as before', async () => {
    const prefix = 'upgrade ';
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
      dies: `after each ${join(folder, 'met')} ${isFull ? 5 : 20}`,
    }));
    const countThen = client.count();
    await expect.poll(client.count, { timeout: 30_000 }).toBeGreaterThan(countThen + 30);
    const { acknowledged, longestGapMs, nodes } = await client.stop();
    report(
      `upgrade on ${database}: died ${deaths} times, ${acknowledged.length} rows, none for ${longestGapMs} ms`,
    );
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
  }, 600_000);
});
