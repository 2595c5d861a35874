import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../../../engine/lab/state.ts';
import { type Lab } from '../../../engine/lab/lab.ts';
import type { Context } from '../../../engine/core/module.ts';
import { buildStandins } from '../../../engine/lab/standins/build.ts';
import { type Pair, openPair } from '../../cluster/_pair.ts';
import { freshLab } from '../../lab/_fresh.ts';
import { hostileOnNode } from '../_node-hostile.ts';
import { truthOnNode } from '../_node-truth.ts';
import { benchOn, pairSettings } from '../_pair-hostile.ts';
import { dbackupKinds } from '../_pair-truth.ts';

const NODES = ['dbk1', 'dbk2'] as const;
const VALIDATE = {
  mariadb: 'mariadbd --defaults-file=%s --user=mysql --help --verbose',
  mysql: 'mysqld --defaults-file=%s --user=mysql --validate-config',
} as const;

/** Gives out half of the dump, and the rest once the file is there. */
const HALVES = `#!/bin/sh
/usr/bin/\${0##*/} "$@" >/root/dump || exit
half=$(($(wc -c </root/dump) / 2))
head -c $half /root/dump
tries=0; while [ ! -e /root/go ] && [ $tries -lt 200 ]; do sleep 0.1; tries=$((tries + 1)); done
tail -c +$((half + 1)) /root/dump
rm /root/dump
`;

interface Settings {
  readonly database: {
    readonly config_file: string;
    readonly service: string;
    readonly replication: { readonly user: string; readonly password: string };
  };
  readonly heartbeats: readonly { readonly addresses: Readonly<Record<string, string>> }[];
  readonly vips: readonly { readonly address: string }[];
}

