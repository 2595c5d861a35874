import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context, Outcome } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import { optionText } from './_client.ts';
import { bytesOf, COPY, copyProgress } from './_copy.ts';
import type { Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import { changeSource, sourceOf, sourcePosition, untilRunning } from './_replicate.ts';
import type { BinlogPosition, ReplicaStatus } from './_server.ts';
import { binlogOf, comparePositions, replicaOf, wordsOf, zPosition } from './_server.ts';
import { databaseOf, loginOf, loginParam } from './_settings.ts';
import { quoteName, statementOf } from './_statement.ts';

const params = z.strictObject({
  databases: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Databases to copy (default: the pair's Catalog)"),
  source: z
    .string()
    .optional()
    .describe("Host of the inventory to copy from (default: the pair's other node)"),
  wait: zDuration.default(30_000).describe('How long the replication may take to run afterwards'),
  login: loginParam,
});
type Params = z.output<typeof params>;

const GUEST = 'drillbook_resync';

interface Guest {
  readonly password: string;
  /** The address it may come from, and no other. */
  readonly from: string;
}

const farewell = async ({ from }: Pick<Guest, 'from'>): Promise<string[]> => [
  'SET SESSION sql_log_bin = 0',
  await statementOf('DROP USER IF EXISTS ?@?', [GUEST, from]),
];

/** An account for this one dump, open to the replica's address alone and to no one afterwards. */
async function newGuest(source: Server, from: string, databases: readonly string[]): Promise<Guest> {
  const password = randomBytes(18).toString('base64url');
  const name = await statementOf('?@?', [GUEST, from]);
  const monitor =
    source.version.flavour === 'mariadb' && source.version.number >= 100500
      ? 'BINLOG MONITOR'
      : 'REPLICATION CLIENT';
  const rights = 'SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES';
  const grants = databases.map((database) => `GRANT ${rights} ON ${quoteName(database)}.* TO ${name}`);
  const hasRole = source.version.flavour === 'mysql' && source.version.number >= 80020;
  // mysqldump reads the text of routines where the account may see all of mysql.proc or of the dictionary.
  await source.script([
    ...(await farewell({ from })),
    await statementOf(`CREATE USER ${name} IDENTIFIED BY ?`, [password]),
    `GRANT RELOAD, PROCESS, ${monitor} ON *.* TO ${name}`,
    hasRole ? `GRANT SHOW_ROUTINE ON *.* TO ${name}` : `GRANT SELECT ON mysql.proc TO ${name}`,
    ...grants,
  ]);
  return { password, from };
}

/** Whether the server holds off even the administrator; the copy sets that aside and puts it back. */
async function isStrict({ version, rows }: Server): Promise<boolean> {
  if (version.flavour !== 'mysql') return false;
  const [row] = await rows('SELECT @@GLOBAL.super_read_only AS strict');
  return Number(row?.['strict']) === 1;
}

/** Once a copy is under way, neither its guest nor its replica is touched before it has ended. */
async function copy(
  ctx: Context,
  source: Server,
  replica: Server,
  { databases, login }: Params,
): Promise<void> {
  const { host, port } = sourceOf(ctx);
  const names = databases ?? [databaseOf(ctx.cluster).name];
  const dialect =
    source.version.flavour === 'mariadb' ? 'mariadb' : source.version.number >= 80026 ? 'source' : 'master';
  const admin = loginOf(ctx.cluster, login);
  const socket = 'socketPath' in admin.endpoint ? admin.endpoint.socketPath : databaseOf(ctx.cluster).socket;
  const strict = await ctx.keep('super_read_only', () => isStrict(replica));
  const guest = await ctx.keep('guest', async () => {
    const made = await newGuest(source, await addressTowards(ctx, host), names);
    ctx.secret(made.password);
    return made;
  });
  ctx.secret(guest.password);
  const what = `copying ${names.join(', ')} from ${host}`;
  ctx.progress(what);
  const progressOf = copyProgress(await bytesOf(source, names));
  const { stop } = wordsOf(replica.version);
  const { code, stderr } = await ctx.job(COPY, {
    args: [
      host,
      String(port),
      GUEST,
      dialect,
      socket,
      optionText(admin.user),
      stop,
      strict ? '1' : '0',
      ...names,
    ],
    stdin: `${guest.password}\n${optionText(admin.password)}\n`,
    isRepeatable: true,
    onOutput(text) {
      const told = progressOf(text);
      if (told) ctx.progress(`${what}: ${told.message}`, told.percent);
    },
  });
  await source.script(await farewell(guest));
  if (code === 0) return;
  throw new StepFailed(
    `Copying ${names.join(', ')} from ${host} to ${ctx.host.name} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    { code, stderr },
    {
      hint: 'replication is left stopped, since the copy is not whole; mend the cause and run the resync again',
    },
  );
}

/** The node's own address on the way to `host`: the only one the guest may come from. */
async function addressTowards(ctx: Context, host: string): Promise<string> {
  const { stdout } = await ctx.sh('ip -o route get "$1"', { args: [host], isLook: true });
  const address = /\bsrc (\S+)/.exec(stdout)?.[1];
  if (address !== undefined) return address;
  throw new StepFailed(
    `${ctx.host.name} has no way to ${host}`,
    {},
    { hint: 'mend the heartbeat network first' },
  );
}

/**
 * What this node wrote and the source has not applied is given up with the copy: the source goes on from the end of
 * this node's log. Its own thread is left as it was, running or not.
 */
async function turnBack(
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

const takesWrites = async (server: Server): Promise<boolean> =>
  Number((await server.rows('SELECT @@GLOBAL.read_only AS closed'))[0]?.['closed']) === 0;

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
  return withServer(there, loginOf(there.cluster, params.login), (source) =>
    withServer(ctx, loginOf(ctx.cluster, params.login), async (replica) => {
      if ((await takesWrites(replica)) && !(await takesWrites(source))) {
        throw new StepFailed(
          `${ctx.host.name} takes writes and ${peer} is read-only: ${ctx.host.name} looks like the primary, and its data would be lost`,
          {},
          { hint: 'a resync runs on the standby' },
        );
      }
      const words = wordsOf(replica.version);
      const back = await ctx.keep('source', async () => (await replicaOf(source)) ?? null);
      // The dump itself brings the position; before it, the source it belongs to has to be named, and not after it.
      await ctx.keep('named', async () => {
        const position = await sourcePosition(ctx, way);
        await replica.script([words.stop, await changeSource(replica, way, position)]);
        return true;
      });
      await copy(ctx, source, replica, params);
      await replica.rows(words.start);
      const now = await untilRunning(ctx, replica, params.wait);
      const reverse = await turnBack(ctx, there, source, replica, back);
      const durationMs = Date.now() - began;
      ctx.progress(`copied in ${durationText(durationMs)}`);
      return {
        result: {
          databases: params.databases ?? [databaseOf(ctx.cluster).name],
          source: peer,
          state: 'running',
          applied: now.applied,
          reverse,
          duration: durationMs / 1000,
        },
      };
    }),
  );
}

export default action({
  summary: 'Copies whole databases from the source to this replica and rebuilds the replication from there',
  source: 'mysqldump(1), mariadb-dump(1); MySQL 8.4 manual, 15.4.2',
  params,
  examples: `
- name: The standby is made a copy of the primary
  mysql.resync: {}
  timeout: 1h
`,
  returns: {
    databases: z.array(z.string()).describe('What was copied'),
    source: z.string().describe('Host it was copied from'),
    state: z.enum(['running', 'broken']).describe('State of the replication afterwards'),
    applied: zPosition.describe("How far the source's log was applied"),
    reverse: zPosition
      .nullable()
      .describe('From where the source now replicates from this node; null when it does not'),
    duration: z.number().describe('Seconds it took'),
  },
  destroys: ({ databases }) =>
    `all tables of ${databases?.join(', ') ?? 'the Catalog'} on this node, replaced by those of its peer; what this node alone has is lost`,
  role: 'not_primary',
  isResumable: true,
  run: resync,
});
