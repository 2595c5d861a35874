import { rm } from 'node:fs/promises';
import { DrillbookError } from '../core/error.ts';
import { boot } from './boot.ts';
import { makeAnew, makeData, makeDisks, newSerial } from './disk.ts';
import { ensureImage } from './image.ts';
import type { ImageName } from './image.ts';
import { inventoryOf, nameDisks, writeInventory } from './inventory.ts';
import { withLock } from './lock.ts';
import { freezeMachine, killMachines, machinesOf } from './machine.ts';
import * as network from './network.ts';
import type { ProgramOptions, ProgramResult } from './program.ts';
import { allowManyNodes, meetRequirements, requireRoot } from './requirements.ts';
import { ssh, sshArguments } from './ssh.ts';
import { ensureStandins } from './standins.ts';
import * as states from './state.ts';
import type { Database, LabStack, LabState, Link, NodeState } from './state.ts';
import { ensureVm } from './vm.ts';

export { leftovers } from './leftovers.ts';

export interface UpOptions {
  readonly name: string;
  /** Product that the nodes are for; dbackup when left out. */
  readonly stack?: LabStack | undefined;
  readonly database: Database;
  /** Names of the nodes; dbk1 and dbk2 when left out. */
  readonly nodes?: readonly string[] | undefined;
  /** Nodes with a kernel of their own that has DRBD, and a data disk. */
  readonly drbd?: boolean | undefined;
  /** The packages of the cluster are installed already. */
  readonly installed?: boolean | undefined;
  /** A third node, `arbiter`: a container. */
  readonly arbiter?: boolean | undefined;
  /** Size of the data disk in MiB. */
  readonly dataMb?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
}

export interface LabNode {
  readonly name: string;
  /** Where ssh reaches it. */
  readonly address: string;
  readonly addresses: Readonly<Record<Link, string>>;
  readonly cuts: readonly Link[];
  /** Process of its container's manager on this machine; undefined when it is off. */
  readonly pid: number | undefined;
}

/** Real Debian nodes on this machine. Disposal (`await using`) takes the lab down. */
export interface Lab extends AsyncDisposable {
  readonly name: string;
  readonly dir: string;
  readonly database: Database;
  readonly inventory: string;
  /** The nodes as they were when the lab was opened; `status` asks again. */
  readonly nodes: readonly LabNode[];
  status(): Promise<readonly LabNode[]>;
  /** Runs a command on a node as root; the result says how it ended. */
  ssh(node: string, command: string, options?: ProgramOptions): Promise<ProgramResult>;
  /** Cuts one link of a node, or all. Silently: the carrier stays; or with the cable pulled out, of a container. */
  cut(node: string, link?: Link, how?: states.Cut): Promise<void>;
  heal(node: string, link?: Link): Promise<void>;
  /**
   * Power failure: every process ends at once and peers hear nothing. What was written and never synced is lost by a
   * virtual machine alone: that of a container is in the memory of this machine, which did not fail.
   */
  powerOff(node: string): Promise<void>;
  /** Boots from the disk as it was; resolves when all services are started. */
  powerOn(node: string, signal?: AbortSignal): Promise<void>;
  /** Puts an empty data disk into a node that is off, of the size of the old one unless another is given (MiB). */
  replaceDisk(node: string, sizeMb?: number): Promise<void>;
  /** Puts a bare node in the place of one that is off: empty disks, another host key; `sizeMb` as in `replaceDisk`. */
  replaceNode(node: string, sizeMb?: number): Promise<void>;
  down(): Promise<void>;
}

/** Brings up a new lab. When it fails or is aborted nothing is left of it. */
export async function upLab(options: UpOptions): Promise<Lab> {
  const { name, signal } = options;
  const onProgress = options.onProgress ?? (() => undefined);
  const nodes = options.nodes ?? ['dbk1', 'dbk2'];
  for (const word of [name, ...nodes]) states.checkName(word);
  const twice = nodes.find((node, i) => nodes.indexOf(node) !== i);
  if (twice !== undefined) throw new DrillbookError('usage.lab', `two nodes are called ${twice}`);
  try {
    await meetRequirements(onProgress, signal);
    return await exclusively(name, async () => {
      const before = await states.readState(name);
      if (before?.isUp === true) {
        throw new DrillbookError('usage.lab', `lab ${name} is up already`, {
          hint: `\`drillbook lab down --name ${name}\` first, or another name`,
        });
      }
      await remove(name);
      try {
        return await create(options, nodes, onProgress, signal);
      } catch (error) {
        await remove(name);
        throw error;
      }
    });
  } catch (error) {
    // What else went wrong, such as the removal, is told instead.
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    throw new DrillbookError('interrupt.lab', `interrupted: nothing is left of lab ${name}`);
  }
}