/** Waits for a condition; the sentence says what for. */
async function until(what: string, isSo: () => Promise<boolean>, limitMs = 30_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

// The tests of one server build on one another, as the playbooks do.
describe.each<Database>(['mariadb', 'mysql'])('%s', (database) => {
  let lab: Lab;
  let pair: Pair;
  let settings: Settings;
  const peerOf = (node: string): string => (node === 'dbk1' ? 'dbk2' : 'dbk1');
  const repl = (node: string) => ({
    user: settings.database.replication.user,
    host: settings.heartbeats[0]?.addresses[peerOf(node)],
    password: settings.database.replication.password,
    grants: [{ on: '*.*', privileges: ['REPLICATION SLAVE', 'REPLICATION CLIENT'] }],
  });
  const sh = async (node: string, script: string): Promise<string> => {
    const { code, stdout, stderr } = await lab.ssh(node, script);
    if (code !== 0) throw new Error(`${script}: ${stderr}`);
    return stdout;
  };
  const rows = async (node: string): Promise<unknown> =>
    (
      await pair.run(node, 'mysql.query', {
        query: 'SELECT id, text FROM notes ORDER BY id',
        database: 'dbackup3',
      })
    ).result['rows'];
  const write = (node: string, id: number, text: string) =>
    pair.run(node, 'mysql.execute', {
      statement: 'INSERT INTO notes VALUES (?, ?)',
      params: [id, text],
      database: 'dbackup3',
    });

  beforeAll(async () => {
    lab = await freshLab({ name: `pair-${database}`, database });
    pair = openPair(lab.inventory);
    settings = pair.cluster.settings as unknown as Settings;
  });
  afterAll(async () => {
    await pair.close();
    await lab.down();
  });

  test('the rendered configuration is accepted by the server itself', async () => {
    const { config_file: dest, service } = settings.database;
    for (const node of NODES) {
      const file = { src: 'mysqld.cnf.hbs', dest, validate: VALIDATE[database] };
      expect(await pair.reach(node, 'template', file)).not.toEqual([]);
      await sh(node, `systemctl restart ${service}`);
      const id = await pair.run(node, 'mysql.query', { query: 'SELECT @@server_id' });
      expect(id.result['value']).toBe(node === 'dbk1' ? 234 : 236);
    }
  });

  test('a query binds its values, and writes nothing', async () => {
    const bound = await pair.run('dbk1', 'mysql.query', {
      query: 'SELECT ? AS a, ? AS b, ? AS c',
      params: ["it's; --", 7, null],
    });
    expect(bound.result['row']).toEqual({ a: "it's; --", b: 7, c: null });
    await expect(pair.run('dbk1', 'mysql.query', { query: 'CREATE DATABASE oops' })).rejects.toThrow(
      'only reads',
    );
    await expect(pair.run('dbk1', 'mysql.query', { query: 'SELECT * FROM nowhere.none' })).rejects.toThrow(
      'refused',
    );
    const password = { login: { user: 'nobody', password: 'wrong' } };
    await expect(pair.run('dbk1', 'mysql.query', { query: 'SELECT 1', ...password })).rejects.toThrow(
      'Access denied',
    );
    await expect(
      pair.run('dbk1', 'mysql.query', { query: 'SELECT 1', login: { socket: '/no/such.sock' } }),
    ).rejects.toThrow('No database server answers');
  });

  test('an administrator who logs in by sudo reaches the server through its own client', async () => {
    await sh(
      'dbk1',
      "useradd -m -s /bin/sh ops && cp -r /root/.ssh /home/ops/ && chown -R ops /home/ops/.ssh && echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops",
    );
    const ops = openPair(lab.inventory, { user: 'ops', become: { user: 'root', method: 'sudo' } });
    try {
      const who = await ops.run('dbk1', 'mysql.query', {
        query: 'SELECT CURRENT_USER() AS who, ? AS text, NULL AS nothing',
        params: ['<&;$$>'],
      });
      expect(who.result['row']).toEqual({ who: 'root@localhost', text: '<&;$$>', nothing: null });
      await expect(ops.run('dbk1', 'mysql.query', { query: 'SELECT * FROM nowhere.none' })).rejects.toThrow(
        'refused',
      );
    } finally {
      await ops.close();
    }
  });

  test('an account is made as foreseen, once, and a wrong password is noticed', async () => {
    for (const node of NODES) {
      expect(await pair.reach(node, 'mysql.account', repl(node))).toHaveLength(2);
      expect(await pair.reach(node, 'mysql.account', repl(node))).toEqual([]);
    }
    const other = await pair.check('dbk1', 'mysql.account', { ...repl('dbk1'), password: 'another one' });
    expect(other.changes.map(({ what }) => what)).toEqual([expect.stringMatching(/^password of/)]);
  });

  test('privileges are added, and taken away only where that is asked for', async () => {
    const boss = {
      user: 'boss',
      password: 'b0ss "w\\rd',
      grants: [{ on: '*.*', privileges: ['ALL'], grant_option: true }],
    };
    expect(await pair.reach('dbk1', 'mysql.account', boss)).toHaveLength(2);
    const less = { ...boss, grants: [{ on: '*.*', privileges: ['PROCESS', 'RELOAD'] }] };
    expect((await pair.check('dbk1', 'mysql.account', less)).changes).toEqual([]);
    expect((await pair.reach('dbk1', 'mysql.account', { ...less, exact: true })).length).toBeGreaterThan(0);
    const { result } = await pair.check('dbk1', 'mysql.account', less);
    expect(result?.['grants']).toEqual([
      { on: '*.*', privileges: expect.arrayContaining(['PROCESS', 'RELOAD']), grant_option: false },
    ]);
    const login = { user: 'boss', password: 'b0ss "w\\rd', host: '127.0.0.1' };
    // By TCP and by password: caching_sha2_password has to ask the server for its key.
    expect(
      (await pair.run('dbk1', 'mysql.query', { query: 'SELECT 1', login: { ...login, host: 'localhost' } }))
        .result['value'],
    ).toBe(1);
    const bySocket = { user: 'boss', password: login.password };
    expect(
      (await pair.run('dbk1', 'mysql.query', { query: 'SELECT 1', login: bySocket })).result['value'],
    ).toBe(1);
    expect(await pair.reach('dbk1', 'mysql.account', { user: 'boss', state: 'absent' })).toHaveLength(1);
  });

  test('variables, a database and read_only come to what is wanted', async () => {
    expect(
      await pair.reach('dbk1', 'mysql.variables', {
        variables: { max_allowed_packet: '32M', sync_binlog: 1 },
      }),
    ).toEqual([{ what: 'variable max_allowed_packet', before: expect.any(String), after: '32M' }]);
    await expect(
      pair.check('dbk1', 'mysql.variables', { variables: { sync_binlogg: 1 } }),
    ).rejects.toMatchObject({ hint: 'did you mean `sync_binlog`?' });
    for (const node of NODES)
      expect(await pair.reach(node, 'mysql.database', { name: 'dbackup3', charset: 'utf8mb4' })).toHaveLength(
        1,
      );
    const on = await pair.reach('dbk2', 'mysql.read_only', { state: 'on' });
    expect(on).toEqual([{ what: 'read_only', before: 'off', after: database === 'mysql' ? 'super' : 'on' }]);
  });

  test('replication that could not log in is not begun', async () => {
    const wrong = { source: { password: 'wrong' } };
    await expect(pair.reach('dbk2', 'mysql.replication', wrong)).rejects.toThrow('Access denied');
    expect((await pair.check('dbk2', 'mysql.replication', { state: 'absent' })).changes).toEqual([]);
  });

  test('both nodes replicate from one another, and the check foresees exactly that', async () => {
    for (const node of NODES) {
      const changes = await pair.reach(node, 'mysql.replication');
      expect(changes.map(({ what }) => what)).toEqual([
        'replication source',
        'replication user',
        'replication threads',
      ]);
    }
    await pair.run('dbk1', 'mysql.execute', {
      statement: 'CREATE TABLE notes (id INT PRIMARY KEY, text VARCHAR(99))',
      database: 'dbackup3',
    });
    await write('dbk1', 1, 'ä < & \'"');
    await pair.reach('dbk2', 'mysql.replication', { state: 'caught_up' });
    expect(await rows('dbk2')).toEqual([{ id: 1, text: 'ä < & \'"' }]);
  });

  test('stopped threads are started again where they stood', async () => {
    expect(await pair.reach('dbk2', 'mysql.replication', { state: 'stopped' })).toHaveLength(1);
    await write('dbk1', 2, 'while stopped');
    await expect(pair.check('dbk2', 'mysql.replication', { state: 'caught_up' })).rejects.toThrow(
      'replication is stopped',
    );
    expect(await pair.reach('dbk2', 'mysql.replication')).toEqual([
      { what: 'replication threads', before: 'stopped', after: 'running' },
    ]);
    await pair.reach('dbk2', 'mysql.replication', { state: 'caught_up' });
    expect(await rows('dbk2')).toHaveLength(2);
  });

  test('semi-synchronous replication is switched on as foreseen, also on a strict standby, and off', async () => {
    const wanted = { state: 'on', timeout: '3s' };
    const name = (half: 'source' | 'replica'): string =>
      `rpl_semi_sync_${database === 'mysql' ? half : { source: 'master', replica: 'slave' }[half]}_enabled`;
    for (const node of NODES)
      expect((await pair.reach(node, 'mysql.semi_sync', wanted)).map(({ what }) => what)).toContain(
        `variable ${name('source')}`,
      );
    // The first one connected before the other could answer.
    expect(await pair.reach('dbk1', 'mysql.semi_sync', wanted)).toEqual([
      { what: 'receiving thread', before: 'asynchronous', after: 'semi-synchronous' },
    ]);
    for (const node of NODES) {
      const { changes, result } = await pair.check(node, 'mysql.semi_sync', wanted);
      expect([changes, result?.['is_waiting'], result?.['is_answering']]).toEqual([[], true, true]);
    }
    expect((await pair.check('dbk2', 'mysql.read_only', { state: 'on' })).changes).toEqual([]);
    for (const node of NODES) {
      const off = await pair.reach(node, 'mysql.semi_sync', { state: 'off' });
      expect(off.map(({ what }) => what)).toEqual([
        `variable ${name('source')}`,
        `variable ${name('replica')}`,
      ]);
    }
  });

  test('diverged data breaks it, no start mends that, and a resync does, both ways', async () => {
    await pair.reach('dbk2', 'mysql.read_only', { state: 'off' });
    await sh(
      'dbk2',
      `$(command -v mariadb || command -v mysql) dbackup3 -e "SET sql_log_bin = 0; INSERT INTO notes VALUES (3, 'by mistake')"`,
    );
    await pair.reach('dbk2', 'mysql.read_only', { state: 'on' });
    await write('dbk1', 3, 'right');
    await until('replication breaks', async () =>
      (await pair.status()).problems.some(({ code }) => code === 'replication-broken'),
    );
    await expect(pair.reach('dbk2', 'mysql.replication')).rejects.toMatchObject({
      message: expect.stringContaining('1062'),
      hint: expect.stringContaining('resync'),
    });
    await expect(pair.run('dbk1', 'mysql.resync')).rejects.toThrow('looks like the primary');
    const { result } = await pair.run('dbk2', 'mysql.resync');
    expect(result).toMatchObject({ state: 'running', source: 'dbk1', databases: ['dbackup3'] });
    expect(await rows('dbk2')).toEqual(await rows('dbk1'));
    expect((await pair.check('dbk2', 'mysql.read_only', { state: 'on' })).changes).toEqual([]);
    for (const node of NODES) expect((await pair.check(node, 'mysql.replication')).changes).toEqual([]);
    const guests = await pair.run('dbk1', 'mysql.query', {
      query: "SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'drillbook%'",
    });
    expect(Number(guests.result['value'])).toBe(0);
    await pair.reach('dbk2', 'mysql.read_only', { state: 'off' });
    await write('dbk2', 4, 'the other way');
    await pair.reach('dbk2', 'mysql.read_only', { state: 'on' });
    await pair.reach('dbk1', 'mysql.replication', { state: 'caught_up' });
    expect(await rows('dbk1')).toHaveLength(4);
  });

  test('a resync tells how much of the data it has copied', async () => {
    const client = `$(command -v mariadb || command -v mysql) dbackup3`;
    await sh(
      'dbk1',
      `(echo 'CREATE TABLE much (id INT PRIMARY KEY, text VARCHAR(99)); BEGIN;'
       seq 10000 | sed 's/.*/INSERT INTO much VALUES (&, REPEAT("x", 90));/'; echo 'COMMIT; ANALYZE TABLE much;') | ${client}`,
    );
    const seen: (number | undefined)[] = [];
    const ctx: Context = { ...pair.ctx('dbk2'), progress: (_, percent) => void seen.push(percent) };
    const name = (await sh('dbk2', 'basename $(command -v mariadb-dump || command -v mysqldump)')).trim();
    await pair.ctx('dbk2').put(`/usr/local/bin/${name}`, HALVES, 0o755);
    const { default: resync } = await import('../../../engine/modules/mysql/resync.ts');
    const copying = resync.run(ctx, resync.params.parse({}));
    await expect.poll(() => seen.at(-1), { timeout: 20_000 }).toBeGreaterThan(0);
    await sh('dbk2', 'touch /root/go');
    await copying;
    expect(seen.every((percent) => percent === undefined || (percent > 5 && percent < 100))).toBe(true);
    await sh('dbk2', `rm /usr/local/bin/${name} /root/go`);
  });

  test('the product is installed, and its Catalog moved by its own dialogue', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'drillbook-pair-'));
    try {
      const packages = (await buildStandins('dbackup', dir)).filter((file) => file.includes('_8.0-9_'));
      for (const node of NODES) {
        for (const file of packages)
          await pair.ctx(node).put(`/root/${basename(file)}`, await readFile(file));
        await sh(node, 'dpkg -i /root/*.deb && rm /root/*.deb');
      }
    } finally {
      await rm(dir, { recursive: true });
    }
    for (const node of NODES) {
      await expect(
        pair.reach(node, 'dbackup.catalog', { user: 'nobody', password: 'no-such-word' }),
      ).rejects.toThrow('cannot reach the database');
      expect((await pair.reach(node, 'dbackup.catalog', { host: 'localhost' })).length).toBeGreaterThan(0);
      expect((await pair.reach(node, 'dbackup.address', { address: '127.0.0.1' })).length).toBeLessThan(2);
    }
    await expect(pair.run('dbk1', 'dbackup.hactl', { command: 'status' })).rejects.toMatchObject({
      hint: expect.stringContaining('cluster-build'),
    });
    expect((await pair.status()).nodes.map(({ role }) => role)).toEqual(['free', 'free']);
  });

  test('the cluster is built, runs, and no second run changes it', async () => {
    const uuid = '0c2b6e0a-1f0e-4d0b-9b60-2f3c4d5e6f70';
    await pair.run('dbk2', 'mysql.resync');
    for (const node of NODES) {
      expect(await pair.reach(node, 'dbackup.ha_info', { primary: 'dbk1', uuid })).toHaveLength(1);
      await sh(node, 'systemctl restart dbackup3-agent');
      expect(await pair.reach(node, 'keepalived.config', { service: 'dbackup3-keepalived' })).toHaveLength(1);
      await sh(node, 'systemctl enable --now dbackup3-keepalived');
    }
    expect((await pair.run('dbk1', 'dbackup.hactl', { command: 'enable' })).isChanged).toBe(true);
    expect((await pair.run('dbk1', 'dbackup.hactl', { command: 'enable' })).isChanged).toBe(false);
    expect((await pair.run('dbk1', 'dbackup.hactl', { command: 'promote' })).isChanged).toBe(false);
    await until('it runs', async () => (await pair.status()).state === 'running');
    expect((await pair.status()).problems).toEqual([]);
  });

  test('keepalived refuses a broken configuration, and a good one costs no VIP', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'drillbook-pair-'));
    const good = await readFile('templates/keepalived.conf.hbs', 'utf8');
    const config = { service: 'dbackup3-keepalived', src: join(dir, 'keepalived.conf.hbs') };
    const { writeFile } = await import('node:fs/promises');
    try {
      const before = await sh('dbk1', 'cat /etc/keepalived/keepalived.conf');
      await writeFile(config.src, good.replace('virtual_router_id', 'virtual_rooter_id'));
      await expect(pair.reach('dbk1', 'keepalived.config', config)).rejects.toThrow('keepalived refuses');
      expect(
        await sh(
          'dbk1',
          'cat /etc/keepalived/keepalived.conf; ls /etc/keepalived/*.drillbook 2>/dev/null || :',
        ),
      ).toBe(before);
      await writeFile(config.src, good.replace('advert_int 0.2', 'advert_int 0.3'));
      for (const node of NODES) await pair.reach(node, 'keepalived.config', config);
      const { result } = await pair.check('dbk1', 'keepalived.config', config);
      expect(result?.['vips_after']).toEqual(settings.vips.map(({ address }) => address));
      await writeFile(
        config.src,
        good.replace(
          /\{\{#each cluster.settings.vips[\s\S]*?\{\{\/each\}\}/,
          '        192.0.2.1/32 dev eth1',
        ),
      );
      const given = (await pair.check('dbk1', 'keepalived.config', config)).changes.filter(
        ({ after }) => after === 'given up',
      );
      expect(given).toHaveLength(settings.vips.length);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('a switch moves role, VIPs and writes to the other node', async () => {
    await until(
      'dbk2 is on stand-by',
      async () =>
        (await pair.run('dbk1', 'cluster.status', { expect: { state: 'running' } })).failed === undefined,
    );
    expect((await pair.run('dbk1', 'dbackup.hactl', { command: 'demote' })).result['role']).toBe('standby');
    expect((await pair.run('dbk2', 'dbackup.hactl', { command: 'promote' })).result).toMatchObject({
      role: 'primary',
      backupd: 'running',
    });
    await until('it runs the other way round', async () => {
      const expected = {
        state: 'running',
        roles: { dbk1: 'standby', dbk2: 'primary' },
        replication: 'normal',
        vips: { [settings.vips[0]?.address ?? '']: 'dbk2' },
      };
      return (await pair.run('dbk1', 'cluster.status', { expect: expected })).failed === undefined;
    });
    const wrong = await pair.run('dbk1', 'cluster.status', { expect: { roles: { dbk1: 'primary' } } });
    expect(wrong.failed).toContain('dbk1 is standby, not primary');
  });

  test('a cut heartbeat and a lost node are told', async () => {
    await lab.cut('dbk1', 'net2');
    await until('the heartbeat fails', async () =>
      (await pair.status()).problems.some(({ code }) => code === 'heartbeat-failed'),
    );
    await lab.heal('dbk1', 'net2');
    await until('the heartbeat is back', async () =>
      (await pair.status()).heartbeats.every(({ state }) => state === 'ok'),
    );
    await lab.powerOff('dbk1');
    await until(
      'the node is missed',
      async () => {
        const { nodes, state, problems } = await pair.status();
        return (
          nodes[0]?.online === false &&
          state === 'error' &&
          problems.some(({ code }) => code === 'node-offline')
        );
      },
      60_000,
    );
    await lab.powerOn('dbk1');
  }, 180_000);

  test('nothing of a deleted cluster is left', async () => {
    for (const node of NODES) {
      const files = (await pair.reach(node, 'dbackup.ha_info', { state: 'absent' })).map(({ what }) => what);
      expect(files).toEqual([
        '/var/opt/scutech/dbackup3/agent/ha.info',
        '/var/opt/scutech/dbackup3/agent/standby/0c2b6e0a-1f0e-4d0b-9b60-2f3c4d5e6f70',
      ]);
      expect(await pair.reach(node, 'mysql.replication', { state: 'absent' })).toHaveLength(1);
    }
  });

  // Of what is done with a text the server is of no matter.
  describe.runIf(database === 'mariadb')('of these modules', () => {
    beforeAll(async () => {
      await pair.reach('dbk1', 'mysql.read_only', { state: 'off' });
      await pair.reach('dbk2', 'mysql.read_only', { state: 'on' });
    });
    truthOnNode(() => benchOn(pair, 'dbk2'), dbackupKinds);
    hostileOnNode(
      () => benchOn(pair, 'dbk2'),
      pairSettings(() => pair),
    );
  });
});
