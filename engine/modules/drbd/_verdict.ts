import { bytesText } from '../../core/bytes.ts';
import { durationText } from '../../core/duration.ts';
import type { Relation } from './_generations.ts';
import { isCounting, relationOf } from './_generations.ts';
import type { Side } from './_side.ts';
import { resultOf } from './_status.ts';

export type State = 'connected' | 'lost_connection' | 'split_brain' | 'unrelated' | 'unknown';

/** What is to be thought of a pair; JSON. */
export interface Verdict {
  readonly state: State;
  /** In plain words, for the operator. */
  readonly text: string;
  /** The node that could give its data up with the least loss; null where there is nothing to give up, or it is open. */
  readonly candidate: string | null;
  /** How the first node's data stands to the second's. */
  readonly relation: Relation | null;
  /** Node → bytes that the other one has not, lost if this node gives its data up; null where that is not known. */
  readonly loss: Readonly<Record<string, number | null>>;
  /** The node that was primary last, where that can be told. */
  readonly lastPrimary: string | null;
}

const OPPOSITE: Readonly<Record<Relation, Relation>> = {
  same: 'same',
  behind: 'ahead',
  ahead: 'behind',
  diverged: 'diverged',
  unrelated: 'unrelated',
};

const isWhole = ({ generations }: Side): boolean => generations.every(({ isConsistent }) => isConsistent);
export const serves = ({ uses, hasVip }: Side): boolean => uses.length > 0 || hasVip;
const isCrashed = ({ generations }: Side): boolean =>
  generations.some(({ isCrashedPrimary }) => isCrashedPrimary);

/** Bytes that a side has written, or received, and its peer has not, as its bitmap counts them. */
const outOfSync = ({ resource }: Side): number =>
  1024 *
  (resource?.peers ?? [])
    .flatMap(({ volumes }) => volumes)
    .reduce((sum, { outOfSyncKb }) => sum + outOfSyncKb, 0);

/** Several volumes are one: of two that stand differently the resource has diverged. */
function relation(one: Side, other: Side): Relation {
  const all = one.generations.map((own, volume) => {
    const peer = other.generations[volume];
    return peer === undefined ? 'unrelated' : relationOf(own, peer);
  });
  if (all.includes('unrelated')) return 'unrelated';
  // A disk that is not whole is filled from the one that is, whatever its generations (drbd_sync_handshake).
  if (isWhole(one) !== isWhole(other)) return isWhole(one) ? 'ahead' : 'behind';
  const apart = new Set(all.filter((word) => word !== 'same'));
  const [word = 'same'] = apart;
  return apart.size > 1 ? 'diverged' : word;
}

const isCountingSide = ({ generations }: Side): boolean => generations.some(isCounting);

/**
 * A node that is promoted while it has a bitmap already begins no new generation: it looks like one that is merely
 * behind, and what it has written would go without a word. After a crash a bitmap that counts from nothing is of whole
 * extents, of what both have.
 */
const hasHiddenWrites = (side: Side): boolean =>
  isWhole(side) && (!isCrashed(side) || isCountingSide(side)) && outOfSync(side) > 0;
/** While it is down, or without its disk, its bitmap cannot be seen. */
const mayHideWrites = (side: Side): boolean =>
  (side.resource === undefined || resultOf(side.resource).disk === 'Diskless') &&
  isWhole(side) &&
  isCountingSide(side);

function lossOf(side: Side, standing: Relation): number {
  if (standing === 'same' || (standing === 'behind' && !hasHiddenWrites(side))) return 0;
  return outOfSync(side);
}

function lastPrimaryOf([one, other]: readonly [Side, Side], standing: Relation): string | null {
  const primaries = [one, other].filter(({ resource }) => resource?.role === 'Primary');
  if (primaries.length === 1) return primaries[0]?.name ?? null;
  if (primaries.length === 2) return null;
  if (standing === 'ahead' || standing === 'behind') return standing === 'ahead' ? one.name : other.name;
  const [a, b] = [one.mountedAgo, other.mountedAgo];
  return a === undefined || b === undefined || a === b ? null : a < b ? one.name : other.name;
}

const ago = (seconds: number): string => `${durationText(seconds * 1000)} ago`;

/** `dbk1 (Primary, disk UpToDate, StandAlone, mounted at /mnt) has 3.0 MiB that dbk2 has not`. */
function toldOf(side: Side, other: Side, loss: number): string {
  const { resource } = side;
  if (resource === undefined) return `${side.name} is down`;
  const { role, disk, connection } = resultOf(resource);
  const words = [role, `disk ${disk}`, connection, ...side.uses, ...(side.hasVip ? ['has the VIP'] : [])];
  const times = side.writtenAgo === undefined ? '' : `, its file system last written ${ago(side.writtenAgo)}`;
  const most = isCrashed(side) ? 'at most ' : '';
  const has = loss === 0 ? 'nothing' : `${most}${bytesText(loss)}`;
  return `${side.name} (${words.join(', ')}${times}) has ${has} that ${other.name} has not`;
}

