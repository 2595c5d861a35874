import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { execute } from '../../engine/lab/program.ts';
import { freshLab } from './_fresh.ts';

const SHARE = '/var/lib/mysql-share';
let lab: Lab;

const tried = async (node: string, command: string, stdin = ''): Promise<string> => {
  const { stdout, stderr } = await lab.ssh(node, command, { stdin });
  return (stdout + stderr).trim();
};
const on = async (node: string, command: string, stdin = ''): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command, { stdin });
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
const status = async (node: string): Promise<unknown> =>
  JSON.parse(await on(node, 'curl -fsS http://localhost:8080/status.json'));
const install = (node: string, release: string): Promise<string> =>
  on(node, `dpkg -i /root/debs/*_${release}_*.deb`);

beforeAll(async () => {
  lab = await freshLab({ name: 'standins-usphere', stack: 'usphere', database: 'mariadb' });
  const folder = String(loadInventory(lab.inventory).hosts.get('dbk1')?.vars['usphere_packages']);
  expect(await readdir(folder)).toHaveLength(8);
  const { stdout } = await execute('sh', ['-c', 'tar -C "$0" -c . | base64', folder]);
  await Promise.all(
    ['dbk1', 'dbk2'].map((node) => on(node, 'mkdir /root/debs; base64 -d | tar -C /root/debs -x', stdout)),
  );
  // So that the user of the database has another number there.
  await on('dbk2', 'useradd --system other');
  await Promise.all(['dbk1', 'dbk2'].map((node) => install(node, '1.0-1')));
});
afterAll(() => lab?.down(), 60_000);

test('a host just installed serves by itself, and tells what is asked before a pair is built', async () => {
  expect(await status('dbk1')).toEqual({ node: 'dbk1', release: '1.0-1', hosts: 0, standIn: true });
  expect(await on('dbk1', 'usphere-version')).toBe(
    'Usphere stand-in (drillbook lab, not the product)\nISC 1.0-1\nSSP 1.0-1\nVMS 1.0-1',
  );
  expect(await on('dbk1', 'virsh pool-list --all --name')).toBe('defaultpool\nisopool');
  const names = await Promise.all(
    ['dbk1', 'dbk2'].map((node) => on(node, 'cat /etc/iscsi/initiatorname.iscsi')),
  );
  expect(names[0]).toMatch(/^InitiatorName=iqn\.1993-08\.org\.debian:01:[0-9a-f]{12}$/);
  expect(names[0]).not.toBe(names[1]);
  expect(await on('dbk1', 'curl -fsS http://localhost:8080/')).toContain('It is not the product.');
  await on('dbk1', 'vms-hosts add one 10.0.0.9');
  expect(await on('dbk1', 'vms-hosts')).toBe('one 10.0.0.9');
  await on('dbk1', 'vms-hosts remove one');
});

test('the database begins on a mounted partition, and nowhere else', async () => {
  await on('dbk1', `sed -i 's,^database=.*,database=${SHARE},' /etc/usphere/vms.conf; mkdir ${SHARE}`);
  expect(await tried('dbk1', 'systemctl restart mysql; journalctl -u mysql -n 4 -o cat')).toContain(
    `the database partition ${SHARE} is empty and nothing is mounted there`,
  );
  expect(await tried('dbk1', 'curl -sS http://localhost:8080/health')).toContain('"error"');
  await on('dbk1', `mount -t tmpfs none ${SHARE} && systemctl start mysql`);
  expect(await status('dbk1')).toMatchObject({ hosts: 0 });
});

test('rows that were acknowledged are there on the other host', async () => {
  const post = (name: string): Promise<string> =>
    on(
      'dbk1',
      `curl -sS -w '%{http_code}' -o /dev/null -d @- http://localhost:8080/hosts`,
      JSON.stringify({ name, address: '10.0.0.9' }),
    );
  expect(await post(`it's a "host"`)).toBe('201');
  expect(await post(`it's a "host"`)).toBe('409');
  await on('dbk1', 'systemctl stop mysql');
  const copy = await on('dbk1', `tar -C ${SHARE} -cz mysql | base64`);
  await on('dbk2', `sed -i 's,^database=.*,database=${SHARE},' /etc/usphere/vms.conf; mkdir ${SHARE}`);
  await on('dbk2', `mount -t tmpfs none ${SHARE}; base64 -d | tar -C ${SHARE} --numeric-owner -xz`, copy);
  await on('dbk2', 'systemctl restart mysql');
  expect(await on('dbk2', 'vms-hosts')).toBe(`it's a "host" 10.0.0.9`);
  expect(await on('dbk2', `id -u mysql`)).not.toBe(await on('dbk1', 'id -u mysql'));
});

test('an upgrade leaves the settings and the data as they are', async () => {
  await install('dbk2', '1.0-2');
  expect(await status('dbk2')).toMatchObject({ node: 'dbk2', release: '1.0-2', hosts: 1 });
  const version = `mariadb -S /run/mysqld/mysqld.sock -Ne 'SELECT VERSION()'`;
  expect(await on('dbk2', version)).toMatch(/-usphere-1\.0-2-stand-in$/);
});
