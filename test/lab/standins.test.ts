import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildStandins } from '../../engine/lab/standins/build.ts';
import type { Database } from '../../engine/lab/state.ts';
import { isFull } from '../_full.ts';
import { readJobs, writer } from '../playbooks/_writer.ts';
import { downOwn } from './_fresh.ts';
import {
  HACTL,
  PASSWORD,
  administrator,
  buildCluster,
  install,
  upPair,
  type Pair,
} from './_standins-pair.ts';

const run = promisify(execFile);

describe('the packages', () => {
  let folders: string[];
  let debs: string[];
  beforeAll(async () => {
    folders = await Promise.all(['a', 'b'].map((name) => mkdtemp(join(tmpdir(), `standins-${name}-`))));
    debs = await buildStandins('dbackup', folders[0] ?? '');
  });
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  test('come out the same, byte for byte, from the same sources', async () => {
    const again = await buildStandins('dbackup', folders[1] ?? '');
    const digest = async (path: string): Promise<string> =>
      `${basename(path)} ${createHash('sha256')
        .update(await readFile(path))
        .digest('hex')}`;
    expect(await Promise.all(again.map(digest))).toEqual(await Promise.all(debs.map(digest)));
    expect(debs).toHaveLength(18);
  });

  test('say of themselves that they are stand-ins', async () => {
    for (const deb of debs) {
      const { stdout } = await run('dpkg-deb', ['--field', deb, 'Description']);
      expect(stdout).toContain('stand-in, not the product');
    }
  });

  test('hold hactl, the init scripts and the units where the user guide has them', async () => {
    const lists = await Promise.all(
      debs.map(async (deb) => (await run('dpkg-deb', ['--contents', deb])).stdout),
    );
    const all = lists.join('');
    for (const path of [
      './opt/scutech/dbackup3/bin/hactl',
      './opt/scutech/dbackup3/bin/config',
      './opt/scutech/dbackup3/bin/migrate',
      './etc/init.d/dbackup3-backupd',
      './etc/init.d/dbackup3-agent',
      './lib/systemd/system/dbackup3-keepalived.service',
    ])
      expect(all).toContain(` ${path}\n`);
  });
});

const dialogue = (password: string): [string, string][] => [
  ['MySQL host[127.0.0.1]: ', ''],
  ['MySQL port[3306]: ', ''],
  ['MySQL user[', 'catalog'],
  ['MySQL password: ', password],
  ['restart backupd? [Y]: ', 'N'],
];
const CONFIG = '/etc/init.d/dbackup3-backupd config mysql';
const OLD_CONF = '/var/opt/scutech/dbackup3/backupd/database-conf.d/mysql.conf';
const sql = 'sql=$(command -v mariadb || command -v mysql)';

