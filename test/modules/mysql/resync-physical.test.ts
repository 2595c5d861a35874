import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Outcome } from '../../../engine/core/module.ts';
import type { Lab } from '../../../engine/lab/lab.ts';
import type { Database } from '../../../engine/lab/state.ts';
import { isFull } from '../../_full.ts';
import { openPair } from '../../cluster/_pair.ts';
import type { Pair } from '../../cluster/_pair.ts';
import { freshLab } from '../../lab/_fresh.ts';
import { buildPair } from '../../playbooks/_playbook.ts';
import { shells } from '../_shells.ts';
import { live, liveOn, newAttempt } from '../_taking.ts';
import type { Attempt, Cut, Stage } from '../_taking.ts';

/** Stands before a program of the same name: is counted, and held while the file is there. */
const HELD = `#!/bin/sh
echo here >>/root/held
tries=0; while [ -e /root/hold ] && [ $tries -lt 200 ]; do sleep 0.1; tries=$((tries + 1)); done
exec /usr/bin/\${0##*/} "$@"
`;

/** In the place of `mv` or a client, at the arguments of /root/at: ends as /root/how says. */
const STUMBLES = `#!/bin/sh
[ ! -e /root/at ] || case " $* " in *"$(cat /root/at)"*)
  how=$(cat /root/how)
  case $how in
    fails) echo 'not today' >&2; exit 1 ;;
    asked) rm /root/at; kill -TERM $PPID; exec sleep 1 ;;
    held)
      echo here >>/root/held
      tries=0; while [ -e /root/at ] && [ $tries -lt 600 ]; do sleep 0.1; tries=$((tries + 1)); done ;;
  esac ;;
esac
exec /usr/bin/\${0##*/} "$@"
`;

/** A server that does not start with a copy in its data directory. */
const REFUSES = `[Service]
ExecStartPre=/bin/sh -c '[ ! -e /var/lib/mysql/drillbook-accounts.sql ]'
`;

