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
  const end = await ctx.keep('reverse', async () => (await binlogOf(replica)) ?? null);
  if (before === null || end === null) return null;
  const words = wordsOf(source.version);
  const { prefix, change } = words;
  const gtid = source.version.flavour === 'mysql' ? `${prefix}_AUTO_POSITION = 0` : 'MASTER_USE_GTID = no';
  const isStopped =
    before.io === 'No' && before.sqlErrno === 0 && before.ioErrno === 0 && before.sql === 'No';
  await ctx.keep('turned', async () => {
    await source.script([words.stop]);
    const { applied } = (await replicaOf(source)) ?? before;
    // What was written here since, and applied there before an interruption, would be applied twice from `end`. A
    // log begun anew counts from its start: there only a turn made before goes back.
    const isBeyond =
      comparePositions(applied, end) > 0 &&
      (comparePositions(before.applied, end) <= 0 || comparePositions(applied, before.applied) < 0);
    const { file, position } = isBeyond ? applied : end;
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
