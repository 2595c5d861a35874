import type { Lab } from '../../../engine/lab/lab.ts';
import { seeded } from '../../run/_matrix.ts';

export type Node = 'dbk1' | 'dbk2';
export const NODES: readonly Node[] = ['dbk1', 'dbk2'];
export const peerOf = (node: Node): Node => (node === 'dbk1' ? 'dbk2' : 'dbk1');

/** How a pair comes apart. */
export const KINDS = [
  'both were primary and wrote',
  'the primary lost power, and both wrote',
  'one is StandAlone, the other looks for it',
  'only a connection was lost',
  'one wrote, the other was promoted',
  'one wrote, the other stayed secondary',
  'one wrote without a generation of its own',
  'the one with the newer generation is to go',
  'the only one that wrote is to go',
  'the victim is mounted',
] as const;
export type Kind = (typeof KINDS)[number];

/** Neither node has anything to lose. */
export const isHarmless = (kind: Kind): boolean =>
  kind === 'only a connection was lost' || kind === 'one wrote, the other stayed secondary';

/** One way of coming apart, as its seed has it. */
export interface Split {
  readonly seed: number;
  readonly kind: Kind;
  /** Node that is to give its data up; the other has the device mounted where `isServing`. */
  readonly victim: Node;
  readonly isServing: boolean;
  /** KiB of a file that a node writes while it is alone; 0 where it writes nothing. */
  readonly wroteKb: Readonly<Record<Node, number>>;
  readonly first: Node;
  /** The network is mended only after the verdict. */
  readonly isCutStill: boolean;
  /** Policies of DRBD as the product's document has them: they may discard without asking. Else none. */
  readonly hasPolicies: boolean;
  readonly compress: 'none' | 'gzip';
  /** Where in the repair its engine dies, from 0 to 1; as often as there are numbers. */
  readonly deaths: readonly number[];
}

export function splitOf(seed: number): Split {
  const random = seeded(seed * 7919);
  const one = <T>(list: readonly [T, T]): T => list[Math.floor(random() * list.length)] ?? list[0];
  const kind = KINDS[(seed - 1) % KINDS.length] ?? KINDS[0];
  const victim: Node = one<Node>(['dbk1', 'dbk2']);
  const size = (): number => 4 + Math.floor(random() * 6000);
  const sizes = { [victim]: size(), [peerOf(victim)]: size() } as Record<Node, number>;
  const silent: Partial<Record<Kind, Node>> = {
    'one wrote, the other was promoted': victim,
    'one wrote, the other stayed secondary': victim,
    'the only one that wrote is to go': peerOf(victim),
  };
  const isNothing = kind === 'only a connection was lost';
  const wroteKb = Object.fromEntries(
    NODES.map((node) => [node, isNothing || silent[kind] === node ? 0 : sizes[node]]),
  ) as Record<Node, number>;
  // A node that is behind, as far as its generation tells, would be written over as soon as they meet.
  const isHidden = kind.includes('generation');
  const isCutStill = random() < 0.5 || isHidden;
  return {
    ...{ seed, kind, victim, wroteKb, isCutStill },
    isServing: kind !== 'the only one that wrote is to go' && random() < 0.5,
    first: one<Node>(['dbk1', 'dbk2']),
    hasPolicies: isCutStill && random() < 0.7,
    compress: random() < 0.25 ? 'gzip' : 'none',
    deaths: Array.from({ length: Math.floor(random() * 3) }, random),
  };
}

export const ALONE = `drbdadm new-resource drbd3; drbdadm new-minor drbd3; drbdadm attach drbd3`;
/** Its bitmap counts from some generation already: a promotion begins no new one then. */
export const HIDE = `drbdadm down drbd3
IFS=: read -r current _ rest <<GI
$(drbdadm get-gi drbd3)
GI
drbdmeta --force 3 v08 $(drbdadm sh-ll-dev drbd3) internal set-gi $current:ABCDEF0123456780:$rest >/dev/null
${ALONE}`;

export type On = (node: Node, script: string) => Promise<string>;

/** Waits on the node until a command succeeds. */
const until = (test: string): string =>
  `for i in $(seq 1200); do if ${test}; then exit 0; fi; sleep 0.1; done; cat /proc/drbd; exit 1`;
export const isStandAlone = until('drbdadm cstate drbd3 | grep -q StandAlone');
export const isApart = until('drbdadm cstate drbd3 | grep -qE "StandAlone|WFConnection"');

/** Alone, promoted, a file of random data written, and the device let go again. */
export const write = (node: Node, kb: number): string => `drbdadm primary drbd3 || exit
[ ${kb} = 0 ] || { mount /dev/drbd3 /mnt && head -c ${kb * 1024} /dev/urandom >/mnt/of-${node} || exit
sha256sum </mnt/of-${node}; umount /mnt; }
drbdadm secondary drbd3`;

/** Brings a pair that is in step apart; checksum of what each node has written meanwhile. */
export async function comeApart(lab: Lab, on: On, split: Split): Promise<Readonly<Record<Node, string>>> {
  const { kind, victim, wroteKb, first } = split;
  const survivor = peerOf(victim);
  const sums = { dbk1: '', dbk2: '' };
  const writes = async (node: Node): Promise<void> => {
    sums[node] = await on(node, write(node, wroteKb[node]));
  };
  const before = kind.startsWith('the primary lost') ? first : undefined;
  if (before !== undefined) {
    await on(before, 'drbdadm primary drbd3 && mount /dev/drbd3 /mnt && date >/mnt/before && sync');
    await lab.powerOff(before);
    await on(peerOf(before), isApart);
    await writes(peerOf(before));
    await lab.cut(peerOf(before), 'net2');
    await lab.powerOn(before);
    await on(before, ALONE);
    await writes(before);
    await on(before, 'drbdadm adjust drbd3');
    return sums;
  }
  await lab.cut(first, 'net2');
  await Promise.all(NODES.map((node) => on(node, isApart)));
  const hidden =
    kind === 'one wrote without a generation of its own'
      ? victim
      : kind === 'the one with the newer generation is to go'
        ? survivor
        : undefined;
  if (hidden !== undefined) await on(hidden, HIDE);
  for (const node of [first, peerOf(first)])
    if (wroteKb[node] > 0 || (kind !== 'only a connection was lost' && !kind.endsWith('stayed secondary')))
      await writes(node);
  if (hidden !== undefined) await on(hidden, 'drbdadm adjust drbd3');
  if (kind.startsWith('one is StandAlone') || isHarmless(kind)) await on(first, 'drbdadm disconnect drbd3');
  return sums;
}
