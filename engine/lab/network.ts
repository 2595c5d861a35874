import { readdir } from 'node:fs/promises';
import { DrillbookError } from '../core/error.ts';
import { must } from './program.ts';
import {
  labId,
  links,
  labNames,
  readState,
  type Cut,
  type LabState,
  type Link,
  type NodeState,
} from './state.ts';

/** Where labs look for free networks: the first two numbers of private ranges that few use. */
const RANGES = ['10.201', '172.29', '192.168'];
const SLOTS = 64;

const prefixOf = (lab: string): string => `dl${labId(lab)}`;
const LETTERS: Readonly<Record<Link, string>> = { mgmt: 'm', net1: '1', net2: '2' };
const bridgeOf = (lab: string, link: Link): string => `${prefixOf(lab)}${LETTERS[link]}`;
/**
 * A bridge that is never up: its ports lose every frame and keep their carrier. (A port that is disabled in its own
 * bridge is enabled again by the kernel as soon as the node's end goes down and up.)
 */
const deadEndOf = (lab: string): string => `${prefixOf(lab)}x`;
export const portOf = (lab: string, node: NodeState, link: Link): string =>
  `${bridgeOf(lab, link)}-${node.number}`;

const batch = (lines: readonly string[]): Promise<string> =>
  must('ip', ['-batch', '-'], { stdin: `${lines.join('\n')}\n` });

/** Subnets that neither this machine nor another lab uses. To be called under a lock that lasts until they are written down. */
export async function freeSubnets(): Promise<Readonly<Record<Link, string>>> {
  const taken = [...(await routes()), ...(await subnetsOfLabs())];
  for (const range of RANGES) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const first = number(`${range}.${4 * slot}.0`);
      if (taken.some(([from, to]) => from < first + 1024 && first <= to)) continue;
      const [mgmt, net1, net2] = [0, 1, 2].map((i) => `${range}.${4 * slot + i}`);
      if (mgmt !== undefined && net1 !== undefined && net2 !== undefined) return { mgmt, net1, net2 };
    }
  }
  throw new DrillbookError('lab.subnets', 'no free private network is left on this machine for a lab');
}

type Span = readonly [from: number, to: number];

const number = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

async function routes(): Promise<readonly Span[]> {
  const text = await must('ip', ['-json', '-4', 'route', 'show', 'table', 'all']);
  return (JSON.parse(text) as readonly { dst: string }[]).flatMap(({ dst }) => {
    const [address, bits = '32'] = dst.split('/');
    if (address === undefined || address === 'default') return [];
    return [[number(address), number(address) + 2 ** (32 - Number(bits)) - 1] as const];
  });
}

async function subnetsOfLabs(): Promise<readonly Span[]> {
  const states = await Promise.all((await labNames()).map(readState));
  return states.flatMap((state) => {
    if (state === undefined) return [];
    const first = number(`${state.subnets.mgmt}.0`);
    return [[first, first + 1023] as const];
  });
}

/** Makes the lab's bridges, of which a restart of this machine has left none; this machine gets the address .1 on each. */
export async function makeBridges(lab: LabState): Promise<void> {
  const there = await interfacesOf(lab.name);
  const add = (bridge: string, options: string): readonly string[] =>
    there.includes(bridge) ? [] : [`link add ${bridge} type bridge ${options}`];
  await batch([
    ...add(deadEndOf(lab.name), ''),
    ...links.flatMap((link) => {
      const bridge = bridgeOf(lab.name, link);
      return [
        ...add(bridge, 'stp_state 0 forward_delay 0 mcast_snooping 0'),
        `link set ${bridge} addrgenmode none`,
        `address replace ${lab.subnets[link]}.1/24 broadcast + dev ${bridge}`,
        `link set ${bridge} up`,
      ];
    }),
  ]);
}

/** The address that a card keeps for life. */
export const macOf = (lab: LabState, node: NodeState, card: number): string => {
  const id = labId(lab.name).match(/../g)?.join(':') ?? '';
  return `02:${id}:0${card}:${(10 + node.number).toString(16).padStart(2, '0')}`;
};

/** Gives a node its three cards: the network namespace of process `pid`, or taps for a virtual machine. */
export async function plug(lab: LabState, node: NodeState, pid: number): Promise<void> {
  // The kernel takes a namespace away some time after its last process: ports of the boot before may still be there.
  await unplug(lab.name, node);
  await batch(
    links.flatMap((link, i) => {
      const port = portOf(lab.name, node, link);
      return [
        node.kind === 'vm'
          ? `tuntap add ${port} mode tap`
          : `link add ${port} type veth peer name eth${i} address ${macOf(lab, node, i)} netns ${pid}`,
        `link set ${port} addrgenmode none master ${bridgeOf(lab.name, link)} up`,
      ];
    }),
  );
  for (const link of links) {
    const how = node.cuts[link];
    if (how !== undefined) await cutPort(lab, node, link, how);
  }
}

/** Silence first, then removal: peers of a node that lost its power hear no farewell. */
export async function unplug(lab: string, node: NodeState): Promise<void> {
  for (const port of await interfacesOf(lab)) {
    if (port.endsWith(`-${node.number}`)) await deletePort(port);
  }
}

/** A port goes by itself with its node's namespace, maybe just now. */
async function deletePort(port: string): Promise<void> {
  await must('ip', ['link', 'delete', port]).catch(async (error: unknown) => {
    if ((await readdir('/sys/class/net')).includes(port)) throw error;
  });
}

/** Of a node without cards the cut is made when it gets them. */
export async function cutPort(lab: LabState, node: NodeState, link: Link, how: Cut): Promise<void> {
  await setPort(lab, node, link, how === 'unplugged' ? ['down'] : ['up', 'master', deadEndOf(lab.name)]);
}

export async function healPort(lab: LabState, node: NodeState, link: Link): Promise<void> {
  await setPort(lab, node, link, ['up', 'master', bridgeOf(lab.name, link)]);
}

async function setPort(lab: LabState, node: NodeState, link: Link, change: readonly string[]): Promise<void> {
  const port = portOf(lab.name, node, link);
  if ((await interfacesOf(lab.name)).includes(port)) await must('ip', ['link', 'set', port, ...change]);
}

/** Every interface on this machine that a lab of this name made. */
export async function interfacesOf(lab: string): Promise<readonly string[]> {
  const names = await readdir('/sys/class/net');
  return names.filter((name) => name.startsWith(prefixOf(lab)));
}

export async function removeInterfaces(lab: string): Promise<void> {
  const found = await interfacesOf(lab);
  // Ports first, bridges after them.
  for (const name of [...found].sort((a, b) => b.length - a.length)) {
    await deletePort(name);
  }
}
