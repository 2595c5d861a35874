import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { copyByClone, positionOfClone, withoutPlugin } from './_clone.ts';
import type { OnServer, Server } from './_connect.ts';
import { takesWrites } from './_decide.ts';
import type { Surveys } from './_decide.ts';
import { isStrict } from './_dump.ts';
import { copyByBackup } from './_mariabackup.ts';
import type { Method } from './_method.ts';
import { changeSource, sourceOf } from './_replicate.ts';
import type { BinlogPosition } from './_server.ts';
import { wordsOf } from './_server.ts';
import type { Login } from './_settings.ts';
import { swapData } from './_swap.ts';

type Closed = '' | 'read_only' | 'super_read_only';
type Copied = BinlogPosition | { readonly isPluginNew: boolean };

interface Ways {
  readonly there: Context;
  readonly onSource: OnServer;
  readonly onReplica: OnServer;
  readonly admin: Login;
  readonly port: number;
  /** What tells this copy from others. */
  readonly word: string;
  /** Throws where the replica has become the primary. */
  clear(): Promise<true>;
}

/** The variable that keeps writers off the server. */
async function closedBy(server: Server): Promise<Closed> {
  if (await isStrict(server)) return 'super_read_only';
  return (await takesWrites(server)) ? '' : 'read_only';
}

/**
 * The replica's data become a copy of the source's, and the source is named from where the copy stands. Where copying failed,
 * which touches nothing, and another way is as good: why.
 */
export async function copyFiles(
  ctx: Context,
  ways: Ways,
  surveys: Surveys,
  wanted: 'auto' | Method,
): Promise<string | undefined> {
  const { there, onSource, onReplica, admin, port, word } = ways;
  const closed = await ctx.keep('closed', () => onReplica(closedBy));
  const strict = closed === 'super_read_only';
  const copying: Promise<Copied> =
    surveys.by === 'clone'
      ? copyByClone(ctx, onSource, surveys, { admin, strict, word })
      : copyByBackup(ctx, there, surveys, { admin, port });
  const copied = await copying.catch((error: unknown) => {
    if (wanted === 'auto' && error instanceof StepFailed && !ctx.signal.aborted) return error;
    throw error;
  });
  // Kept, for what was begun after it must be gone on with.
  const failure = await ctx.keep('failure', () =>
    Promise.resolve(copied instanceof StepFailed ? copied.message : null),
  );
  if (failure !== null) return failure;
  if (copied instanceof StepFailed) throw copied;
  await ctx.keep('cleared', ways.clear);
  await swapData(ctx, surveys.here, admin, closed);
  const name = async (replica: Server): Promise<true> => {
    const { stop, forget } = wordsOf(replica.version);
    const position =
      'isPluginNew' in copied ? await ctx.keep('position', () => positionOfClone(ctx, replica)) : copied;
    await replica.script([stop, forget, await changeSource(replica, sourceOf(ctx), position)]);
    if ('isPluginNew' in copied) await withoutPlugin(replica, copied);
    return true;
  };
  await ctx.keep('named', () => onReplica(name));
  return undefined;
}
