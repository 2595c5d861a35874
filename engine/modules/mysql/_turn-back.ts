import type { Context } from '../../core/module.ts';
import type { Server } from './_connect.ts';
import { untilRunning } from './_replicate.ts';
import type { BinlogPosition, ReplicaStatus } from './_server.ts';
import { binlogOf, comparePositions, replicaOf, wordsOf } from './_server.ts';
import { statementOf } from './_statement.ts';

/**
 * What this node wrote and the source has not applied is given up with the copy: the source goes on from the end of
 * this node's log. Its own thread is left as it was, running or not.
 */
export async function turnBack(
  ctx: Context,
  there: Context,
  source: Server,
  replica: Server,
  before: ReplicaStatus | null,
): Promise<BinlogPosition | null> {
  const words = wordsOf(source.version);
  const { prefix, change } = words;
  const standing = async (): Promise<BinlogPosition | null> => (await replicaOf(source))?.applied ?? null;
  // Stopped first: where it stands elsewhere after an interruption, it was turned before it, and what was written here since
  // and applied there would be applied twice from `end`. Comparing with `end` would not tell: a log may have begun anew.
  const stood = await ctx.keep('stood', async () => {
    if (before === null || (await binlogOf(replica)) === undefined) return null;
    await source.script([words.stop]);
    return standing();
  });
  if (before === null || stood === null) return null;
  const end = await ctx.keep('reverse', async () => (await binlogOf(replica)) ?? stood);
  const gtid = source.version.flavour === 'mysql' ? `${prefix}_AUTO_POSITION = 0` : 'MASTER_USE_GTID = no';
  const isStopped =
    before.io === 'No' && before.sqlErrno === 0 && before.ioErrno === 0 && before.sql === 'No';
  await ctx.keep('turned', async () => {
    await source.script([words.stop]);
    const now = (await standing()) ?? stood;
    const { file, position } = comparePositions(now, stood) === 0 ? end : now;
    const place = await statementOf(`${change} ${prefix}_LOG_FILE = ?, ${prefix}_LOG_POS = ?, ${gtid}`, [
      file,
      position,
    ]);
    await source.script([place, ...(isStopped ? [] : [words.start])]);
    return true;
  });
  if (!isStopped) await untilRunning(there, source, 30_000);
  return end;
}
