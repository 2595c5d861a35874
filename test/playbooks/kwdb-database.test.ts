import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { freshLab } from '../lab/_fresh.ts';
import { playbook } from './_playbook.ts';
import type { Ran } from './_playbook.ts';

const ROOT = '/var/lib/kwdb';
const CERTS = '/etc/kaiwudb/certs';
const DEPLOY = '/opt/kwdb/2.2.0/kwdb_install/deploy.sh';
const REFUSED = 'Validation of SSL server certificate failed';
let lab: Lab;
let state: string;
let vip: string;
const told: string[] = [];

const tried = async (node: string, command: string): Promise<string> => {
  const { stdout, stderr } = await lab.ssh(node, command);
  return (stdout + stderr).trim();
};
const on = async (node: string, command: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command);
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
async function run(name: string, extra: readonly string[] = [], isCheck = false): Promise<Ran> {
  const ran = await playbook(`kwdb/${name}`, lab.inventory, { state, extra, isCheck });
  told.push(ran.told, JSON.stringify(ran.steps));
  return ran;
}
async function done(name: string, extra: readonly string[] = []): Promise<Ran> {
  const ran = await run(name, extra);
  expect(ran.code, ran.told).toBe(0);
  return ran;
}
const asksAt = (host: string, statement: string): string =>
  `kwbase sql --certs-dir=${CERTS} --host=${host} -e '${statement}'`;
const net2 = (node: string): string => lab.nodes.find(({ name }) => name === node)?.addresses.net2 ?? '';
/** As the cluster would move it. */
async function serves(node: 'dbk1' | 'dbk2'): Promise<void> {
  const other = node === 'dbk1' ? 'dbk2' : 'dbk1';
  await on(other, `systemctl stop kaiwudb; umount ${ROOT} 2>/dev/null; drbdadm secondary drbd3`);
  await tried(other, `ip addr del ${vip}/24 dev eth1`);
  await on(node, `drbdadm primary drbd3; mount /dev/drbd3 ${ROOT}; ip addr add ${vip}/24 dev eth1`);
  await on(node, 'systemctl start kaiwudb');
}
const where = (node: string): Promise<string> =>
  on(
    node,
    `systemctl is-active kaiwudb; systemctl is-enabled kaiwudb; findmnt -no TARGET ${ROOT}; drbdadm role drbd3; true`,
  );

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'kwdb-database-'));
  lab = await freshLab({
    ...{ name: 'test-kwdb', stack: 'kwdb', database: 'mariadb' },
    ...{ drbd: true, installed: true, dataMb: 128 },
  });
  vip = (lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100');
  for (const name of ['install', 'drbd-create-md', 'drbd-sync']) await done(name);
  await on('dbk1', 'drbdadm secondary drbd3');
});
afterAll(async () => {
  await lab?.down();
  await rm(state, { recursive: true, force: true });
}, 600_000);

test('--check changes nothing', async () => {
  const ran = await run('database', [], true);
  expect(ran.code, ran.told).toBe(0);
  expect(await on('dbk1', 'ls -d /etc/kaiwudb /opt/kwdb 2>/dev/null; drbdadm role drbd3')).toBe(
    'Secondary/Secondary',
  );
}, 600_000);

test('data of unknown origin is not built upon', async () => {
  await on(
    'dbk1',
    `drbdadm primary drbd3; mkdir -p ${ROOT}; mount /dev/drbd3 ${ROOT}; echo mine >${ROOT}/file`,
  );
  const ran = await run('database');
  expect(ran.failed).toEqual(['A pair without KWDB has no data of it']);
  await on('dbk1', `grep mine ${ROOT}/file; rm ${ROOT}/file; umount ${ROOT}; drbdadm secondary drbd3`);
}, 600_000);