describe.runIf(isFull).each<Database>(['mariadb', 'mysql'])('a physical copy on %s', (database) => {
  let lab: Lab;
  let pair: Pair;
  let state: string;

  const { sh, sql } = shells(() => lab);
  const isMysql = database === 'mysql';
  const strict = (value: 0 | 1): string => (isMysql ? `SET GLOBAL super_read_only = ${value};` : '');
  const program = isMysql ? '/usr/lib/mysql/plugin/mysql_clone.so' : '/usr/bin/mbstream';

  const rows = (node: string): Promise<string> => sql(node, 'SELECT * FROM marks ORDER BY id');
  const accounts = (node: string): Promise<string> =>
    sql(node, 'SELECT user, host FROM mysql.user ORDER BY user, host');
  /** Beside the data directory and in temporary folders. */
  const leftovers = (node: string): Promise<string> =>
    sh(node, 'ls -d /var/lib/mysql.* /tmp/tmp.* /dev/shm/tmp.* /var/lib/mysql/drillbook* 2>/dev/null || :');
  const plugins = (node: string): Promise<string> =>
    sql(node, "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'");

  async function seen({ isChanged, result }: Outcome): Promise<unknown> {
    return {
      outcome: { isChanged, method: result['method'], now: result['state'], has: result['reverse'] !== null },
      isSame: (await rows('dbk1')) === (await rows('dbk2')),
      following: (await pair.check('dbk2', 'mysql.replication')).changes,
      back: (await pair.check('dbk1', 'mysql.replication')).changes,
      guests: await sql('dbk1', "SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'drillbook%'"),
      accounts: await accounts('dbk2'),
      closed: await sql('dbk2', `SELECT @@GLOBAL.read_only ${isMysql ? ', @@GLOBAL.super_read_only' : ''}`),
      plugins: [await plugins('dbk1'), await plugins('dbk2')],
      left: [await leftovers('dbk1'), await leftovers('dbk2')],
      mask: await sh('dbk2', `systemctl is-enabled ${database}`),
    };
  }
  let straight: unknown;

  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), 'physical-'));
    lab = await freshLab({ name: `rs-${database}`, database });
    await buildPair(lab.inventory, state);
    pair = openPair(lab.inventory);
    await sql('dbk1', 'CREATE TABLE marks (id INT PRIMARY KEY, text VARCHAR(99))');
    await sql('dbk1', `INSERT INTO marks VALUES (1, 'it''s "ä"')`);
    // An account that the standby alone has, with a name that wants quoting.
    await sql(
      'dbk2',
      `SET SESSION sql_log_bin = 0; ${strict(0)} CREATE USER 'o''neil "x"'@'10.%' IDENTIFIED BY 'secret'; ${strict(1)}`,
    );
    await pair.reach('dbk2', 'mysql.replication', { state: 'caught_up' });
  });
  afterAll(async () => {
    await pair?.close();
    await lab?.down();
    await rm(state, { recursive: true, force: true });
  });
  /** A row that the standby alone has. */
  const astray = (): Promise<string> =>
    sql(
      'dbk2',
      `SET SESSION sql_log_bin = 0; ${strict(0)} REPLACE INTO marks VALUES (1000, 'astray'); ${strict(1)}`,
    );
  beforeEach(() => astray().then(() => undefined));

  const params = { method: 'physical' };

  test.runIf(!isMysql)('who listens on the port in our place reads nothing of it', async () => {
    const heard = '/root/heard';
    await sh(
      'dbk2',
      `systemd-run -q --unit heard socat -u TCP-LISTEN:4445,reuseaddr,fork OPEN:${heard},creat,append`,
    );
    await expect(pair.run('dbk2', 'mysql.resync', { ...params, port: 4445 })).rejects.toThrow(
      'Copying the files',
    );
    await sh('dbk2', 'systemctl stop heard');
    expect(Number(await sh('dbk2', `stat -c %s ${heard}`))).toBeGreaterThan(1_000_000);
    expect(await sh('dbk2', `grep -ac ibdata1 ${heard} || :`)).toBe('0');
    expect([await leftovers('dbk1'), await leftovers('dbk2')]).toEqual(['', '']);
  });

  test('replaces all data, leaves accounts as they were, and replicates both ways', async () => {
    const before = await accounts('dbk2');
    const hash = "SELECT * FROM mysql.user WHERE user LIKE 'o%' OR user = 'repl' ORDER BY user, host";
    const hashes = await sql('dbk2', hash);
    const uuid = isMysql ? await sql('dbk2', 'SELECT @@server_uuid') : '';
    const outcome = await pair.run('dbk2', 'mysql.resync', params);
    expect(outcome.result).toMatchObject({ method: 'physical', reason: 'asked for', state: 'running' });
    straight = await seen({ ...outcome, isChanged: undefined });
    expect(straight).toMatchObject({
      isSame: true,
      following: [],
      back: [],
      guests: '0',
      accounts: before,
      closed: isMysql ? '1\t1' : '1',
      plugins: ['0', '0'],
      left: ['', ''],
      mask: 'enabled',
    });
    expect(await sql('dbk2', hash)).toBe(hashes);
    if (isMysql) expect(await sql('dbk2', 'SELECT @@server_uuid')).toBe(uuid);
    await sql('dbk1', "REPLACE INTO marks VALUES (2, 'since')");
    await expect.poll(() => rows('dbk2'), { timeout: 20_000 }).toContain('since');
    await sql('dbk2', `${strict(0)} INSERT INTO marks VALUES (3, 'back'); ${strict(1)}`);
    await expect.poll(() => rows('dbk1'), { timeout: 20_000 }).toContain('back');
  }, 120_000);

  const stage = (more: Partial<Stage> = {}): Stage => ({ inventory: lab.inventory, host: 'dbk2', ...more });

  test('is done once, wherever the engine was killed or the connection lost', async () => {
    const whole = await live(stage(), 'mysql.resync', params, newAttempt());
    expect(whole.error).toBeUndefined();
    const ways = [
      { how: 'killed', when: 'after' },
      { how: 'lost', when: 'after' },
      { how: 'killed', when: 'before' },
    ] as const;
    const step = Math.ceil(whole.exchanges / 7);
    for (let at = 2, number = 0; at <= whole.exchanges; at += step, number++) {
      await astray();
      const cut: Cut = { ...(ways[number % 3] ?? ways[0]), at };
      const attempt = newAttempt();
      const first = await live(stage(), 'mysql.resync', params, attempt, cut);
      const outcome = first.outcome ?? (await liveOn(stage(), 'mysql.resync', params, attempt));
      expect(await seen(outcome), JSON.stringify(cut)).toEqual(straight);
    }
  }, 900_000);

  describe('while it is held', () => {
    const held = isMysql ? (['dbk2', 'sync'] as const) : (['dbk1', 'mariadb-backup'] as const);
    beforeEach(async () => {
      const [node, name] = held;
      await sh(node, `cat >/usr/local/bin/${name} && chmod 755 /usr/local/bin/${name}`, HELD);
      await sh(node, 'rm -f /root/held; touch /root/hold');
      return () => sh(node, `rm -f /root/hold /usr/local/bin/${name}`).then(() => undefined);
    });
    const isHeld = () => expect.poll(() => sh(held[0], 'cat /root/held || :'), { timeout: 30_000 });
    const release = () => sh(held[0], 'rm /root/hold').then(() => undefined);

    test('an engine that dies leaves it going, and another attaches to it', async () => {
      const attempt = newAttempt();
      let begun = 0;
      const cut = { how: 'killed', when: 'during' } as const;
      // The first job that is under way when it dies.
      for (let at = 1; begun === 0; at++) {
        attempt.journal.clear();
        const one = newAttempt();
        const first = await live(
          stage({
            async begun() {
              await isHeld().toContain('here');
              begun = at;
            },
          }),
          'mysql.resync',
          params,
          begun === 0 ? one : attempt,
          { ...cut, at },
        );
        if (begun === 0) {
          // Of this one nobody takes up what it began.
          if (isMysql && (await plugins('dbk1')) === '1') await sql('dbk1', 'UNINSTALL PLUGIN clone');
          continue;
        }
        expect(first.outcome).toBeUndefined();
        await release();
        const outcome = await liveOn(stage(), 'mysql.resync', params, one);
        expect(await seen(outcome)).toEqual(straight);
        // The swap calls `sync` too.
        expect(await sh(held[0], 'grep -c here /root/held')).toBe(isMysql ? '2' : '1');
      }
    }, 300_000);

    test('a copy that is killed takes nothing with it', async () => {
      const running = live(stage(), 'mysql.resync', params, newAttempt());
      await isHeld().toContain('here');
      // Of the stream the sender is killed, of the clone the end.
      await sh(held[0], isMysql ? 'pkill -9 -x sync' : 'pkill -9 -x socat');
      await release();
      const { outcome, error } = await running;
      if (outcome) return expect(await seen(outcome)).toEqual(straight);
      expect(String(error)).toMatch(/failed/);
      expect(await rows('dbk2')).toContain('astray');
      expect([await leftovers('dbk2'), await plugins('dbk1')]).toEqual(['', '0']);
    }, 300_000);
  });

  test('a server that will not start with the copy has its old data again', async () => {
    const unit = `/etc/systemd/system/${database}.service.d/refuses.conf`;
    await sh(
      'dbk2',
      `mkdir -p ${unit.replace(/[^/]*$/, '')}; cat >${unit}; systemctl daemon-reload`,
      REFUSES,
    );
    const before = await rows('dbk2');
    await expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow('has its old data again');
    expect(await rows('dbk2')).toBe(before);
    expect(before).toContain('astray');
    expect([await leftovers('dbk2'), await plugins('dbk1')]).toEqual(['', '0']);
    await sh('dbk2', `rm ${unit}; systemctl daemon-reload`);
    expect(await seen({ ...(await pair.run('dbk2', 'mysql.resync', params)), isChanged: undefined })).toEqual(
      straight,
    );
  }, 300_000);

  /** A program of that name that stumbles, on the standby. */
  async function stumble(name: string, at: string, how: 'fails' | 'asked' | 'held'): Promise<void> {
    await sh('dbk2', `cat >/usr/local/bin/${name} && chmod 755 /usr/local/bin/${name}`, STUMBLES);
    await sh('dbk2', `rm -f /root/held; echo ${how} >/root/how; cat >/root/at`, at);
  }
  const walk = (): Promise<string> =>
    sh(
      'dbk2',
      'for name in mv sync mysql mariadb mysqldump mariadb-dump mbstream; do rm -f /usr/local/bin/$name; done; rm -f /root/at /root/how /root/held',
    );
  const again = async (): Promise<void> =>
    expect(await seen({ ...(await pair.run('dbk2', 'mysql.resync', params)), isChanged: undefined })).toEqual(
      straight,
    );
  const serves = (): Promise<string> =>
    sh('dbk2', `systemctl is-enabled ${database}; systemctl is-active ${database}`);

  const SWAPS = [
    ['the data directory will not move', '.drillbook-old ', 'fails'],
    ['the copy will not move', '.drillbook-whole /var/lib/mysql ', 'fails'],
    ['its time is over', '.drillbook-whole /var/lib/mysql ', 'asked'],
  ] as const;
  test.each(SWAPS)(
    'where %s once the server is stopped, it serves its old data again',
    async (_, at, how) => {
      await stumble('mv', at, how);
      await expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow('Replacing the data');
      await walk();
      await expect.poll(serves, { timeout: 30_000 }).toBe('enabled\nactive');
      await expect.poll(() => rows('dbk2').catch(String), { timeout: 30_000 }).toContain('astray');
      await again();
    },
    120_000,
  );

  const COPIES = [
    ['sync', '  '],
    [isMysql ? 'mysqldump' : 'mariadb-dump', ' --no-create-info '],
  ] as const;
  test.each(COPIES)(
    'what fails for want of room (%s) leaves nothing on a full disk',
    async (name, at) => {
      await stumble(name, at, 'fails');
      await expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow('failed');
      expect(await rows('dbk2')).toContain('astray');
      expect([await leftovers('dbk2'), await plugins('dbk1'), await plugins('dbk2')]).toEqual(['', '0', '0']);
      await walk();
    },
    120_000,
  );

  test('where a copy fails that was not asked for, the dump takes over and says so', async () => {
    await stumble('sync', '  ', 'fails');
    const outcome = await pair.run('dbk2', 'mysql.resync', { physical_from: 1 });
    await walk();
    expect(outcome.result['reason']).toMatch(/1 B or more; but (Copying|Cloning) .* failed/);
    expect(await seen({ ...outcome, isChanged: undefined })).toEqual({
      ...(straight as object),
      outcome: { isChanged: undefined, method: 'dump', now: 'running', has: true },
    });
  }, 120_000);

  test('a data directory that cannot be renamed, or is not all, is told before anything is touched', async () => {
    const refused = (why: string) => expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow(why);
    await sh('dbk2', 'mount --bind /var/lib/mysql /var/lib/mysql');
    await refused('is a mount of its own');
    await sh('dbk2', 'umount /var/lib/mysql; mkdir -p /srv/far; ln -s /srv/far /var/lib/mysql/far');
    await refused('/var/lib/mysql/far leads out of the data directory');
    await sh('dbk2', 'rm /var/lib/mysql/far');
    if (isMysql) {
      await sql('dbk1', 'CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM');
      await refused('the table dbackup3.old is MyISAM, and a clone copies InnoDB alone');
      await sql('dbk1', 'DROP TABLE old');
    }
    await pair.reach('dbk2', 'mysql.replication', { state: 'caught_up' }).catch(() => undefined);
    expect(await rows('dbk2')).toContain('astray');
  }, 120_000);

  test('what is not there is told before anything is touched, and auto takes the dump', async () => {
    const before = await rows('dbk2');
    for (const node of ['dbk1', 'dbk2']) {
      await sh(node, `mv ${program} ${program}.away`);
      const lacking = `${node} has no ${program.split('/').at(-1) ?? ''}`;
      await expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow(lacking);
      expect(await rows('dbk2')).toBe(before);
      const { result } = await pair.run('dbk2', 'mysql.resync', { physical_from: 1 });
      expect(result).toMatchObject({ method: 'dump', reason: expect.stringContaining(lacking) });
      await sh(node, `mv ${program}.away ${program}`);
      await astray();
    }
    const small = await pair.run('dbk2', 'mysql.resync', {});
    expect(small.result).toMatchObject({
      method: 'dump',
      reason: expect.stringContaining('1.0 GiB and more'),
    });
    const { result } = await pair.run('dbk2', 'mysql.resync', { physical_from: 1 });
    expect(result).toMatchObject({ method: 'physical', reason: expect.stringContaining('1 B or more') });
  }, 300_000);

  test('a standby whose file system runs full keeps its data', async () => {
    // A small file system of its own, in which the data directory is a folder, as seen through a link.
    await sh(
      'dbk2',
      `systemctl stop ${database}.socket 2>/dev/null; systemctl stop ${database} &&
       mkdir /srv/db && mount -t tmpfs -o size=600M tmpfs /srv/db && cp -a /var/lib/mysql /srv/db/mysql &&
       mv /var/lib/mysql /var/lib/was && ln -s /srv/db/mysql /var/lib/mysql &&
       systemctl start ${database}; systemctl start ${database}.socket 2>/dev/null; :`,
    );
    const before = await rows('dbk2');
    const fill = (mib: number) =>
      sh('dbk2', `fallocate -l $(($(df -Pk /srv/db | awk 'NR==2{print $4}') - ${mib} * 1024))K /srv/db/fill`);
    await fill(8);
    await expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow('there is room for');
    // What df does not tell: that others write there too.
    await sh(
      'dbk2',
      `printf '#!/bin/sh\\necho head; echo x 1 1 9999999\\n' >/usr/local/bin/df; chmod 755 /usr/local/bin/df`,
    );
    await expect(pair.run('dbk2', 'mysql.resync', params)).rejects.toThrow(/space|full|28/i);
    expect(await rows('dbk2')).toBe(before);
    expect(await sh('dbk2', 'ls /srv/db')).toBe('fill\nmysql');
    await sh('dbk2', 'rm /srv/db/fill /usr/local/bin/df');
    expect(await seen({ ...(await pair.run('dbk2', 'mysql.resync', params)), isChanged: undefined })).toEqual(
      straight,
    );
    expect(await sh('dbk2', 'ls /srv/db')).toBe('mysql');
    await sh(
      'dbk2',
      `systemctl stop ${database}.socket 2>/dev/null; systemctl stop ${database} && rm -rf /var/lib/mysql /var/lib/was &&
       cp -a /srv/db/mysql /var/lib/mysql && umount /srv/db && systemctl start ${database}; systemctl start ${database}.socket 2>/dev/null; :`,
    );
  }, 300_000);

  // The last: the product comes back as it likes.
  describe('without the product, which would take over', () => {
    beforeAll(async () => {
      for (const node of ['dbk1', 'dbk2'])
        await sh(node, 'systemctl disable --now dbackup3-agent dbackup3-keepalived');
    });
    const writable = (node: string, is: boolean): Promise<string> =>
      sql(
        node,
        `SET GLOBAL read_only = ${is ? 0 : 1}; ${isMysql && !is && node === 'dbk2' ? strict(1) : ''}`,
      );
    beforeEach(async () => {
      await writable('dbk1', true);
      await writable('dbk2', false);
    });
    afterEach(() => walk().then(() => undefined));
    const isHeld = () =>
      expect.poll(() => sh('dbk2', 'cat /root/held || :'), { timeout: 60_000 }).toContain('here');
    async function powerCycle(node: string, then: () => Promise<void>): Promise<void> {
      await lab.powerOff(node);
      // What is open to a node that is off is closed when it is back.
      void pair.close();
      await lab.powerOn(node);
      await then();
      pair = openPair(lab.inventory);
      if (node === 'dbk1') await writable('dbk1', true);
    }

    test('a standby that becomes the primary meanwhile keeps its data', async () => {
      await stumble(isMysql ? 'sync' : 'mbstream', isMysql ? '  ' : ' -x ', 'held');
      const running = live(stage(), 'mysql.resync', params, newAttempt());
      await isHeld();
      await writable('dbk1', false);
      await writable('dbk2', true);
      await sh('dbk2', 'rm /root/at');
      const { error } = await running;
      expect(String(error)).toMatch('looks like the primary');
      await writable('dbk2', false);
      expect(await rows('dbk2')).toContain('astray');
    }, 120_000);

    /** The ends of these jobs, by their order, were not on disk yet. */
    async function forgetEnds(attempt: Attempt): Promise<void> {
      const ends = isMysql
        ? ([['dbk2', 0]] as const)
        : ([
            ['dbk1', 1],
            ['dbk2', 2],
          ] as const);
      for (const [node, number] of ends) {
        const file = `/var/lib/drillbook/jobs/test/${node}/${attempt.key}.${number}.pid`;
        await sh(node, `awk '{ $1 = "run"; print }' ${file} >${file}.new && mv ${file}.new ${file}`);
      }
    }
    const LOSSES = [
      [
        'dbk1',
        'in the middle of the copy',
        isMysql ? 'sync' : 'mbstream',
        isMysql ? '  ' : ' -x ',
        'resumed',
      ],
      [
        'dbk2',
        'in the middle of the copy',
        isMysql ? 'sync' : 'mbstream',
        isMysql ? '  ' : ' -x ',
        'resumed',
      ],
      ['dbk2', 'between its old data and its new', 'mv', '.drillbook-whole /var/lib/mysql ', 'resumed'],
      ['dbk2', 'before it has its accounts', isMysql ? 'mysql' : 'mariadb', ' --binary-mode ', 'begun anew'],
    ] as const;
    test.each(LOSSES)(
      '%s loses power %s, and the copy is made all the same',
      async (node, _, program, at, how) => {
        await stumble(program, at, 'held');
        const attempt = newAttempt();
        const running = live(stage(), 'mysql.resync', params, attempt);
        await isHeld();
        await powerCycle(node, async () => {
          if (program === 'mv') await forgetEnds(attempt);
          await sh('dbk2', 'rm /root/at');
        });
        await running;
        if (how === 'begun anew') await writable('dbk2', false);
        const next = how === 'resumed' ? attempt : newAttempt();
        expect(await seen(await liveOn(stage(), 'mysql.resync', params, next))).toEqual(straight);
      },
      180_000,
    );
  });
});