// On MySQL `npm test` has them in the tests of the playbooks.
describe.each<Database>(isFull ? ['mariadb', 'mysql'] : ['mariadb'])('two nodes with %s', (database) => {
  const name = `standins-${database}`;
  let pair: Pair;
  const hactl = (node: string, verb: string): Promise<string> =>
    pair.answer(node, `${HACTL} ${verb}`, [['[y/N]: ', 'y']]);
  const primary = async (): Promise<readonly [string, string]> =>
    (await pair.status('dbk1')).get('role') === 'Primary' ? ['dbk1', 'dbk2'] : ['dbk2', 'dbk1'];
  const settled = (state: string): Promise<void> =>
    expect
      .poll(async () => [await pair.status('dbk1'), await pair.status('dbk2')].map(look), { timeout: 30_000 })
      .toEqual([`${state} normal`, `${state} normal`]);
  const look = (status: ReadonlyMap<string, string>): string =>
    `${status.get('state') ?? ''} ${status.get('replication') ?? ''}`;

  beforeAll(async () => {
    pair = await upPair(name, database);
    await install(pair, '8.0-9');
  });
  afterAll(() => downOwn(name), 60_000);

  test('serve from SQLite after the installation, each on its own', async () => {
    const page = JSON.parse(await pair.sh('dbk1', 'curl -fsS localhost/status.json')) as object;
    expect(page).toMatchObject({
      node: 'dbk1',
      role: 'unclustered',
      connector: 'sqlite',
      rows: 0,
      standIn: true,
    });
    await pair.sh('dbk1', `curl -fsS -d '{"name":"before"}' localhost/jobs`);
    expect(await pair.sh('dbk1', 'systemctl is-active keepalived dbackup3-keepalived || true')).not.toMatch(
      /^active/m,
    );
  });

  test('take the Catalog to MySQL by the dialogue, which shows no password and believes no wrong one', async () => {
    const literal = PASSWORD.replaceAll('\\', '\\\\');
    for (const node of ['dbk1', 'dbk2']) {
      await pair.sh(
        node,
        `${sql}; cat <<'END' | $sql
CREATE USER catalog@'%' IDENTIFIED BY '${literal}';
GRANT ALL ON *.* TO catalog@'%' WITH GRANT OPTION;
END`,
      );
      await expect(pair.answer(node, CONFIG, dialogue('wrong'))).rejects.toThrow(
        'connectivity failed: ERROR 1045',
      );
      const shown = await pair.answer(node, CONFIG, dialogue(PASSWORD));
      expect(shown).toContain('Test MySQL connectivity OK!');
      expect(shown).not.toContain(PASSWORD);
    }
    const listed = await pair.sh('dbk1', '/opt/scutech/dbackup3/bin/config db list -n common');
    expect(listed).toBe(
      'name: common\nconnector: mysql\nhost: 127.0.0.1\nport: 3306\nuser: catalog\npassword: ******\n',
    );
    expect(await pair.sh('dbk1', 'stat -c %a /var/opt/scutech/dbackup3/common/mysql.conf')).toBe('600\n');
  });

  test('keep to the connection of an older release until the dialogue may delete it', async () => {
    const old = `printf '[client]\\nhost=127.0.0.1\\nport=3306\\nuser=old\\npassword="old"\\n' > ${OLD_CONF}`;
    await pair.sh('dbk1', `umask 077; ${old}`);
    expect(await pair.sh('dbk1', '/opt/scutech/dbackup3/bin/config db list -n common')).toContain(
      'user: old',
    );
    const question: [string, string] = [`${OLD_CONF}. Do you want to delete it?[y/N]: `, 'n'];
    await pair.answer('dbk1', CONFIG, [question, ...dialogue(PASSWORD)]);
    expect(await pair.sh('dbk1', '/opt/scutech/dbackup3/bin/config db list -n common')).toContain(
      'user: old',
    );
    await pair.answer('dbk1', CONFIG, [[question[0], 'y'], ...dialogue(PASSWORD)]);
    expect(await pair.sh('dbk1', '/opt/scutech/dbackup3/bin/config db list -n common')).toContain(
      'user: catalog',
    );
  });

  test('migrate their rows, but not while backupd runs', async () => {
    const migrate = '/opt/scutech/dbackup3/bin/migrate sqlite mysql';
    await expect(pair.answer('dbk1', migrate, [])).rejects.toThrow('backupd is running');
    for (const node of ['dbk1', 'dbk2']) {
      await pair.sh(node, '/etc/init.d/dbackup3-backupd stop');
      const shown = await pair.answer(node, migrate, [
        ['migrate Queue from sqlite to mysql, continue?[y/N]: ', 'y'],
        ['migrate Catalog from sqlite to mysql, continue?[y/N]: ', 'y'],
      ]);
      expect(shown).toContain('migrate success.');
      await pair.sh(node, '/etc/init.d/dbackup3-backupd restart');
    }
    expect(await pair.sh('dbk1', 'curl -fsS localhost/jobs')).toContain('"name": "before"');
  });

  test('become a cluster: one Primary with the VIPs, one Standby that says so', async () => {
    await buildCluster(pair, database);
    await settled('stopped');
    const status = await pair.status('dbk1');
    for (const [key, value] of [
      ['role', 'Primary'],
      ['backupd', 'running'],
      ['database', 'writable'],
      ['peer state', 'disabled'],
      [`vip ${pair.vips[1]}`, 'mounted'],
    ] as const)
      expect([key, status.get(key)]).toEqual([key, value]);
    expect(await pair.sh('dbk2', `curl -s -o /dev/null -w '%{http_code}' localhost/`)).toBe('503');
    const remains = await pair.sh('dbk2', 'cat /var/opt/scutech/dbackup3/agent/standby/6ec5a9d4*');
    expect(remains).toBe('agent=standby.backupd.dbk2\n');
  });

  test('change places under a writing client: no acknowledged row is lost, the gap is short', async () => {
    await pair.sh('dbk1', `${HACTL} enable`);
    await settled('running');
    const client = writer(pair.vips[0], 'switch-');
    const administrators = ['a', 'b', 'c'].map((one) => administrator(pair.vips[0], `switch-${one}`));
    await expect.poll(client.count, { timeout: 60_000 }).toBeGreaterThan(20);
    expect(await hactl('dbk1', 'demote')).toContain('demote success.');
    expect(await hactl('dbk2', 'promote')).toContain('promote success.');
    const before = client.count();
    await expect.poll(client.count, { timeout: 60_000 }).toBeGreaterThan(before + 20);
    const written = await client.stop();
    const entered = (await Promise.all(administrators.map((one) => one.stop()))).flat();
    expect(written.nodes).toEqual(['dbk1', 'dbk2']);
    expect(written.longestGapMs).toBeLessThan(2000);
    const found = new Set((await readJobs(pair.vips[0], 'switch-')).map((job) => job.name));
    expect([...written.acknowledged, ...entered].filter((row) => !found.has(row))).toEqual([]);
    expect(entered.length).toBeGreaterThan(100);
    await settled('running');
  });

  test('refuse a second Primary, and a promotion that would lose rows', async () => {
    const [active, standby] = await primary();
    await expect(hactl(standby, 'promote')).rejects.toThrow(`${active} is Primary`);
    await pair.sh(active, `${HACTL} disable`);
    await pair.sh(standby, `${sql}; $sql -e 'STOP ${database === 'mariadb' ? 'SLAVE' : 'REPLICA'}'`);
    await hactl(active, 'demote');
    await expect(hactl(standby, 'promote')).rejects.toThrow('replication is broken');
    expect((await pair.status(standby)).get('database')).toBe('read-only');
    await pair.sh(standby, `${sql}; $sql -e 'START ${database === 'mariadb' ? 'SLAVE' : 'REPLICA'}'`);
    await hactl(active, 'promote');
    await settled('stopped');
  });

  test('fail over by themselves when backupd is gone, and do not while failover is off', async () => {
    const [active, standby] = await primary();
    await pair.sh(active, 'systemctl stop dbackup3-backupd');
    const check = () => pair.sh(active, '/opt/scutech/dbackup3/bin/ha-check && echo may');
    await expect.poll(check, { timeout: 30_000 }).toBe('may\n');
    expect((await pair.status(standby)).get('role')).toBe('Standby');
    await pair.sh(standby, `${HACTL} enable`);
    await expect
      .poll(async () => (await pair.status(standby)).get('role'), { timeout: 30_000 })
      .toBe('Primary');
    await expect
      .poll(async () => (await pair.status(standby)).get(`vip ${pair.vips[0]}`), { timeout: 10_000 })
      .toBe('mounted');
    await pair.sh(active, 'systemctl start dbackup3-backupd');
    await settled('running');
  });

  test('leave the former Primary a Standby when it comes back from a power failure', async () => {
    const [active, standby] = await primary();
    await pair.lab.powerOff(active);
    await expect
      .poll(async () => (await pair.status(standby)).get('role'), { timeout: 30_000 })
      .toBe('Primary');
    await pair.lab.powerOn(active);
    await expect
      .poll(async () => (await pair.status(active)).get('role'), { timeout: 60_000 })
      .toBe('Standby');
    await settled('running');
  });

  test('are upgraded with their configuration kept, and never go back to an older schema', async () => {
    await pair.sh('dbk1', `${HACTL} disable`);
    await settled('stopped');
    const [active] = await primary();
    await install(pair, '8.0-10');
    await settled('stopped');
    expect(await primary()).toContain(active);
    const page = await pair.sh(active, 'curl -fsS localhost/status.json');
    expect(JSON.parse(page)).toMatchObject({
      release: '8.0-10',
      schema: 10,
      role: 'primary',
      connector: 'mysql',
    });
    await pair.sh(active, 'dpkg -i /root/debs/dbackup3-common_8.0-9_*.deb; systemctl stop dbackup3-backupd');
    await expect(pair.sh(active, 'systemctl start dbackup3-backupd')).rejects.toThrow('exit');
    expect(await pair.sh(active, 'journalctl -u dbackup3-backupd -n 20 --no-pager')).toContain(
      'the Catalog has schema 10, release 8.0-9 knows 9 at most',
    );
  });

  test('are purged without a trace, but for the Catalog in the database', async () => {
    await pair.sh('dbk2', `dpkg --purge $(dpkg-query -W -f '\${Package} ' 'dbackup3-*')`);
    const left = await pair.sh(
      'dbk2',
      `find / -xdev \\( -name '*dbackup3*' -o -path '*scutech*' \\) -not -path '/root/*' -not -path '/var/lib/mysql/*'`,
    );
    expect(left).toBe('');
    expect(await pair.sh('dbk2', "systemctl list-units --no-legend 'dbackup3*'")).toBe('');
  });
});