const imageOf = ({ stack = 'dbackup', database, installed }: UpOptions): ImageName =>
  stack === 'dbackup' ? database : installed === true ? 'installed' : 'cluster';

async function create(
  options: UpOptions,
  names: readonly string[],
  onProgress: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<Lab> {
  const { name, database } = options;
  const stack = options.stack ?? 'dbackup';
  const image = await ensureImage(imageOf(options), { onProgress, signal });
  const vm = options.drbd === true ? await ensureVm(image, { onProgress, signal }) : undefined;
  const packages = await ensureStandins(stack, signal);
  await allowManyNodes();
  const started = Date.now();
  const nodes = [...names, ...(options.arbiter === true ? [states.ARBITER] : [])].map(
    (node, i): NodeState => {
      const base = { name: node, number: i + 1, cuts: {} };
      return vm === undefined || node === states.ARBITER
        ? { ...base, kind: 'container' }
        : { ...base, kind: 'vm', serial: newSerial() };
    },
  );
  const state = await withLock('subnets', { signal }, async () => {
    const subnets = await network.freeSubnets();
    const inventory = inventoryOf(name);
    const fresh: LabState = { name, stack, database, image, vm, subnets, nodes, inventory, isUp: false };
    await states.writeState(fresh);
    await network.makeBridges(fresh);
    return fresh;
  });
  await makeDisks(state, options.dataMb ?? 256);
  await writeInventory(state, packages);
  // All must have settled before anything is taken away again.
  const boots = await Promise.allSettled(nodes.map((node) => boot(state, node, onProgress, signal)));
  for (const one of boots) if (one.status === 'rejected') throw one.reason;
  await states.writeState({ ...state, isUp: true });
  onProgress(`lab ${name}: ${names.join(', ')} up in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return openLab(name, onProgress);
}

const usage = (message: string, hint: string): DrillbookError =>
  new DrillbookError('usage.lab', message, { hint });

/** A lab that was brought up before, by this process or another; `onProgress` hears what did not start in a node that boots. */
export async function openLab(
  name: string,
  onProgress: (text: string) => void = () => undefined,
): Promise<Lab> {
  const state = await stateOf(name);
  const change = async (node: string, work: (state: LabState, node: NodeState) => Promise<NodeState>) =>
    exclusively(name, async () => {
      const now = await stateOf(name);
      // Of a replacement that was killed in between.
      await nameDisks(now);
      const found = nodeOf(now, node);
      const after = await work(now, found);
      const then = { ...now, nodes: now.nodes.map((one) => (one === found ? after : one)) };
      await states.writeState(then);
      await nameDisks(then);
    });
  return {
    name,
    dir: states.labDir(name),
    database: state.database,
    inventory: state.inventory,
    nodes: await nodesOf(state),
    status: async () => nodesOf(await stateOf(name)),
    ssh: (node, command, options) => ssh(state, nodeOf(state, node), command, options),
    cut: (node, link, how = 'silent') =>
      change(node, async (now, found) => {
        if (found.kind === 'vm' && how === 'unplugged')
          throw usage(
            `${node} is a virtual machine, whose cards do not lose their carrier`,
            'cut it silently',
          );
        const wanted = link === undefined ? states.links : [link];
        for (const one of wanted) await network.cutPort(now, found, one, how);
        return { ...found, cuts: { ...found.cuts, ...Object.fromEntries(wanted.map((one) => [one, how])) } };
      }),
    heal: (node, link) =>
      change(node, async (now, found) => {
        const wanted = link === undefined ? states.links : [link];
        for (const one of wanted) await network.healPort(now, found, one);
        const left = Object.entries(found.cuts).filter(([one]) => !wanted.some((link) => link === one));
        return { ...found, cuts: Object.fromEntries(left) };
      }),
    powerOff: (node) =>
      change(node, async (_, found) => {
        await freezeMachine(name, node);
        await network.unplug(name, found);
        await killMachines(name, node);
        return found;
      }),
    powerOn: (node, signal) =>
      change(node, async (now, found) => {
        if (await isOn(now, found)) return found;
        // A node that powered itself off leaves its control group.
        await killMachines(name, node);
        await allowManyNodes();
        await network.makeBridges(now);
        await boot(now, found, onProgress, signal);
        return found;
      }),
    replaceDisk: (node, sizeMb) =>
      change(node, async (now, found) => {
        if (found.serial === undefined)
          throw usage(`${node} has no data disk`, 'only nodes of a lab with DRBD have one');
        if (await isOn(now, found)) throw usage(`${node} is on`, `\`drillbook lab power-off ${node}\` first`);
        await makeData(now, found, sizeMb);
        return { ...found, serial: newSerial() };
      }),
    replaceNode: (node, sizeMb) =>
      change(node, async (now, found) => {
        if (await isOn(now, found)) throw usage(`${node} is on`, `\`drillbook lab power-off ${node}\` first`);
        await makeAnew(now, found, sizeMb);
        return found.serial === undefined ? found : { ...found, serial: newSerial() };
      }),
    down: () => downLab(name),
    [Symbol.asyncDispose]: () => downLab(name),
  };
}

