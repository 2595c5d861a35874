import { bytesText } from '../../core/bytes.ts';
import type { Version } from './_connect.ts';
import type { DatabaseSettings } from './_settings.ts';
import type { Survey } from './_survey.ts';

export type Method = 'dump' | 'physical';

/** All that decides how a replica is copied. */
export interface Facts {
  readonly wanted: 'auto' | Method;
  readonly flavour: DatabaseSettings['flavour'];
  readonly source: Version;
  readonly replica: Version;
  /** Databases were named: not all that the server holds is wanted. */
  readonly isPart: boolean;
  /** About what the databases hold; undefined where the server does not tell. */
  readonly bytes: number | undefined;
  /** From how many bytes on `auto` takes the physical one. */
  readonly fromBytes: number;
  /** Of the replica and of the source; undefined where they were not asked. */
  readonly here: Survey | undefined;
  readonly there: Survey | undefined;
}

const series = ({ number }: Version): number => Math.floor(number / 100);

/** What can be told of the servers alone. */
export function obstacleOfServers({ flavour, source, replica, isPart }: Facts): string | undefined {
  if (flavour === 'greatdb' || flavour === 'kylin') return `it is not offered on ${flavour}`;
  if (isPart) return 'only some databases are wanted, and it copies all that the server holds';
  const isMariadb = source.flavour === 'mariadb';
  const isAlike =
    source.flavour === replica.flavour &&
    (isMariadb ? series(source) === series(replica) : source.number === replica.number);
  if (!isAlike) return `the servers differ: ${source.text} and ${replica.text}`;
  // mariadb-backup has that name since 10.5; MySQL learned to clone in 8.0.17.
  if (source.number < (isMariadb ? 100500 : 80017)) return `${source.text} is too old for it`;
  return undefined;
}

/** Why a physical copy is not possible; undefined where it is. */
export function obstacleOf(facts: Facts): string | undefined {
  const first = obstacleOfServers(facts);
  if (first !== undefined) return first;
  const { here, there } = facts;
  for (const survey of [there, here]) {
    if (survey === undefined) continue;
    if (survey.lacking.length > 0) return `${survey.node} has no ${survey.lacking.join(', no ')}`;
    if (survey.closed !== undefined) return `on ${survey.node} ${survey.closed}`;
  }
  if (here === undefined || there === undefined) return undefined;
  // A tenth more: what is written meanwhile comes along as redo log.
  const neededBytes = Math.ceil(there.usedBytes * 1.1);
  if (here.roomBytes < neededBytes)
    return `beside ${here.data} of ${here.node} there is room for ${bytesText(here.roomBytes)}, and ${bytesText(neededBytes)} are needed`;
  return undefined;
}

/** How it is copied, and why, in words. A physical copy that is asked for and not possible is refused with `refused`. */
export function chooseMethod(
  facts: Facts,
): { readonly method: Method; readonly why: string } | { readonly refused: string } {
  const { wanted, bytes, fromBytes } = facts;
  if (wanted === 'dump') return { method: 'dump', why: 'asked for' };
  const obstacle = obstacleOf(facts);
  if (wanted === 'physical')
    return obstacle === undefined ? { method: 'physical', why: 'asked for' } : { refused: obstacle };
  const size = bytes === undefined ? 'size not known' : `about ${bytesText(bytes)}`;
  if (bytes === undefined || bytes < fromBytes)
    return { method: 'dump', why: `${size}, and a physical copy is for ${bytesText(fromBytes)} and more` };
  if (obstacle !== undefined)
    return { method: 'dump', why: `${size}, but a physical copy is not possible: ${obstacle}` };
  return { method: 'physical', why: `${size}, that is ${bytesText(fromBytes)} or more` };
}
