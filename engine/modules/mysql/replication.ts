import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Change, Checked, Context, Result } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import type { Row, Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import type { Source, Start } from './_replicate.ts';
import { broken, changeSource, sourceLogs, sourceOf, sourcePosition, untilRunning } from './_replicate.ts';
import type { BinlogPosition, ReplicaStatus } from './_server.ts';
import { bytesBetween, comparePositions, faultOf, replicaOf, wordsOf, zPosition } from './_server.ts';
import { loginOf, loginParam } from './_settings.ts';

const params = z.strictObject({
  state: z
    .enum(['replicating', 'caught_up', 'stopped', 'absent'])
    .default('replicating')
    .describe(
      '`replicating`: configured and running; `caught_up`: has applied all that the source had when asked; `stopped`: configured, not running; `absent`: no source known',
    ),
  source: z
    .strictObject({
      host: z
        .string()
        .optional()
        .describe("Address of the source (default: the peer's first heartbeat address)"),
      port: z.int().optional().describe('Port of the source'),
      user: z.string().optional().describe('Replication account'),
      password: z.string().optional().describe('Its password').meta({ secret: true }),
    })
    .optional()
    .describe("Where to replicate from (default: the pair's other node and `settings.database.replication`)"),
  from: z
    .union([
      z.literal('current'),
      z.literal('gtid'),
      z.strictObject({
        file: z.string().describe('Log file of the source'),
        position: z.int().describe('Position in it'),
      }),
    ])
    .default('current')
    .describe(
      'Where a new replication begins: `current` end of the source’s log, by `gtid`, or a file and position. One that exists keeps its place',
    ),
  against: z
    .enum(['source', 'received'])
    .default('source')
    .describe(
      'caught_up: up to the end of the source’s log, or, when the source is lost, up to what was received',
    ),
  wait: zDuration.default(30_000).describe('How long to wait until it runs or has caught up'),
  login: loginParam,
});
type Params = z.output<typeof params>;

const resultOf = (replica: ReplicaStatus | undefined): Result =>
  replica === undefined
    ? { state: 'absent', source: null, lag: null, error: null }
    : {
        state:
          faultOf(replica) === undefined
            ? 'running'
            : replica.io === 'No' && replica.sql === 'No'
              ? 'stopped'
              : 'broken',
        source: { host: replica.host, port: replica.port, user: replica.user },
        lag: replica.lagSeconds,
        error: [replica.ioError, replica.sqlError].filter(Boolean).join('; ') || null,
        received: replica.received,
        applied: replica.applied,
        databases: replica.databases,
        auto_position: replica.isAutoPosition,
      };

const running = (replica: ReplicaStatus): string => {
  const fault = faultOf(replica);
  return fault === undefined ? 'running' : fault === 'replication is stopped' ? 'stopped' : fault;
};

/** MySQL keeps the password of the source in a table; MariaDB in a file, which is left alone. */
async function storedPassword(server: Server): Promise<string | undefined> {
  if (server.version.flavour === 'mariadb') return undefined;
  const [row]: readonly Row[] = await server.rows(
    "SELECT User_password AS password FROM mysql.slave_master_info WHERE Channel_name = ''",
  );
  return row === undefined ? undefined : String(row['password']);
}

async function replicatingChanges(
  ctx: Context,
  server: Server,
  params: Params,
  now: ReplicaStatus | undefined,
): Promise<Change[]> {
  const source = sourceOf(ctx, params.source);
  const changes: Change[] = [];
  const compare = (what: string, before: string | undefined, after: string): void => {
    if (before !== after) changes.push({ what: `replication ${what}`, before, after });
  };
  compare('source', now && `${now.host}:${now.port}`, `${source.host}:${source.port}`);
  compare('user', now?.user, source.user);
  const stored = now === undefined ? undefined : await storedPassword(server);
  if (stored !== undefined && stored !== source.password) compare('password', 'another', 'as given');
  const isGtid = params.from === 'gtid';
  if (now !== undefined && now.isAutoPosition !== isGtid && isGtid)
    compare('position', 'file and position', 'gtid');
  compare('threads', now === undefined ? 'stopped' : running(now), 'running');
  return changes;
}

async function lagging(ctx: Context, params: Params, now: ReplicaStatus): Promise<Change[]> {
  const goal = await goalOf(ctx, params, now);
  if (comparePositions(now.applied, goal) >= 0) return [];
  return [
    { what: 'replication applied', before: placeText(now.applied), after: `${placeText(goal)} or later` },
  ];
}

const placeText = ({ file, position }: BinlogPosition): string => `${file}:${position}`;

const presentSource = (ctx: Context, { source }: Params, now: ReplicaStatus): Source =>
  sourceOf(ctx, { ...source, host: source?.host ?? now.host, port: source?.port ?? now.port });

const goalOf = (ctx: Context, params: Params, now: ReplicaStatus): Promise<BinlogPosition> =>
  params.against === 'received'
    ? Promise.resolve(now.received)
    : sourcePosition(ctx, presentSource(ctx, params, now));

/** A replica that lost its source still applies what it received: only the applying thread counts then. */
const faultFor = (params: Params, now: ReplicaStatus): boolean =>
  params.against === 'received' ? now.sql !== 'Yes' : faultOf(now) !== undefined;

async function changesOf(
  ctx: Context,
  server: Server,
  params: Params,
  now: ReplicaStatus | undefined,
): Promise<Change[]> {
  if (params.state === 'replicating') return replicatingChanges(ctx, server, params, now);
  if (params.state === 'absent')
    return now === undefined
      ? []
      : [{ what: 'replication source', before: `${now.host}:${now.port}`, after: 'none' }];
  if (params.state === 'stopped') {
    if (now === undefined || (now.io === 'No' && now.sql === 'No')) return [];
    return [{ what: 'replication threads', before: running(now), after: 'stopped' }];
  }
  if (now === undefined) throw new StepFailed(`${ctx.host.name} is no replica, so it cannot catch up`);
  if (faultFor(params, now)) throw broken(ctx, now);
  return lagging(ctx, params, now);
}

async function replicate(
  ctx: Context,
  server: Server,
  params: Params,
  found: Checked,
): Promise<ReplicaStatus> {
  const words = wordsOf(server.version);
  const source = sourceOf(ctx, params.source);
  const isElsewhere = found.changes.some(({ what }) => /source|position/.test(what));
  const start: Start = !isElsewhere
    ? 'kept'
    : params.from === 'current'
      ? await sourcePosition(ctx, source)
      : params.from;
  const before = await replicaOf(server);
  await server.script([words.stop, await changeSource(server, source, start), words.start]);
  const isStuck = start === 'kept' && before !== undefined && before.sqlErrno !== 0;
  return untilRunning(ctx, server, params.wait, isStuck ? before.applied : undefined);
}

async function catchUp(ctx: Context, server: Server, params: Params): Promise<ReplicaStatus> {
  const now = await replicaOf(server);
  if (now === undefined) throw new StepFailed(`${ctx.host.name} is no replica, so it cannot catch up`);
  const goal = await goalOf(ctx, params, now);
  const end = Date.now() + params.wait;
  const isAcross = params.against === 'source' && now.applied.file !== goal.file;
  const logs = isAcross ? await sourceLogs(ctx, presentSource(ctx, params, now)) : new Map<string, number>();
  const whole = bytesBetween(now.applied, goal, logs);
  for (;;) {
    await server.rows(`SELECT ${wordsOf(server.version).wait}(?, ?, 2)`, [goal.file, goal.position]);
    const then = await replicaOf(server);
    if (then === undefined || faultFor(params, then)) throw broken(ctx, then ?? now);
    if (comparePositions(then.applied, goal) >= 0) return then;
    if (Date.now() >= end)
      throw new StepFailed(
        `${ctx.host.name} has not caught up within ${durationText(params.wait)}: it is at ${placeText(then.applied)} of ${placeText(goal)}`,
        resultOf(then),
      );
    const left = bytesBetween(then.applied, goal, logs);
    ctx.progress(
      `${placeText(then.applied)} of ${placeText(goal)}, ${then.lagSeconds ?? '?'} s behind`,
      whole === undefined || left === undefined ? undefined : Math.floor(100 * (1 - left / whole)),
    );
  }
}

export default state({
  summary:
    'A MySQL or MariaDB server replicates from its source, has caught up, is stopped, or knows no source',
  source: 'MySQL 8.4 manual, 15.4.2; MariaDB documentation, CHANGE MASTER TO',
  params,
  shorthand: 'state',
  examples: `
- name: Replicate from the other node
  mysql.replication: { state: replicating }
- name: Nothing of the primary is missing
  mysql.replication: { state: caught_up, wait: 10m }
`,
  returns: {
    state: z.enum(['running', 'stopped', 'broken', 'absent']).describe('State of the replication'),
    source: z
      .object({ host: z.string(), port: z.int(), user: z.string() })
      .nullable()
      .describe('The source, or null'),
    lag: z.number().nullable().describe('Seconds behind the source, or null'),
    error: z.string().nullable().describe('What the threads complain of, or null'),
    received: zPosition.optional().describe("How far the source's log was received"),
    applied: zPosition.optional().describe("How far the source's log was applied"),
    databases: z.array(z.string()).optional().describe('replicate-do-db'),
    auto_position: z.boolean().optional().describe('Whether it goes by GTID'),
  },
  check: (ctx, params) =>
    withServer(ctx, loginOf(ctx.cluster, params.login), async (server) => {
      const now = await replicaOf(server);
      return { changes: await changesOf(ctx, server, params, now), result: resultOf(now) };
    }),
  apply: (ctx, params, found) =>
    withServer(ctx, loginOf(ctx.cluster, params.login), async (server) => {
      const words = wordsOf(server.version);
      if (params.state === 'replicating')
        return { changes: [], result: resultOf(await replicate(ctx, server, params, found)) };
      // Looking once more would move the goal on a busy source: what was the end then is what was promised.
      if (params.state === 'caught_up')
        return { changes: [], result: resultOf(await catchUp(ctx, server, params)) };
      await server.script(params.state === 'absent' ? [words.stop, words.forget] : [words.stop]);
      return undefined;
    }),
});
