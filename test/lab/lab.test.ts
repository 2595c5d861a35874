import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { downLab, leftovers, openLab, upLab, type Lab } from '../../engine/lab/lab.ts';
import { databases, type Database } from '../../engine/lab/state.ts';
import { call } from '../cli/_call.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { downOwn, freshLab } from './_fresh.ts';

const VERSIONS: Readonly<Record<Database, RegExp>> = { mariadb: /^10\.11\..*MariaDB/, mysql: /^9\./ };

describe.each(databases)('a lab with %s', (database) => {
  const name = `test-${database}`;
  let lab: Lab;
  const said: string[] = [];
  const out = async (node: string, command: string): Promise<string> =>
    (await lab.ssh(node, command)).stdout.trim();

  beforeAll(async () => {
    lab = await freshLab({ name, database, onProgress: (text) => said.push(text) });
  });
  afterAll(() => downOwn(name), 60_000);

  test('has booted nodes with all services up', async () => {
    expect(lab.nodes.map((node) => node.name)).toEqual(['dbk1', 'dbk2']);
    expect(said.at(-1)).toMatch(/dbk1, dbk2 up in \d+\.\d s/);
    for (const node of lab.nodes) {
      expect(await out(node.name, 'hostname; systemctl is-system-running')).toBe(`${node.name}\nrunning`);
    }
  });

  test('has the database fresh from its package, for root without a password', async () => {
    const ids = [];
    for (const node of ['dbk1', 'dbk2']) {
      expect(await out(node, `${database} -Ne 'select version()'`)).toMatch(VERSIONS[database]);
      ids.push(await out(node, `${database} -Ne 'select @@server_id'; cat /var/lib/mysql/auto.cnf; true`));
    }
    if (database === 'mysql') expect(ids[0]).not.toBe(ids[1]);
  });

  test('has keepalived and the rest of the tools, keepalived neither running nor enabled', async () => {
    expect(await out('dbk1', 'systemctl is-enabled keepalived; systemctl is-active keepalived')).toBe(
      'disabled\ninactive',
    );
    const tools = await lab.ssh('dbk1', 'command -v keepalived python3 curl nft rsync sudo ping');
    expect(tools.stdout.trim().split('\n')).toHaveLength(7);
  });

  test('connects the nodes on three networks, and this machine to each', async () => {
    for (const address of Object.values(lab.nodes[1]?.addresses ?? {})) {
      const gateway = address.replace(/\d+$/, '1');
      expect((await lab.ssh('dbk1', `ping -c1 -W2 ${address} && ping -c1 -W2 ${gateway}`)).code).toBe(0);
    }
  });

  test('gives each node an identity of its own', async () => {
    const identity = 'cat /etc/machine-id /etc/ssh/ssh_host_*.pub; cat /sys/class/net/eth*/address';
    const [one, two] = [await out('dbk1', identity), await out('dbk2', identity)];
    const lines = [...one.split('\n'), ...two.split('\n')];
    expect(lines).toHaveLength(10);
    expect(new Set(lines).size).toBe(10);
  });

  test('writes an inventory that loads, readable by its owner alone', () => {
    const secrets: string[] = [];
    const inventory = loadInventory(lab.inventory, { onSecret: (value) => secrets.push(value) });
    expect(inventory.clusters.get(name)).toMatchObject({
      nodes: ['dbk1', 'dbk2'],
      settings: { database: { flavour: database } },
    });
    const passwords = readFileSync(lab.inventory, 'utf8').match(/password:.*/g) ?? [];
    expect(passwords.length).toBeGreaterThan(0);
    expect(passwords.filter((line) => !line.startsWith('password: !secret '))).toEqual([]);
    expect(new Set(secrets).size).toBe(passwords.length);
    expect(statSync(lab.inventory).mode & 0o777).toBe(0o600);
  });

  test('has the stand-in packages in two releases', async () => {
    const folder = loadInventory(lab.inventory).hosts.get('dbk1')?.vars['dbackup_packages'];
    const files = readdirSync(String(folder));
    expect(files.filter((file) => file.includes('8.0-9'))).toHaveLength(9);
    expect(files.filter((file) => file.includes('8.0-10'))).toHaveLength(9);
  });

  test('refuses an address whose host key is not in its own known_hosts', async () => {
    await out('dbk1', 'ssh-keygen -q -t ed25519 -N "" -f /root/other');
    await out('dbk1', 'mv /root/other /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh');
    expect(await lab.ssh('dbk1', 'true')).toMatchObject({ code: 255, stderr: /key verification failed/i });
  });

  test('says what is up already, and reattaches from disk', async () => {
    await expect(upLab({ name, database })).rejects.toThrow(`lab ${name} is up already`);
    const again = await openLab(name);
    expect(again.nodes).toEqual(lab.nodes);
    expect((await again.ssh('dbk2', 'exit 7')).code).toBe(7);
  });

  test('is not taken down by a demo that would have its name', async () => {
    const { code, stderr } = await call(['demo', '--name', name]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(`lab ${name} is up already`)]);
    expect((await lab.ssh('dbk2', 'true')).code).toBe(0);
  });

  test('leaves nothing when it is down, and down twice is no error', async () => {
    const kinds = (await leftovers(name)).map((found) => found.split(' ')[0]);
    expect(new Set(kinds)).toEqual(new Set(['interface', 'control', 'folder', 'process']));
    await lab.down();
    expect(await leftovers(name)).toEqual([]);
    expect(existsSync(lab.inventory)).toBe(false);
    await lab.down();
    await expect(openLab(name)).rejects.toThrow(`there is no lab ${name}`);
  });
});

test('a name that could not be an interface, folder or host is refused', async () => {
  for (const name of ['', '../x', 'Lab', 'a b', '-x', 'x'.repeat(32)]) {
    await expect(upLab({ name, database: 'mariadb' })).rejects.toThrow('cannot be the name of a lab');
    await expect(downLab(name)).rejects.toThrow('cannot be the name of a lab');
  }
});
