import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { must } from './program.ts';
import { addressOf, labDir, links, nodeDir, type LabState, type NodeState } from './state.ts';

export const keyOf = (lab: string): string => join(labDir(lab), 'id_ed25519');
export const knownHostsOf = (lab: string): string => join(labDir(lab), 'known_hosts');

const keygen = (path: string, comment: string): Promise<string> =>
  must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', path]);

/** Makes the lab's key, each node's own disk with what sets it apart, and known_hosts from the nodes' keys. */
export async function makeDisks(lab: LabState, dataMb: number): Promise<void> {
  await keygen(keyOf(lab.name), `lab-${lab.name}`);
  const publicKey = await readFile(`${keyOf(lab.name)}.pub`, 'utf8');
  const known = await Promise.all(lab.nodes.map((node) => makeDisk(lab, node, publicKey, dataMb)));
  await writeFile(knownHostsOf(lab.name), known.join(''), { mode: 0o600 });
}

/** A bare node in place of the one that was there: nothing is on its disks, and it has another host key. */
export async function makeAnew(lab: LabState, node: NodeState, dataMb?: number): Promise<void> {
  const folder = nodeDir(lab.name, node.name);
  const size = node.kind === 'vm' ? (await stat(join(folder, 'data'))).size / 1024 / 1024 : 0;
  for (const name of ['disk', 'work', 'disk.cow'])
    await rm(join(folder, name), { recursive: true, force: true });
  const publicKey = await readFile(`${keyOf(lab.name)}.pub`, 'utf8');
  const line = await makeDisk(lab, node, publicKey, dataMb ?? size);
  const known = (await readFile(knownHostsOf(lab.name), 'utf8')).split(/(?<=\n)/);
  const others = known.filter((one) => !one.startsWith(`${node.name},`));
  await writeFile(knownHostsOf(lab.name), [...others, line].join(''), { mode: 0o600 });
}

/** The node's line of known_hosts. */
async function makeDisk(lab: LabState, node: NodeState, publicKey: string, dataMb: number): Promise<string> {
  const folder = nodeDir(lab.name, node.name);
  for (const name of ['disk', 'work', 'root']) await mkdir(join(folder, name), { recursive: true });
  const disk = join(folder, 'disk');
  await chmod(disk, 0o755);
  const put = async (path: string, content: string, mode = 0o644): Promise<void> => {
    await mkdir(dirname(join(disk, path)), { recursive: true });
    await writeFile(join(disk, path), content, { mode });
  };
  await put('etc/hostname', `${node.name}\n`);
  await put('etc/machine-id', `${randomBytes(16).toString('hex')}\n`, 0o444);
  await put('etc/hosts', hosts(lab));
  const network = links.map((link, i) => `eth${i} ${addressOf(lab, node, link)}/24\n`);
  await put('etc/lab-network', network.join(''));
  await put('root/.ssh/authorized_keys', publicKey, 0o600);
  for (const path of ['root', 'root/.ssh']) await chmod(join(disk, path), 0o700);
  await mkdir(join(disk, 'etc/ssh'));
  const hostKey = join(disk, 'etc/ssh/ssh_host_ed25519_key');
  await keygen(hostKey, `root@${node.name}`);
  const [type, key] = (await readFile(`${hostKey}.pub`, 'utf8')).split(' ');
  if (node.kind === 'vm') {
    await must('tar', ['-C', disk, '-cf', join(folder, 'own.tar'), '.']);
    await makeData(lab, node, dataMb);
  }
  const names = [node.name, ...links.map((link) => addressOf(lab, node, link))];
  return `${names.join(',')} ${type ?? ''} ${key ?? ''}\n`;
}

export const newSerial = (): string => randomBytes(4).toString('hex');

/** An empty data disk in place of the one that was there, of its size where none is given. */
export async function makeData(lab: LabState, node: NodeState, sizeMb?: number): Promise<void> {
  const data = join(nodeDir(lab.name, node.name), 'data');
  const size = sizeMb === undefined ? (await stat(data)).size : sizeMb * 1024 * 1024;
  await writeFile(data, '');
  await truncate(data, size);
}

function hosts(lab: LabState): string {
  const lines = lab.nodes.map(
    (node) =>
      `${addressOf(lab, node, 'net1')} ${node.name}\n${addressOf(lab, node, 'net2')} ${node.name}-net2\n` +
      `${addressOf(lab, node, 'mgmt')} ${node.name}-mgmt\n`,
  );
  return `127.0.0.1 localhost\n${lines.join('')}`;
}
