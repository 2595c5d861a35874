/**
 * What the metadata of one volume says of its history (drbdmeta(8), get-gi). The lowest bit of an identifier tells no
 * generations apart; it is cleared here.
 */
export interface Generations {
  readonly current: string;
  /** What the bitmap counts from: zeroes while the peer is in step. */
  readonly bitmap: string;
  readonly history: readonly string[];
  /** The disk is whole: not one that was being filled. */
  readonly isConsistent: boolean;
  /** It is primary, or was when it was last heard of. */
  readonly isPrimary: boolean;
  /** It went down as primary, and has not met its peer since: its bitmap counts whole extents of the activity log. */
  readonly isCrashedPrimary: boolean;
}

const NONE = '0'.repeat(16);
/** Metadata that was made and never used (drbd_meta_data, UUID_JUST_CREATED). */
const NEW = `${'0'.repeat(15)}4`;

/** Made, and never used nor filled: a disk that is being filled has the generation of that sync. */
export const isNew = ({ current }: Generations): boolean => current === NEW;
/** Its bitmap counts since the node was alone with a generation. */
export const isCounting = ({ bitmap }: Generations): boolean => bitmap !== NONE;

const cleared = (identifier: string): string =>
  (BigInt(`0x${identifier}`) & ~1n).toString(16).toUpperCase().padStart(16, '0');

/**
 * A line of `drbdadm get-gi`: four identifiers, then flags: seven of DRBD 8.4, of which the last tells of a crashed primary;
 * of DRBD 9 more, of which the fourth does (drbdmeta.c, m_set_v08_uuid and m_set_v9_uuid). Undefined where it is none.
 */
export function parseGenerations(line: string): Generations | undefined {
  const [current = '', bitmap = '', ...rest] = line.trim().split(':');
  const identifiers = [current, bitmap, ...rest.slice(0, 2)];
  const flags = rest.slice(2);
  if (flags.length < 7 || !identifiers.every((text) => /^[0-9A-F]{16}$/i.test(text))) return undefined;
  return {
    current: cleared(current),
    bitmap: cleared(bitmap),
    history: rest.slice(0, 2).map(cleared),
    isConsistent: flags[0] === '1',
    isPrimary: flags[2] === '1',
    isCrashedPrimary: flags[flags.length === 7 ? 6 : 3] === '1',
  };
}

/** How one side's data stands to the other's. */
export type Relation = 'same' | 'behind' | 'ahead' | 'diverged' | 'unrelated';

const past = ({ bitmap, history }: Generations): string[] =>
  [bitmap, ...history].filter((one) => one !== NONE && one !== NEW);

/** By the generations alone, as two nodes that meet judge it (DRBD user's guide, generation identifiers). */
export function relationOf(own: Generations, peer: Generations): Relation {
  if (own.current === peer.current) return 'same';
  if (own.current === NEW || own.current === NONE) return 'behind';
  if (peer.current === NEW || peer.current === NONE) return 'ahead';
  if (past(peer).includes(own.current)) return 'behind';
  if (past(own).includes(peer.current)) return 'ahead';
  return past(own).some((one) => past(peer).includes(one)) ? 'diverged' : 'unrelated';
}