test('the standby comes first; where its user has other numbers the data is not begun, and all is put back', async () => {
  await on('dbk1', 'useradd -u 1500 kaiwudb');
  const ran = await run('database', [`kwdb_packages=${await leaving('mine')}`]);
  expect(ran.failed).toEqual(['The user of the database has the same numbers on both nodes']);
  expect(ran.told).toContain('kaiwudb is 1500:1500 on dbk1');
  const installed = ran.steps.filter(
    ({ name, outcome }) => name === 'KWDB is installed' && outcome === 'changed',
  );
  expect(installed.map(({ host }) => host)).toEqual(['dbk2', 'dbk1']);
  for (const node of ['dbk1', 'dbk2'])
    expect(await where(node)).toBe('inactive\ndisabled\nSecondary/Secondary');
  // The document deletes what the installer leaves there; here nobody loses anything.
  expect(ran.changed.filter((step) => step.includes('is put aside'))).toHaveLength(1);
  expect(await on('dbk2', `ls -A ${ROOT}; cat /opt/kwdb/2.2.0/left-in-data-root.*/left`)).toBe('mine');
  await on(
    'dbk1',
    `drbdadm primary drbd3 && mount /dev/drbd3 ${ROOT} && rm ${ROOT}/left && umount ${ROOT} && drbdadm secondary drbd3`,
  );
  await on('dbk1', `echo y | ${DEPLOY} uninstall`);
}, 600_000);

test('from there a new run goes on to the end, and a second one changes nothing', async () => {
  const ran = await done('database');
  const installed = ran.steps.filter(
    ({ name, outcome }) => name === 'KWDB is installed' && outcome === 'changed',
  );
  expect(installed.map(({ host }) => host)).toEqual(['dbk1']);
  for (const node of ['dbk1', 'dbk2'])
    expect(await where(node)).toBe('inactive\ndisabled\nSecondary/Secondary');
  expect((await done('database')).changed).toEqual([]);
}, 600_000);

test('rows are the same on the other node, by TLS that a client verifies', async () => {
  await serves('dbk1');
  await on(
    'dbk2',
    asksAt(vip, 'CREATE TABLE kept (i INT PRIMARY KEY); INSERT INTO kept VALUES (1), (2), (3)'),
  );
  await serves('dbk2');
  const counted = 'SELECT COUNT(*), @@hostname, VERSION() FROM kept';
  expect(await on('dbk1', asksAt(vip, counted))).toMatch(/\n3\tdbk2\t.*-KWDB-2\.2\.0-stand-in$/);
  expect(await tried('dbk1', asksAt(net2('dbk2'), counted))).toContain(REFUSED);
  const plain = `mariadb --no-defaults -h ${vip} -P 26257 -u root`;
  expect(await tried('dbk1', `${plain} --skip-ssl -e 'SELECT 1'`)).toContain('Access denied');
  expect(await tried('dbk1', `${plain} --ssl -e 'SELECT 1'`)).toContain('Access denied');
  expect((await done('database')).changed).toEqual([]);
}, 600_000);

test('a name that the certificate lacks is added while the database serves', async () => {
  const names = join(state, 'names.yml');
  await writeFile(names, `kwdb_other_names: [db.example, ${net2('dbk2')}]\n`);
  const pid = 'systemctl show -p MainPID kaiwudb';
  const before = await on('dbk2', pid);
  expect((await done('certificates', [`@${names}`])).changed).toHaveLength(3);
  await expect
    .poll(() => tried('dbk1', asksAt(net2('dbk2'), 'SELECT COUNT(*) FROM kept')), { timeout: 120_000 })
    .toBe('COUNT(*)\n3');
  expect(await on('dbk2', pid)).toBe(before);
  expect((await done('certificates', [`@${names}`])).changed).toEqual([]);
}, 600_000);

