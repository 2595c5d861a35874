import { z } from 'zod';
import { zBytes } from '../../core/bytes.ts';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context, Outcome } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import type { OnServer } from './_connect.ts';
import { withServer } from './_connect.ts';
import { decide, refuseTaker } from './_decide.ts';
import type { Servers } from './_decide.ts';
import { copyByDump } from './_dump.ts';
import { copyFiles } from './_physical.ts';
import { changeSource, sourceOf, sourcePosition, untilRunning } from './_replicate.ts';
import { replicaOf, wordsOf, zPosition } from './_server.ts';
import { databaseOf, loginOf, loginParam } from './_settings.ts';
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
      '`dump`: statements, loaded into the running server. `physical`: all files of the server, by mariadb-backup or the clone plugin; the server restarts once, and accounts stay as they are. `auto`: physical from `physical_from` on, where it is possible; a dump otherwise, or where the copy fails and nothing was touched yet',
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
  const admin = loginOf(ctx.cluster, params.login);
  const onReplica: OnServer = (use) => withServer(ctx, admin, use);
  const onSource: OnServer = (use) => withServer(there, loginOf(there.cluster, params.login), use);
  const onBoth = <T>(use: (servers: Servers) => Promise<T>): Promise<T> =>
    onSource((source) => onReplica((replica) => use({ source, replica })));
  const names = params.databases ?? [databaseOf(ctx.cluster).name];
  const back = await ctx.keep('source', () => onSource(async (source) => (await replicaOf(source)) ?? null));
  const clear = (): Promise<true> => onBoth((servers) => refuseTaker(ctx, peer, servers));
  const decision = await ctx.keep('method', async () => {
    await clear();
    return onBoth((servers) => decide(ctx, there, servers, params));
  });
  ctx.progress(`${decision.method === 'dump' ? 'a dump' : 'a physical copy'}: ${decision.why}`);
  const ways = { there, onSource, onReplica, admin, port: params.port, word: String(began), clear };
  const failure = decision.surveys && (await copyFiles(ctx, ways, decision.surveys, params.method));
  const isByFiles = decision.surveys !== undefined && failure === undefined;
  if (!isByFiles) {
    if (failure !== undefined) ctx.progress(`a dump: ${failure}`);
    await clear();
    // The dump itself brings the position; before it, the source it belongs to has to be named, and not after it.
    await ctx.keep('named', async () => {
      const way = sourceOf(ctx);
      const position = await sourcePosition(ctx, way);
      return onReplica(async (replica) => {
        await replica.script([wordsOf(replica.version).stop, await changeSource(replica, way, position)]);
        return true;
      });
    });
    await copyByDump(ctx, onSource, onReplica, names, admin);
  }
  return onBoth(async ({ source, replica }) => {
    await replica.rows(wordsOf(replica.version).start);
    const now = await untilRunning(ctx, replica, params.wait);
    const reverse = await turnBack(ctx, there, source, replica, back);
    const durationMs = Date.now() - began;
    ctx.progress(`copied in ${durationText(durationMs)}`);
    return {
      result: {
        databases: names,
        source: peer,
        method: isByFiles ? 'physical' : 'dump',
        reason: failure === undefined ? decision.why : `${decision.why}; but ${failure}`,
        state: 'running',
        applied: now.applied,
        reverse,
        duration: durationMs / 1000,
      },
    };
  });
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
