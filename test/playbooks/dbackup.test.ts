import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { drillbook } from '../cli/_drillbook.ts';
import { playbook } from './_playbook.ts';
import type { Ran } from './_playbook.ts';
import { readJobs } from './_writer.ts';
import { freshLab } from '../lab/_fresh.ts';

test.each(['dbackup', 'kwdb', 'usphere'])(
  'all playbooks of %s, and the example of an inventory for it, are in order',
  async (stack) => {
    const said = await drillbook(['lint', `playbooks/${stack}`, '-i', `inventories/${stack}.yml`]);
    expect([said.code, said.stderr.includes('error:')], said.stderr).toEqual([0, false]);
    const own = await drillbook(['lint', `inventories/${stack}.yml`]);
    expect([own.code, own.stderr]).toEqual([0, '']);
  },
);

/** Gives the nodes an operator who becomes root with a password; the inventory in `file` reaches them as this one. */
async function withSudo(lab: Lab, file: string): Promise<string> {
  for (const { name } of lab.nodes) {
    const { code, stderr } = await lab.ssh(name, 'sh -e', {
      stdin: `useradd --create-home opal
        echo opal:of-this-test | chpasswd
        echo 'opal ALL=(ALL) ALL' >/etc/sudoers.d/opal
        install -d -o opal -m 700 /home/opal/.ssh
        install -o opal -m 600 /root/.ssh/authorized_keys /home/opal/.ssh/`,
    });
    if (code !== 0) throw new Error(stderr);
  }
  const become = 'become: { user: root, method: sudo, password: !secret of-this-test }';
  const text = await readFile(lab.inventory, 'utf8');
  const own = text.replace(/^ {2}user: root$/m, '  user: opal').replace(/^hosts:$/m, `${become}\nhosts:`);
  await writeFile(file, own, { mode: 0o600 });
  return file;
}

