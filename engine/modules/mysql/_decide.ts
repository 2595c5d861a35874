import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import type { Server } from './_connect.ts';
import { bytesOf } from './_copy.ts';
import { chooseMethod, obstacleOfServers } from './_method.ts';
import type { Facts, Method } from './_method.ts';
import { sourceOf, sourcePosition } from './_replicate.ts';
import { databaseOf } from './_settings.ts';
import type { Survey } from './_survey.ts';
import { surveyOf } from './_survey.ts';

export interface Servers {
  readonly source: Server;
  readonly replica: Server;
}

/** Both nodes, and what has the files copied. */
export interface Surveys {
  readonly here: Survey;
  readonly there: Survey;
  readonly by: 'backup' | 'clone';
}

/** How this replica is to be copied, as found before anything was touched. */
export interface Decision {
  readonly method: Method;
  readonly why: string;
  /** Of a physical copy. */
  readonly surveys?: Surveys;
}

/** Throws where a physical copy is asked for and not possible, or nothing can be replicated from the source. */
export async function decide(
  ctx: Context,
  there: Context,
  { source, replica }: Servers,
  wish: {
    readonly method: 'auto' | Method;
    readonly databases?: readonly string[] | undefined;
    readonly physical_from: number;
  },
): Promise<Decision> {
  const database = databaseOf(ctx.cluster);
  // Afterwards it would be too late to find that the replica's account is not let in.
  await sourcePosition(ctx, sourceOf(ctx));
  const facts: Facts = {
    wanted: wish.method,
    flavour: database.flavour,
    source: source.version,
    replica: replica.version,
    isPart: wish.databases !== undefined,
    bytes: await bytesOf(source, wish.databases ?? [database.name]),
    fromBytes: wish.physical_from,
    here: undefined,
    there: undefined,
  };
  const isAsked = wish.method !== 'dump' && obstacleOfServers(facts) === undefined;
  const [here, beyond] = isAsked
    ? await Promise.all([surveyOf(ctx, replica), surveyOf(there, source)])
    : [undefined, undefined];
  const choice = chooseMethod({ ...facts, here, there: beyond });
  if ('refused' in choice)
    throw new StepFailed(
      `A physical copy to ${ctx.host.name} is not possible: ${choice.refused}`,
      {},
      { hint: 'mend that, or copy with method: dump' },
    );
  if (choice.method === 'dump' || !here || !beyond) return choice;
  const by = source.version.flavour === 'mysql' ? 'clone' : 'backup';
  return { ...choice, surveys: { here, there: beyond, by } };
}

/** Whether the server takes writes of all who may write. */
export const takesWrites = async (server: Server): Promise<boolean> =>
  Number((await server.rows('SELECT @@GLOBAL.read_only AS closed'))[0]?.['closed']) === 0;

/** Throws where the replica looks like the primary. */
export async function refuseTaker(ctx: Context, peer: string, { source, replica }: Servers): Promise<true> {
  if (!(await takesWrites(replica)) || (await takesWrites(source))) return true;
  throw new StepFailed(
    `${ctx.host.name} takes writes and ${peer} is read-only: ${ctx.host.name} looks like the primary, and its data would be lost`,
    {},
    { hint: 'a resync runs on the standby' },
  );
}
