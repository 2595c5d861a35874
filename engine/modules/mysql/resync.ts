import { z } from 'zod';
import { zBytes } from '../../core/bytes.ts';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context, Outcome } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import { bytesOf } from './_copy.ts';
import type { Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import { copyByClone, positionOfClone, withoutPlugin } from './_clone.ts';
import { copyByDump, isStrict } from './_dump.ts';
import { copyByBackup } from './_mariabackup.ts';
import { chooseMethod, obstacleOfServers } from './_method.ts';
import type { Facts } from './_method.ts';
import { changeSource, sourceOf, sourcePosition, untilRunning } from './_replicate.ts';
import { replicaOf, wordsOf, zPosition } from './_server.ts';
import { databaseOf, loginOf, loginParam } from './_settings.ts';
import type { Survey } from './_survey.ts';
import { surveyOf } from './_survey.ts';
import { swapData } from './_swap.ts';
import { turnBack } from './_turn-back.ts';

const params = z.strictObject({
  databases: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Databases to copy, by a dump (default: the pair's Catalog)"),
  source: z
    .string()
    .optional()
    .describe("Host of the inventory to copy from (default: the pair's other node)"),
  method: z
    .enum(['auto', 'dump', 'physical'])
    .default('auto')
    .describe(
      '`dump`: statements, loaded into the running server. `physical`: all files of the server, by mariadb-backup or the clone plugin; the server restarts once, and accounts stay as they are. `auto`: physical from `physical_from` on, where it is possible',
    ),
  physical_from: zBytes
    .prefault('1 GiB')
    .describe('Size of the databases from which on `auto` takes the physical copy'),
  port: z
    .int()
    .min(1)
    .max(65535)
    .default(4444)
    .describe('TCP port of the replica that takes the stream of mariadb-backup, from the source alone'),
  wait: zDuration.default(30_000).describe('How long the replication may take to run afterwards'),
  login: loginParam,
});
type Params = z.output<typeof params>;

const takesWrites = async (server: Server): Promise<boolean> =>
  Number((await server.rows('SELECT @@GLOBAL.read_only AS closed'))[0]?.['closed']) === 0;

/** How this replica is to be copied, as found before anything was touched. */
interface Decision {
  readonly method: 'dump' | 'physical';
  readonly why: string;
  readonly here?: Survey;
  readonly there?: Survey;
}

/** Throws where a physical copy is asked for and not possible. */
async function decide(
  ctx: Context,
  there: Context,
  { source, replica }: Servers,
  params: Params,
): Promise<Decision> {
  const database = databaseOf(ctx.cluster);
  const facts: Facts = {
    wanted: params.method,
    flavour: database.flavour,
    source: source.version,
    replica: replica.version,
    isPart: params.databases !== undefined,
    bytes: await bytesOf(source, params.databases ?? [database.name]),
    fromBytes: params.physical_from,
    here: undefined,
    there: undefined,
  };
  const isAsked = params.method !== 'dump' && obstacleOfServers(facts) === undefined;
  const [here, beyond] = isAsked
    ? await Promise.all([surveyOf(ctx, replica), surveyOf(there, source)])
    : [undefined, undefined];
  const choice = chooseMethod({ ...facts, here, there: beyond });
  if (!('refused' in choice))
    return { ...choice, ...(here && beyond && choice.method === 'physical' ? { here, there: beyond } : {}) };
  throw new StepFailed(
    `A physical copy to ${ctx.host.name} is not possible: ${choice.refused}`,
    {},
    { hint: 'mend that, or copy with method: dump' },
  );
}

interface Servers {
  readonly source: Server;
  readonly replica: Server;
}

async function refuseTaker(ctx: Context, peer: string, { source, replica }: Servers): Promise<void> {
  if ((await takesWrites(replica)) && !(await takesWrites(source))) {
    throw new StepFailed(
      `${ctx.host.name} takes writes and ${peer} is read-only: ${ctx.host.name} looks like the primary, and its data would be lost`,
      {},
      { hint: 'a resync runs on the standby' },
    );
  }
}

async function resync(ctx: Context, params: Params): Promise<Outcome> {
  const peer = params.source ?? ctx.cluster?.nodes.find((name) => name !== ctx.host.name);
  if (peer === undefined)
    throw new StepFailed(
      'From where to copy is not known',
      {},
      { hint: 'give `source`, a host of the inventory' },
    );
  const began = await ctx.keep('began', () => Promise.resolve(Date.now()));
  const there = ctx.on(peer);
  const way = sourceOf(ctx);
  const admin = loginOf(ctx.cluster, params.login);
  const onReplica = <T>(use: (replica: Server) => Promise<T>): Promise<T> => withServer(ctx, admin, use);
  return withServer(there, loginOf(there.cluster, params.login), async (source) => {
    const names = params.databases ?? [databaseOf(ctx.cluster).name];
    const back = await ctx.keep('source', async () => (await replicaOf(source)) ?? null);
    const decision = await ctx.keep('method', () =>
      onReplica(async (replica) => {
        await refuseTaker(ctx, peer, { source, replica });
        return decide(ctx, there, { source, replica }, params);
      }),
    );
    const { method, why } = decision;
    ctx.progress(`${method === 'dump' ? 'a dump' : 'a physical copy'}: ${why}`);
    if (decision.here && decision.there) {
      const { here, there: beyond } = decision;
      const surveys = { here, there: beyond };
      const closed = await ctx.keep('closed', () => onReplica(closedBy));
      const isClone = source.version.flavour === 'mysql';
      const copied = isClone
        ? await copyByClone(ctx, source, surveys, admin, closed === 'super_read_only')
        : await copyByBackup(ctx, there, surveys, { admin, port: params.port });
      await swapData(ctx, here, admin, closed);
      await ctx.keep('named', () =>
        onReplica(async (replica) => {
          const { stop, forget } = wordsOf(replica.version);
          const position =
            'isPluginNew' in copied
              ? await ctx.keep('position', () => positionOfClone(ctx, replica))
              : copied;
          await replica.script([stop, forget, await changeSource(replica, way, position)]);
          if ('isPluginNew' in copied) await withoutPlugin(replica, copied, closed === 'super_read_only');
          return true;
        }),
      );
    } else {
      await onReplica(async (replica) => {
        await refuseTaker(ctx, peer, { source, replica });
        // The dump itself brings the position; before it, the source it belongs to has to be named, and not after it.
        await ctx.keep('named', async () => {
          const position = await sourcePosition(ctx, way);
          await replica.script([wordsOf(replica.version).stop, await changeSource(replica, way, position)]);
          return true;
        });
        await copyByDump(ctx, source, replica, names, admin);
      });
    }
    return onReplica(async (replica) => {
      await replica.rows(wordsOf(replica.version).start);
      const now = await untilRunning(ctx, replica, params.wait);
      const reverse = await turnBack(ctx, there, source, replica, back);
      const durationMs = Date.now() - began;
      ctx.progress(`copied in ${durationText(durationMs)}`);
      return {
        result: {
          databases: names,
          source: peer,
          method,
          reason: why,
          state: 'running',
          applied: now.applied,
          reverse,
          duration: durationMs / 1000,
        },
      };
    });
  });
}

/** The variable that keeps writers off the server. */
async function closedBy(server: Server): Promise<'' | 'read_only' | 'super_read_only'> {
  if (await isStrict(server)) return 'super_read_only';
  return (await takesWrites(server)) ? '' : 'read_only';
}

export default action({
  summary: 'Makes this replica a copy of its source, and rebuilds the replication from there',
  source: 'mysqldump(1), mariadb-dump(1), mariadb-backup(1); MySQL 8.4 manual, 15.4.2, 7.6.7',
  params,
  examples: `
- name: The standby is made a copy of the primary
  mysql.resync: {}
  timeout: 1h

- name: The same by copying files, however small it is
  mysql.resync: { method: physical }
  timeout: 2h
`,
  returns: {
    databases: z.array(z.string()).describe('What was copied'),
    source: z.string().describe('Host it was copied from'),
    method: z.enum(['dump', 'physical']).describe('How it was copied'),
    reason: z.string().describe('Why so'),
    state: z.enum(['running', 'broken']).describe('State of the replication afterwards'),
    applied: zPosition.describe("How far the source's log was applied"),
    reverse: zPosition
      .nullable()
      .describe('From where the source now replicates from this node; null when it does not'),
    duration: z.number().describe('Seconds it took'),
  },
  destroys: ({ databases, method }) => {
    const tables = `all tables of ${databases?.join(', ') ?? 'the Catalog'} on this node`;
    const all = 'all data of the database server on this node but its accounts';
    const isDump = method === 'dump' || databases !== undefined;
    const what = isDump ? tables : method === 'physical' ? all : `${tables}, or with a physical copy ${all}`;
    return `${what}, replaced by those of its peer; what this node alone has is lost`;
  },
  role: 'not_primary',
  isResumable: true,
  run: resync,
});