/** Where a split is settled without anybody being asked, as soon as the nodes meet. */
function settledBy(sides: readonly [Side, Side]): string {
  const looking = sides.filter(({ resource }) => resource && resultOf(resource).connection !== 'StandAlone');
  const primaries = sides.filter(({ resource }) => resource?.role === 'Primary').length;
  const policy = looking
    .flatMap(({ policies }) => policies?.[primaries] ?? [])
    .find((one) => one !== 'disconnect');
  return policy !== undefined
    ? `. As configured (after-sb-${primaries}pri ${policy}), DRBD may discard one of them by itself, without a copy, as soon as they meet: \`drbdadm disconnect\` on both holds that off`
    : '';
}

/** The serving side keeps its data; where none or both serve, one that has written nothing may give way. */
function candidateOf([one, other]: readonly [Side, Side], losses: readonly [number, number]): Side | null {
  if (serves(one) !== serves(other)) {
    const [idle, idleLoss, otherLoss] = serves(one)
      ? [other, losses[1], losses[0]]
      : [one, losses[0], losses[1]];
    return otherLoss === 0 && idleLoss > 0 ? null : idle;
  }
  if ((losses[0] === 0) === (losses[1] === 0)) return null;
  return losses[0] === 0 ? one : other;
}

const unknown = (text: string, sides: readonly [Side, Side]): Verdict => ({
  state: 'unknown',
  text,
  candidate: null,
  relation: null,
  loss: Object.fromEntries(sides.map(({ name }) => [name, null])),
  lastPrimary: null,
});

const isConnected = ({ resource }: Side): boolean =>
  resource !== undefined && resultOf(resource).connection === 'Connected';

/** Pure. Generations decide; the bitmap tells how much, and finds what generations hide. */
export function judge(sides: readonly [Side, Side]): Verdict {
  const [one, other] = sides;
  for (const side of sides) {
    if (side.silence !== undefined)
      return unknown(`What ${side.name} has cannot be told: ${side.silence}`, sides);
    if (side.generations.length === 0)
      return unknown(`${side.name} tells no generations of its data: it has no disk, or no metadata`, sides);
  }
  if (one.generations.length !== other.generations.length)
    return unknown(
      `${one.name} tells the generations of ${one.generations.length} volumes, ${other.name} of ${other.generations.length}`,
      sides,
    );
  const standing = relation(one, other);
  const behind = standing === 'behind' ? one : standing === 'ahead' ? other : undefined;
  const areConnected = isConnected(one) && isConnected(other);
  if (behind !== undefined && !areConnected && mayHideWrites(behind))
    return unknown(
      `${behind.name} is ${behind.resource ? 'without its disk' : 'down'} and behind, and whether it wrote while it was alone cannot be told: bring it up there without connecting it (drbdadm new-resource, new-minor, attach), and look again`,
      sides,
    );
  const losses = [lossOf(one, standing), lossOf(other, OPPOSITE[standing])] as const;
  const isUp = sides.every(({ resource }) => resource !== undefined);
  const base = {
    relation: standing,
    candidate: null,
    loss: Object.fromEntries(sides.map((side, i) => [side.name, isUp ? (losses[i] ?? null) : null])),
    lastPrimary: lastPrimaryOf(sides, standing),
  };
  const each = `${toldOf(one, other, losses[0])}; ${toldOf(other, one, losses[1])}`;
  if (areConnected) return { ...base, state: 'connected', text: `The nodes are connected: ${each}` };
  if (standing === 'unrelated')
    return { ...base, state: 'unrelated', text: `The data of the two nodes has no past in common: ${each}` };
  const isHidden = behind !== undefined && hasHiddenWrites(behind);
  if (standing === 'diverged' || isHidden) {
    const candidate = isUp ? candidateOf(sides, losses) : null;
    const which =
      candidate === null
        ? isUp
          ? 'Neither gives way by itself: both have something to lose, and the operator decides'
          : 'How much cannot be told before both are up'
        : `${candidate.name} could be discarded`;
    return {
      ...base,
      state: 'split_brain',
      candidate: candidate?.name ?? null,
      text: `Split brain${isHidden ? `, though ${behind.name} began no generation of its own` : ''}: ${each}. ${which}${settledBy(sides)}`,
    };
  }
  const after =
    behind === undefined
      ? 'both have the same generation'
      : `${behind.name} is behind, and catches up by itself once they meet`;
  return { ...base, state: 'lost_connection', text: `No split brain, only no connection: ${after}` };
}