/** Takes a lab away with all it made, also after a crash; nothing to do is no error. */
export async function downLab(name: string): Promise<void> {
  states.checkName(name);
  requireRoot();
  await exclusively(name, () => remove(name));
}

async function remove(name: string): Promise<void> {
  const inventory = (await states.readState(name))?.inventory ?? inventoryOf(name);
  await killMachines(name);
  await network.removeInterfaces(name);
  await rm(inventory, { force: true });
  await rm(states.labDir(name), { recursive: true, force: true });
}

const exclusively = <T>(name: string, work: () => Promise<T>): Promise<T> =>
  withLock(`lab-${states.labId(name)}`, { busy: `another process works on lab ${name} now` }, work);

async function stateOf(name: string): Promise<LabState> {
  states.checkName(name);
  const state = await states.readState(name);
  if (state?.isUp === true) return state;
  throw new DrillbookError('usage.lab', `there is no lab ${name}`, {
    hint: `\`drillbook lab up --name ${name}\` makes one`,
  });
}

function nodeOf(state: LabState, name: string): NodeState {
  const node = state.nodes.find((one) => one.name === name);
  if (node !== undefined) return node;
  throw new DrillbookError('usage.lab', `lab ${state.name} has no node ${name}`, {
    hint: `it has ${state.nodes.map((one) => one.name).join(', ')}`,
  });
}

const isOn = async (state: LabState, node: NodeState): Promise<boolean> =>
  (await machinesOf(state.name)).get(node.name) !== undefined;

async function nodesOf(state: LabState): Promise<readonly LabNode[]> {
  const machines = await machinesOf(state.name);
  return state.nodes.map((node) => ({
    name: node.name,
    address: states.addressOf(state, node, 'mgmt'),
    addresses: {
      mgmt: states.addressOf(state, node, 'mgmt'),
      net1: states.addressOf(state, node, 'net1'),
      net2: states.addressOf(state, node, 'net2'),
    },
    cuts: states.links.filter((link) => node.cuts[link] !== undefined),
    pid: machines.get(node.name),
  }));
}

/** OpenSSH's command line for a shell on a node, or for the command that `words` make. */
export async function sshCommand(
  name: string,
  node: string,
  words: readonly string[],
): Promise<{ readonly file: string; readonly args: readonly string[] }> {
  const state = await stateOf(name);
  return { file: 'ssh', args: [...sshArguments(state, nodeOf(state, node)), ...words] };
}

/** Every lab on this machine, also one that a crash left half made. */
export async function listLabs(): Promise<readonly string[]> {
  return states.labNames();
}