test('no key is anywhere but on the nodes', async () => {
  const key = await on('dbk1', `cat ${CERTS}/ca.key`);
  const entries = await readdir(state, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = [...told, ...(await Promise.all(files.map((file) => readFile(file, 'latin1'))))];
  // Base64 has line ends in it, and JSON writes them as two characters.
  const all = texts.join('\n').replaceAll(/\\n|\n/g, '');
  // Of a line of the key, as it is and as base64 has it at each of the three places it may begin.
  const line = key.split('\n')[5] ?? '';
  for (const shift of [0, 1, 2]) {
    const coded = Buffer.from(`${' '.repeat(shift)}${line}`)
      .toString('base64')
      .slice(4, -4);
    expect(all).not.toContain(coded);
  }
  expect(all).not.toContain(line);
  expect(line).toHaveLength(64);
  const names = 'ca.crt ca.key client.root.crt client.root.key node.crt node.key';
  for (const node of ['dbk1', 'dbk2']) expect(await on(node, `echo $(ls -A ${CERTS})`)).toBe(names);
});

test('a bare node beside one that serves gets KWDB and the certificates, and the data is not touched', async () => {
  await on('dbk1', `echo y | ${DEPLOY} uninstall; rm -rf /opt/kwdb`);
  const sums = `sha256sum ${CERTS}/*; systemctl show -p MainPID kaiwudb | grep -v '=0'`;
  const before = await on('dbk2', sums);
  const ran = await done('database');
  expect(ran.changed.at(-1)).toContain('The other node has the same');
  expect(await on('dbk2', sums)).toBe(before);
  expect(before).toContain(await on('dbk1', `sha256sum ${CERTS}/*`));
  expect(await on('dbk1', asksAt(vip, 'SELECT COUNT(*) FROM kept'))).toBe('COUNT(*)\n3');
}, 600_000);

test('the stand-in begins no store where nothing is mounted, nor beside files of others', async () => {
  const said = (words: string): Promise<void> =>
    expect.poll(() => tried('dbk1', 'journalctl -u kaiwudb -n 10 -o cat --no-pager')).toContain(words);
  await tried('dbk1', 'systemctl start kaiwudb');
  await said(`the data root ${ROOT} is empty and nothing is mounted there`);
  await on('dbk1', `touch ${ROOT}/file`);
  await tried('dbk1', 'systemctl start kaiwudb');
  await said(`the data root ${ROOT} holds what is not KWDB's: file`);
  expect(await on('dbk1', `rm ${ROOT}/file; ls -A ${ROOT}`)).toBe('');
}, 600_000);

test('the stand-in is upgraded when it is stopped, and the store comes along', async () => {
  const archive = (await readdir(String(await packages()))).find((file) => file.includes('2.2.1')) ?? '';
  const content = (await readFile(join(await packages(), archive))).toString('base64');
  const unpack = await lab.ssh('dbk2', 'base64 -d | tar -C /root -xz', { stdin: content });
  expect(unpack.code).toBe(0);
  const upgrade = '/root/kwdb_install/deploy.sh upgrade -l';
  expect(await tried('dbk2', upgrade)).toContain('Please stop KaiwuDB then try again');
  await on('dbk2', `systemctl stop kaiwudb && ${upgrade} && systemctl start kaiwudb`);
  expect(await tried('dbk2', upgrade)).toContain('Please stop KaiwuDB');
  expect(await on('dbk2', 'kwbase version')).toMatch(/^KaiwuDB Version: +V2\.2\.1\n.*stand-in/);
  expect(await on('dbk2', asksAt('localhost', 'SELECT COUNT(*), VERSION() FROM kept'))).toMatch(
    /\n3\t.*-KWDB-2\.2\.1-/,
  );
  expect((await run('database')).failed).toEqual(['No other release, and no other mode, is on the node']);
}, 600_000);

test('the stand-in in insecure mode takes the same store, and whoever comes', async () => {
  const unit = '/etc/systemd/system/kaiwudb.service';
  await on(
    'dbk2',
    `sed -i 's/--certs-dir=[^ ]*/--insecure/' ${unit}; systemctl daemon-reload; systemctl restart kaiwudb`,
  );
  const asks = `kwbase sql --insecure --host=${vip} -e 'SELECT COUNT(*) FROM kept'`;
  expect(await on('dbk1', asks)).toBe('COUNT(*)\n3');
  expect((await run('certificates')).failed).toEqual(['KWDB is installed in secure mode']);
}, 600_000);

/** A folder with the archive of an installer that leaves a file with `words` in the data root. */
async function leaving(words: string): Promise<string> {
  const folder = await mkdtemp(join(state, 'leaving-'));
  const from = await packages();
  const archive = (await readdir(from)).find((file) => file.includes('2.2.0')) ?? '';
  const script = `set -e; cd "$1"; tar -xzf "$2/$3"
    sed -i "s|^  done_with INSTALL|  echo $4 >$5/left; &|" kwdb_install/deploy.sh
    tar -czf "$3" kwdb_install; rm -r kwdb_install`;
  execFileSync('sh', ['-c', script, 'sh', folder, from, archive, words, ROOT], { stdio: 'ignore' });
  return folder;
}
async function packages(): Promise<string> {
  const found = /kwdb_packages: (.*)/.exec(await readFile(lab.inventory, 'utf8'));
  return found?.[1] ?? '';
}
