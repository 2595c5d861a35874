import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Outcome } from '../../engine/core/module.ts';
import { type Lab } from '../../engine/lab/lab.ts';
import type { Database } from '../../engine/lab/state.ts';
import { openPair } from '../cluster/_pair.ts';
import type { Pair } from '../cluster/_pair.ts';
import { buildPair } from '../playbooks/_playbook.ts';
import { isFull } from '../_full.ts';
import { shells } from './_shells.ts';
import { everyCut, live, liveOn, newAttempt } from './_taking.ts';
import type { Cut, Stage } from './_taking.ts';
import { freshLab } from '../lab/_fresh.ts';

/** Dumps are counted, and held while the file is there. */
const DUMP = `#!/bin/sh
echo dumped >>/root/dumps
tries=0; while [ -e /root/hold ] && [ $tries -lt 200 ]; do sleep 0.1; tries=$((tries + 1)); done
exec /usr/bin/\${0##*/} "$@"
`;

const BOOTS = `[Unit]
Description=Counts boots
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo boot >>/root/boots'
[Install]
WantedBy=multi-user.target
`;

describe.each<Database>(isFull ? ['mariadb', 'mysql'] : ['mariadb'])('a pair on %s', (database) => {
  let lab: Lab;
  let pair: Pair;
  let state: string;

  const { sh, sql } = shells(() => lab);
  const stage = (host: string, more: Partial<Stage> = {}) => {
    return (): Stage => ({ inventory: lab.inventory, host, ...more });
  };

  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), 'taken-'));
    lab = await freshLab({ name: `taken-${database}`, database });
    await buildPair(lab.inventory, state);
    pair = openPair(lab.inventory);
    await sh('dbk2', 'cat >/etc/systemd/system/boots.service && systemctl enable -q boots', BOOTS);
    await sql('dbk1', 'CREATE TABLE dbackup3.marks (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(99))');
  });
  afterAll(async () => {
    await pair?.close();
    await lab?.down();
    await rm(state, { recursive: true, force: true });
  });

  test('mysql.execute writes once, also what commits by itself', async () => {
    const marks = () => sql('dbk1', 'SELECT text FROM dbackup3.marks');
    const insert = { statement: 'INSERT INTO marks (text) VALUES (?)', params: [`it's "ä"; \\! $$`] };
    const times = await everyCut({
      stage: stage('dbk1'),
      module: 'mysql.execute',
      params: { ...insert, database: 'dbackup3' },
      reset: () => sql('dbk1', 'TRUNCATE dbackup3.marks').then(() => undefined),
      seen: async (outcome) => ({ outcome, marks: await marks() }),
    });
    expect(times).toBeGreaterThanOrEqual(6);
    expect(await marks()).toBe(`it's "ä"; \\\\! $$`);
    const tables = await everyCut({
      stage: stage('dbk1'),
      module: 'mysql.execute',
      params: { statement: 'CREATE TABLE once (id INT)', database: 'dbackup3' },
      reset: () => sql('dbk1', 'DROP TABLE IF EXISTS dbackup3.once').then(() => undefined),
      seen: (outcome) => Promise.resolve(outcome),
    });
    expect(tables).toBeGreaterThanOrEqual(6);
  }, 120_000);

  test('mysql.execute says what its statement gives, by socket and by TCP, with a password of any letters', async () => {
    const password = `p "q" \\w 'r' #`;
    const text = password.replaceAll('\\', '\\\\').replaceAll("'", "''");
    await sql('dbk1', `CREATE USER boss@'%' IDENTIFIED BY '${text}'; GRANT ALL ON *.* TO boss@'%'`);
    for (const more of [{}, { host: '127.0.0.1' }]) {
      const login = { user: 'boss', password, ...more };
      const statement = "SELECT 7 AS a, 'x<y' AS b, NULL AS c, 1.50 AS d, '007' AS e, CURRENT_USER() AS who";
      const { result } = await pair.run('dbk1', 'mysql.execute', { statement, login });
      expect(result['rows']).toEqual([{ a: 7, b: 'x<y', c: null, d: '1.50', e: '007', who: 'boss@%' }]);
    }
    const wrong = { user: 'boss', password: 'wrong', host: '127.0.0.1' };
    await expect(pair.run('dbk1', 'mysql.execute', { statement: 'SELECT 1', login: wrong })).rejects.toThrow(
      'Access denied',
    );
    await expect(pair.run('dbk1', 'mysql.execute', { statement: 'SELEC 1' })).rejects.toThrow('refused');
  });

  test('a statement under way is on no process list and in no file', async () => {
    const running = pair.run('dbk1', 'mysql.execute', { statement: "SELECT 'hid' 'den-word', SLEEP(4)" });
    await expect.poll(() => sql('dbk1', 'SHOW PROCESSLIST'), { timeout: 10_000 }).toContain('User sleep');
    const places = '/var/lib/drillbook /var/tmp /tmp /root';
    const said = await sh(
      'dbk1',
      `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c den-[w]ord; grep -rl den-[w]ord ${places} | wc -l`,
    );
    expect(said.split('\n')).toEqual(['0', '0']);
    expect((await running).result['rows']).toHaveLength(1);
  });

  test('hactl disables failover once, and says so', async () => {
    const decisions = async () => (await sh('dbk1', 'cat /var/log/dbackup3/hactl.log')).split('\n').length;
    let before = 0;
    const times = await everyCut({
      stage: stage('dbk1'),
      module: 'dbackup.hactl',
      params: { command: 'disable' },
      async reset() {
        await pair.run('dbk1', 'dbackup.hactl', { command: 'enable' });
        before = await decisions();
      },
      seen: async ({ isChanged, result }: Outcome) => ({
        isChanged,
        failover: result['failover'],
        output: result['output'],
        decisions: (await decisions()) - before,
      }),
      cuts: [
        { how: 'killed', when: 'during' },
        { how: 'lost', when: 'during' },
      ],
    });
    expect(times).toBeGreaterThanOrEqual(6);
    await pair.run('dbk1', 'dbackup.hactl', { command: 'enable' });
  }, 240_000);

  test('hactl demotes and promotes once', async () => {
    const home = async (): Promise<void> => {
      const { nodes } = await pair.status();
      if (nodes[0]?.role !== 'primary') {
        await pair.run('dbk2', 'dbackup.hactl', { command: 'demote' });
        await pair.run('dbk1', 'dbackup.hactl', { command: 'promote' });
      }
      await pair.run('dbk1', 'dbackup.hactl', { command: 'disable' });
      const isNormal = async () => (await pair.status()).replication.state;
      await expect.poll(isNormal, { timeout: 30_000 }).toBe('normal');
    };
    const cuts = [
      { how: 'killed', when: 'during' },
      { how: 'lost', when: 'after' },
    ] as const;
    const seen = ({ isChanged, result }: Outcome) =>
      Promise.resolve({ isChanged, role: result['role'], vips: result['vips'], output: result['output'] });
    const demoted = await everyCut({
      stage: stage('dbk1'),
      module: 'dbackup.hactl',
      params: { command: 'demote' },
      reset: home,
      seen,
      cuts,
      every: 2,
    });
    expect(demoted).toBeGreaterThanOrEqual(isFull ? 4 : 2);
    const promoted = await everyCut({
      stage: stage('dbk2'),
      module: 'dbackup.hactl',
      params: { command: 'promote' },
      async reset() {
        await home();
        await pair.run('dbk1', 'dbackup.hactl', { command: 'demote' });
      },
      seen,
      cuts,
      every: 2,
    });
    expect(promoted).toBeGreaterThanOrEqual(isFull ? 4 : 2);
    await home();
    await pair.run('dbk1', 'dbackup.hactl', { command: 'enable' });
  }, 400_000);

  describe('mysql.resync', () => {
    const strict =
      "SELECT CONCAT(@@GLOBAL.read_only, COALESCE((SELECT variable_value FROM performance_schema.global_variables WHERE variable_name = 'super_read_only'), ''))";
    const closed = (): Promise<string> =>
      sql('dbk2', database === 'mysql' ? strict : 'SELECT @@GLOBAL.read_only');
    let closedBefore = '';

    /** A row that the standby alone has. */
    const astray = (): Promise<string> =>
      sql(
        'dbk2',
        `SET SESSION sql_log_bin = 0; ${database === 'mysql' ? 'SET GLOBAL super_read_only = 0;' : ''}
         REPLACE INTO dbackup3.marks VALUES (1000, 'astray');
         ${database === 'mysql' ? 'SET GLOBAL super_read_only = 1;' : ''}`,
      );
    async function reset(cut?: Cut): Promise<void> {
      await astray();
      await sh('dbk2', `rm -f /root/dumps /root/hold; ${cut?.when === 'during' ? 'touch /root/hold' : ''}`);
    }
    async function seen({ isChanged, result }: Outcome): Promise<unknown> {
      const { state: now, source, databases } = result;
      const rows = 'SELECT * FROM dbackup3.marks ORDER BY id';
      const [here, there] = [await sql('dbk1', rows), await sql('dbk2', rows)];
      const back = (await pair.check('dbk1', 'mysql.replication')).changes;
      return {
        outcome: { isChanged, now, source, databases, hasTurned: result['reverse'] !== null },
        isSame: here === there,
        back,
        dumps: await sh('dbk2', 'cat /root/dumps'),
        guests: await sql('dbk1', "SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'drillbook%'"),
        isClosed: (await closed()) === closedBefore,
        left: await sh('dbk2', 'ls -d /tmp/tmp.* 2>/dev/null | wc -l'),
      };
    }
    const staged = (isAgain: boolean): Stage => {
      let release: Promise<void> | undefined;
      return {
        ...stage('dbk2')(),
        async begun() {
          await expect.poll(() => sh('dbk2', 'cat /root/dumps || :'), { timeout: 20_000 }).toBe('dumped');
        },
        // Once: a login for every exchange is more than a server lets in at a time.
        ...(isAgain
          ? { onExchange: () => (release ??= sh('dbk2', 'rm -f /root/hold').then(() => undefined)) }
          : {}),
      };
    };

    beforeAll(async () => {
      closedBefore = await closed();
      const name = await sh('dbk2', 'basename $(command -v mariadb-dump || command -v mysqldump)');
      await sh('dbk2', `cat >/usr/local/bin/${name} && chmod 755 /usr/local/bin/${name}`, DUMP);
      await sql('dbk1', "REPLACE INTO dbackup3.marks VALUES (1, 'one')");
      await pair.reach('dbk2', 'mysql.replication', { state: 'caught_up' }).catch(() => undefined);
    });

    test('copies once, and leaves nothing behind, wherever it was cut', async () => {
      const times = await everyCut({
        stage: staged,
        module: 'mysql.resync',
        params: {},
        reset,
        seen,
        every: 13,
        cuts: [
          { how: 'killed', when: 'during' },
          { how: 'lost', when: 'during' },
        ],
      });
      expect(times).toBeGreaterThanOrEqual(isFull ? 40 : 5);
    }, 900_000);

    const write = (id: number): Promise<string> =>
      sql(
        'dbk2',
        `${database === 'mysql' ? 'SET GLOBAL super_read_only = 0;' : ''} INSERT INTO dbackup3.marks VALUES (${id}, 'since');
         ${database === 'mysql' ? 'SET GLOBAL super_read_only = 1;' : ''}`,
      );
    const threads = database === 'mysql' ? 'REPLICA' : 'SLAVE';
    test.each([
      ['had applied all', async () => {}],
      [
        'had not applied all',
        async () => {
          await sql('dbk1', `STOP ${threads} SQL_THREAD`);
          await write(1500);
        },
      ],
    ])(
      'the way back is turned once, where the source %s: nothing is applied twice',
      async (_, prepare) => {
        // The last thing it tells the journal before it has ended: that the way back was turned.
        const whole = newAttempt();
        const { exchanges } = await live(staged(false), 'mysql.resync', {}, whole);
        let at = exchanges;
        // How often it looks whether replication runs differs, and with it the number of that exchange.
        for (let tries = 0; at > 0 && tries < 40; tries++) {
          await reset();
          await sql('dbk1', 'DELETE FROM dbackup3.marks WHERE id >= 1500');
          await pair.reach('dbk1', 'mysql.replication', { state: 'caught_up' });
          await prepare();
          const cut = { how: 'killed', when: 'before', at } as const;
          const one = newAttempt();
          await live(staged(false), 'mysql.resync', {}, one, cut);
          const isStopped = (await sh('dbk1', `mysql -e 'SHOW ${threads} STATUS\\G'`)).includes(
            'IO_Running: No',
          );
          if (one.journal.has('turned') || !one.journal.has('reverse')) at--;
          else if (isStopped) {
            await sql('dbk1', `START ${threads}`);
            at++;
          } else {
            await write(2000);
            const since = () => sql('dbk1', 'SELECT text FROM dbackup3.marks WHERE id >= 1500');
            await expect.poll(since, { timeout: 20_000 }).toBe('since');
            const { result } = await liveOn(staged(true), 'mysql.resync', {}, one);
            expect(result['reverse']).toEqual(one.journal.get('reverse'));
            expect((await pair.check('dbk1', 'mysql.replication')).changes).toEqual([]);
            expect((await pair.check('dbk2', 'mysql.replication')).changes).toEqual([]);
            return;
          }
        }
        expect.fail('it was never cut there');
      },
      200_000,
    );
  });

  // The server is of no matter here.
  test.runIf(database === 'mariadb')(
    'power reboots once, and shuts down what is up, wherever it was cut',
    async () => {
      const boots = (): Promise<string> => sh('dbk2', 'cat /root/boots');
      const isUp = () => lab.ssh('dbk2', 'true').then(({ code }) => code);
      const isDown = async () => (await lab.status()).find(({ name }) => name === 'dbk2')?.pid === undefined;
      const rebooted = await everyCut({
        stage: stage('dbk2'),
        module: 'power',
        params: { state: 'rebooted' },
        every: 4,
        async reset() {
          await expect.poll(isUp, { timeout: 120_000 }).toBe(0);
          await sh('dbk2', 'rm -f /root/boots');
        },
        async seen({ isChanged, result }) {
          await expect.poll(isUp, { timeout: 120_000 }).toBe(0);
          const id = await sh('dbk2', 'cat /proc/sys/kernel/random/boot_id');
          await expect.poll(() => boots().catch(() => ''), { timeout: 120_000 }).toContain('boot');
          return { isChanged, isItsBoot: result['boot_id'] === id, boots: await boots() };
        },
        cuts: [
          { how: 'killed', when: 'after' },
          { how: 'lost', when: 'after' },
        ],
      });
      expect(rebooted).toBeGreaterThanOrEqual(isFull ? 8 : 2);
      const off = await everyCut({
        stage: stage('dbk2'),
        module: 'power',
        params: { state: 'off' },
        every: 4,
        async reset() {
          if (await isDown()) await lab.powerOn('dbk2');
          await expect.poll(isUp, { timeout: 120_000 }).toBe(0);
        },
        async seen(outcome) {
          await expect.poll(isDown, { timeout: 120_000 }).toBe(true);
          return outcome;
        },
        cuts: [{ how: 'killed', when: 'after' }],
      });
      expect(off).toBeGreaterThanOrEqual(isFull ? 4 : 1);
      await lab.powerOn('dbk2');
    },
    900_000,
  );
});
