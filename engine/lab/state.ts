import { createHash } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DrillbookError } from '../core/error.ts';

export type Database = 'mariadb' | 'mysql';
export const databases: readonly Database[] = ['mariadb', 'mysql'];

export type LabStack = 'dbackup' | 'kwdb' | 'usphere';
export const labStacks: readonly LabStack[] = ['dbackup', 'kwdb', 'usphere'];

/** A third node, that is none of the pair. */
export const ARBITER = 'arbiter';

export interface VmImage {
  /** A tree with the kernel (user-mode Linux) and what it needs to run. */
  readonly kernel: string;
  /** The disk that nodes begin with. */
  readonly disk: string;
}

/** `mgmt` carries ssh; net1 and net2 carry heartbeats, and net1 the first VIP. Inside a node: eth0, eth1, eth2. */
export type Link = 'mgmt' | 'net1' | 'net2';
export const links: readonly Link[] = ['mgmt', 'net1', 'net2'];

/** The frames of a cut link vanish while its carrier stays (a dead switch), or the cable is pulled out of the node. */
export type Cut = 'silent' | 'unplugged';

/** A container shares this machine's kernel; a virtual machine has its own, with DRBD in it, and a data disk. */
export type Kind = 'container' | 'vm';

export interface NodeState {
  readonly name: string;
  readonly kind: Kind;
  /** From 1, as in the names of its ports and in its addresses. */
  readonly number: number;
  readonly cuts: Readonly<Partial<Record<Link, Cut>>>;
  /** Of the data disk that is in it now: /dev/disk/by-id/ubd-SERIAL; virtual machines have one. */
  readonly serial?: string;
}

/** What is known of a lab on disk. */
export interface LabState {
  readonly name: string;
  readonly stack: LabStack;
  readonly database: Database;
  /** Folder of the containers' image. */
  readonly image: string;
  /** What virtual machines boot: kernel and disk. */
  readonly vm?: VmImage | undefined;
  /** The first three numbers of each network, a /24. */
  readonly subnets: Readonly<Record<Link, string>>;
  readonly nodes: readonly NodeState[];
  readonly inventory: string;
  readonly isUp: boolean;
}

/** Labs belong to the machine (their names, bridges, subnets), not to a checkout. */
export const labsDir = (): string => resolve(process.env['DRILLBOOK_LABS'] ?? '/var/lib/drillbook/labs');
export const cacheDir = (): string => resolve(process.env['DRILLBOOK_CACHE'] ?? '/var/cache/drillbook');
export const labDir = (name: string): string => join(labsDir(), name);
export const nodeDir = (lab: string, node: string): string => join(labDir(lab), 'nodes', node);
export const checkout = resolve(import.meta.dirname, '../..');

/** Names interfaces and control groups; from the name alone, so that `down` finds them after any crash. */
export const labId = (name: string): string =>
  createHash('sha256').update(labDir(name)).digest('hex').slice(0, 6);

export const addressOf = (lab: LabState, node: NodeState, link: Link): string =>
  `${lab.subnets[link]}.${10 + node.number}`;

export function checkName(name: string): void {
  if (/^[a-z][a-z0-9-]{0,30}$/.test(name)) return;
  throw new DrillbookError('usage.lab', `\`${name}\` cannot be the name of a lab or node`, {
    hint: 'a small letter, then up to 30 small letters, digits and hyphens',
  });
}

/** The lab's state; undefined when there is no such lab, or one so half made that its state cannot be read. */
export async function readState(name: string): Promise<LabState | undefined> {
  try {
    return JSON.parse(await readFile(join(labDir(name), 'lab.json'), 'utf8')) as LabState;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** It is on the disk when this resolves, also after a power failure of this machine. */
export async function writeState(state: LabState): Promise<void> {
  const path = join(labDir(state.name), 'lab.json');
  await mkdir(labDir(state.name), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`, { flush: true });
  await rename(`${path}.new`, path);
  const folder = await open(labDir(state.name));
  await folder.sync().finally(() => folder.close());
}

/** Names of the labs that this machine has. */
export async function labNames(): Promise<readonly string[]> {
  return (await readdir(labsDir()).catch(() => [])).sort();
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