// One lab for each server; the tests of a server build upon one another, as its operator's steps do.
describe.for([
  ['mariadb', 'root'],
  ['mysql', 'an operator with sudo'],
] as const)('a pair on %s, reached as %s', ([database, user]) => {
  let lab: Lab;
  let inventory: string;
  let state: string;
  let vip: string;
  // On one server in `npm test`, for its time is short.
  const once = test.skipIf(database === 'mysql' && !isFull);

  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), 'playbooks-'));
    lab = await freshLab({ name: `pb-${database}`, database });
    inventory = user === 'root' ? lab.inventory : await withSudo(lab, join(state, 'sudo.yml'));
    vip = (lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100');
  });
  afterAll(async () => {
    await lab?.down();
    await rm(state, { recursive: true, force: true });
  });

  const run = (name: string, extra: readonly string[] = [], isCheck = false): Promise<Ran> =>
    playbook(name, inventory, { state, extra, isCheck });

  const sql = async (node: string, statement: string): Promise<string> => {
    const { code, stdout, stderr } = await lab.ssh(node, `mysql -BN -e "${statement}"`);
    if (code !== 0) throw new Error(stderr);
    return stdout.trim();
  };

  /** Foreseen by --check, done by the run, and nothing left for a second run: the same steps on the same hosts. */
  async function foreseenDoneOnce(
    name: string,
    extra: readonly string[] = [],
    unforeseen: readonly string[] = [],
  ): Promise<Ran> {
    const foreseen = await run(name, extra, true);
    expect(foreseen.code, foreseen.told).toBe(0);
    const done = await run(name, extra);
    expect(done.code, done.told).toBe(0);
    expect(foreseen.unforeseen).toEqual(unforeseen);
    expect(foreseen.changed).toEqual(done.changed);
    const again = await run(name, extra);
    expect(again.code, again.told).toBe(0);
    expect(again.changed).toEqual([]);
    return done;
  }

  test('bare nodes of one make pass the preflight, which changes nothing', async () => {
    const done = await run('preflight');
    expect(done.code, done.told).toBe(0);
    expect(done.changed).toEqual([]);
    expect((await run('preflight', [], true)).changed).toEqual([]);
    expect(done.steps.length).toBeGreaterThan(60);
  });

  test('the preflight reports every requirement that is not met, not only the first', async () => {
    const text = await readFile(inventory, 'utf8');
    const net1 = vip.replace(/\.\d+$/, '');
    const net2 = (lab.nodes[0]?.addresses.net2 ?? '').replace(/\.\d+$/, '');
    const broken = text
      .replace('server_id: 236', 'server_id: 234')
      // The VIP is this machine's own address, that is a foreign host's; a heartbeat is the other VIP.
      .replace(`address: ${vip}`, `address: ${net1}.1`)
      .replace(`dbk1: ${net2}.11`, `dbk1: ${net2}.100`)
      .replace('dbk1: eth2', 'dbk1: eth9');
    const file = join(state, 'broken.yml');
    await writeFile(file, broken, { mode: 0o600 });
    const done = await playbook('preflight', file, { state, extra: ['version=9.9-9'] });
    expect(done.code, done.told).toBe(1);
    expect(done.changed).toEqual([]);
    expect(done.failed).toEqual([
      'The database servers will have numbers of their own',
      'Heartbeat addresses are physical ones of the node, none a VIP',
      'The peer answers pings on each heartbeat',
      'Ports 554/UDP and 50309/TCP are open to the peer on each heartbeat',
      'The interfaces for the VIPs are there',
      'No other machine has a VIP',
      'The packages of both roles are on this machine',
      'Every requirement is met',
    ]);
  });

  test('the preflight finds nodes that differ, and a port that is closed', async () => {
    const rule = 'nft add table inet t; nft add chain inet t in { type filter hook input priority 0\\; }';
    await lab.ssh('dbk2', `${rule}; nft add rule inet t in udp dport 554 drop`);
    await lab.ssh(
      'dbk2',
      'sed -i.kept "s/^VERSION_ID=.*/VERSION_ID=99/; /^ID=/aVERSION_ID=99" /etc/os-release',
    );
    try {
      const done = await run('preflight');
      expect(done.code, done.told).toBe(1);
      expect(done.failed).toEqual([
        'Same operating system',
        'Ports 554/UDP and 50309/TCP are open to the peer on each heartbeat',
        'Every requirement is met',
      ]);
      expect(done.told).toMatch(/554\/UDP [\d.]+ to [\d.]+: closed \(no answer\)/);
    } finally {
      await lab.ssh('dbk2', 'nft delete table inet t; mv /etc/os-release.kept /etc/os-release');
    }
  });

  test('install puts the licence service on the primary alone', async () => {
    const done = await foreseenDoneOnce('install', ['optional=[stored]']);
    expect(done.changed).toHaveLength(5);
    const has = async (node: string) => (await lab.ssh(node, 'test -e /etc/init.d/dbackup3-licensed')).code;
    expect([await has('dbk1'), await has('dbk2')]).toEqual([0, 1]);
  });

  test('the Catalog moves from SQLite into the database, with its rows', async () => {
    const named = await fetch(`http://${lab.nodes[0]?.addresses.mgmt}:50309/jobs`, {
      method: 'POST',
      body: JSON.stringify({ name: 'before the migration' }),
    });
    expect(named.status).toBe(201);
    await foreseenDoneOnce('catalog');
    expect(await sql('dbk1', 'SELECT name FROM dbackup3.jobs')).toBe('before the migration');
    const accounts = await sql(
      'dbk1',
      "SELECT host FROM mysql.user WHERE user IN ('repl', 'root') ORDER BY host",
    );
    expect(accounts).not.toContain('%');
    expect(accounts).toContain(lab.nodes[1]?.addresses.net1);
  });

  test('the administrator is let in from elsewhere only where it is asked for', async () => {
    const done = await run('catalog', ['open_administrator=true', 'administrator_password=of-this-test']);
    expect(done.code, done.told).toBe(0);
    expect(done.changed).toHaveLength(2);
    for (const { name } of lab.nodes) await sql(name, "DROP USER root@'%'");
  });

  test('a replicate-do-db that does not name the Catalog is found', async () => {
    const filter = (name: string) =>
      database === 'mariadb'
        ? `SET GLOBAL replicate_do_db = '${name}'`
        : `CHANGE REPLICATION FILTER REPLICATE_DO_DB = (${name})`;
    await sql('dbk1', filter('dbbackup3'));
    const done = await run('catalog');
    await sql('dbk1', filter('dbackup3'));
    expect(done.code, done.told).toBe(1);
    expect(done.failed).toEqual(['Both nodes replicate the Catalog database and no other (replicate-do-db)']);
  });

  test('a node that serves is not overwritten by one that takes no writes', async () => {
    await sql('dbk1', 'SET GLOBAL read_only = 1');
    const done = await run('cluster-build');
    await sql('dbk1', 'SET GLOBAL read_only = 0');
    expect(done.code, done.told).toBe(1);
    expect(done.changed).toEqual([]);
    expect(done.failed).toEqual(['No node that serves now is overwritten by one that does not']);
  });

  test('the cluster is built, and a row written through the VIP is on both nodes', async () => {
    await foreseenDoneOnce('cluster-build');
    const written = await fetch(`http://${vip}/jobs`, {
      method: 'POST',
      body: JSON.stringify({ name: 'by the VIP' }),
    });
    expect(written.status).toBe(201);
    expect((await readJobs(vip, '')).map(({ name }) => name)).toEqual(['before the migration', 'by the VIP']);
    await expect.poll(() => sql('dbk2', 'SELECT COUNT(*) FROM dbackup3.jobs'), { timeout: 10_000 }).toBe('2');
    const status = await run('status');
    expect(status.code, status.told).toBe(0);
    expect(status.changed).toEqual([]);
  });

  test('once it is built, nothing that led to it has anything left to do', async () => {
    for (const name of ['preflight', 'install', 'catalog']) {
      const again = await run(name);
      expect(again.code, again.told).toBe(0);
      expect(again.changed).toEqual([]);
    }
    for (const name of ['cluster-build', 'start']) expect((await run(name, [], true)).changed).toEqual([]);
  });

  test('the Catalog of a running cluster is left alone', async () => {
    const done = await run('catalog', ['catalog_host=localhost']);
    expect(done.code, done.told).toBe(1);
    expect(done.changed).toEqual([]);
    expect(done.failed).toEqual(['No running cluster is disturbed']);
  });

  once('a stopped cluster still answers by the VIP, and can be started', async () => {
    const stopped = await foreseenDoneOnce('stop');
    expect(stopped.changed).toHaveLength(1);
    expect((await fetch(`http://${vip}/health`)).status).toBe(200);
    const started = await foreseenDoneOnce('start');
    expect(started.changed).toHaveLength(1);
  });

  once('agents are pointed at another VIP, and back', async () => {
    const second = (lab.nodes[0]?.addresses.net2 ?? '').replace(/\.\d+$/, '.100');
    expect((await foreseenDoneOnce('point-at-vip', [`vip=${second}`])).changed).toHaveLength(4);
    const { stdout } = await lab.ssh('dbk1', '/etc/init.d/dbackup3-agent status');
    expect(stdout).toContain(`server: ${second}\nconnection: connected`);
    expect((await run('point-at-vip')).changed).toHaveLength(4);
  });

  test('both nodes follow the time servers given', async () => {
    // Whether a server is heard is known only once it was named.
    const warned = ['dbk1', 'dbk2'].map(
      (node) =>
        `time/warning-no-time-server-has-been-heard-yet on ${node}: Warning: no time server has been heard yet`,
    );
    const done = await foreseenDoneOnce('time-sync', ['servers=[192.0.2.1]'], warned);
    expect(done.changed).toHaveLength(2);
    const { stdout } = await lab.ssh('dbk2', 'cat /etc/systemd/timesyncd.conf');
    expect(stdout).toContain('NTP=192.0.2.1');
  });
});
