import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { waitUntil } from '../_wait.ts';
import type { Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import type { BinlogPosition, ReplicaStatus } from './_server.ts';
import { binlogOf, comparePositions, faultOf, replicaOf, wordsOf } from './_server.ts';
import { databaseOf } from './_settings.ts';
import type { Login } from './_settings.ts';
import { statementOf } from './_statement.ts';

/** Where a replica gets its changes from, and as whom. */
export interface Source {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

const loginTo = ({ host, port, user, password }: Source): Login => ({
  endpoint: { host, port },
  user,
  password,
});

/** A session on the source, from the replica's node by the way replication itself goes. */
export const atSource = <T>(ctx: Context, source: Source, use: (server: Server) => Promise<T>): Promise<T> =>
  withServer(ctx, loginTo(source), use);

/** The source's place in its own binary log. */
export async function sourcePosition(ctx: Context, source: Source): Promise<BinlogPosition> {
  const position = await atSource(ctx, source, binlogOf);
  if (position !== undefined) return position;
  throw new StepFailed(
    `The server on ${source.host} keeps no binary log, so nothing can be replicated from it`,
    {},
    {
      hint: 'set log_bin in its configuration file and restart it',
    },
  );
}

/** The source's binary logs and their sizes in bytes. */
export const sourceLogs = (ctx: Context, source: Source): Promise<ReadonlyMap<string, number>> =>
  atSource(ctx, source, async (server) => {
    const rows = await server.rows('SHOW BINARY LOGS');
    return new Map(rows.map((row) => [String(row['Log_name']), Number(row['File_size'])]));
  });

export type Start = BinlogPosition | 'gtid' | 'kept';

/** By itself a server whose source was away tries again once a minute; so long nobody can take over from it. */
const RETRY_SECONDS = 5;

/** The statement that says where to replicate from. `kept` changes the login alone: naming the host would lose the position. */
export async function changeSource(server: Server, source: Source, start: Start): Promise<string> {
  const { change, prefix } = wordsOf(server.version);
  const { flavour, number } = server.version;
  const options: [string, string | number][] = [
    ['USER', source.user],
    ['PASSWORD', source.password],
  ];
  if (start !== 'kept') options.unshift(['HOST', source.host], ['PORT', source.port]);
  if (typeof start === 'object') options.push(['LOG_FILE', start.file], ['LOG_POS', start.position]);
  const bare = [`${prefix}_CONNECT_RETRY = ${RETRY_SECONDS}`];
  if (flavour === 'mysql') {
    // MySQL 8.4 gives up after ten tries.
    bare.push(`${prefix}_RETRY_COUNT = 86400`);
    if (start !== 'kept') bare.push(`${prefix}_AUTO_POSITION = ${start === 'gtid' ? 1 : 0}`);
    // Without TLS caching_sha2_password gives a password away to nobody but the holder of the server's key.
    if (number >= 80004) bare.push(`${prefix === 'SOURCE' ? 'GET_SOURCE' : 'GET_MASTER'}_PUBLIC_KEY = 1`);
  } else if (start !== 'kept') bare.push(`MASTER_USE_GTID = ${start === 'gtid' ? 'slave_pos' : 'no'}`);
  const text = options.map(([name]) => `${prefix}_${name} = ?`);
  return statementOf(
    `${change} ${[...text, ...bare].join(', ')}`,
    options.map(([, value]) => value),
  );
}

const HINTS: readonly (readonly [test: (replica: ReplicaStatus) => boolean, hint: string])[] = [
  [
    ({ ioErrno }) => ioErrno === 1045,
    'name or password is refused: see the replication account on the source (mysql.account) and the address it may come from',
  ],
  [
    ({ ioErrno }) => ioErrno === 2003 || ioErrno === 2002,
    'the source cannot be reached: network, port, bind-address',
  ],
  [({ ioErrno }) => ioErrno === 2061, 'caching_sha2_password wants TLS or the public key of the source'],
  [
    ({ ioErrno }) => ioErrno === 1236 || ioErrno === 13114,
    'the source no longer has the log that is needed: resync',
  ],
  [
    ({ ioErrno, ioError }) =>
      ioErrno === 1593 || ioErrno === 13117 || /server (ids|uuids)|equal MySQL server/i.test(ioError),
    'the nodes are clones of one image: give each its own server_id, remove auto.cnf in the data directory of one and restart it',
  ],
  [
    ({ sqlErrno }) => sqlErrno !== 0,
    'the data of both nodes differ: resync copies everything from the source',
  ],
];

export const hintOf = (replica: ReplicaStatus): string | undefined =>
  HINTS.find(([test]) => test(replica))?.[1];

export function broken(ctx: Context, replica: ReplicaStatus): StepFailed {
  const fault = faultOf(replica) ?? 'replication does not run';
  return new StepFailed(
    `Replication from ${replica.host} to ${ctx.host.name} is broken: ${fault}`,
    { state: 'broken', applied: replica.applied },
    {
      hint: hintOf(replica),
    },
  );
}

/**
 * Waits until both threads run; fails with the server's reason. A first failure of connecting is taken for good after
 * 3 s. Where applying had failed at `stuckAt`, it runs only once it has come past that place: it fails there again.
 */
export async function untilRunning(
  ctx: Context,
  server: Server,
  waitMs: number,
  stuckAt?: BinlogPosition,
): Promise<ReplicaStatus> {
  const began = Date.now();
  const isPast = ({ applied }: ReplicaStatus): boolean =>
    stuckAt === undefined || comparePositions(applied, stuckAt) > 0;
  const replica = await waitUntil(ctx.signal, waitMs, async () => {
    const now = await replicaOf(server);
    if (now === undefined) throw new StepFailed(`${ctx.host.name} is no replica`);
    const isFinal = now.sqlErrno !== 0 || (now.ioErrno !== 0 && Date.now() - began > 3000);
    return { value: now, isDone: isFinal || (faultOf(now) === undefined && isPast(now)) };
  });
  if (faultOf(replica) !== undefined) throw broken(ctx, replica);
  return replica;
}

/** The parameters of a source, filled up from the pair: its other node's first heartbeat address and the replication account. */
export function sourceOf(
  ctx: Context,
  given: {
    readonly host?: string | undefined;
    readonly port?: number | undefined;
    readonly user?: string | undefined;
    readonly password?: string | undefined;
  } = {},
): Source {
  const database = databaseOf(ctx.cluster);
  const peer = ctx.cluster?.nodes.find((name) => name !== ctx.host.name);
  const host = given.host ?? (peer === undefined ? undefined : heartbeatAddress(ctx, peer));
  const user = given.user ?? database.replication?.user;
  const password = given.password ?? database.replication?.password;
  if (host === undefined || user === undefined || password === undefined) {
    const lacking =
      host === undefined ? 'source.host' : user === undefined ? 'source.user' : 'source.password';
    throw new StepFailed(
      `Where to replicate from is not known: ${lacking} is not given`,
      {},
      {
        hint: "give it, or write it to the cluster's settings (heartbeats, database.replication)",
      },
    );
  }
  return { host, port: given.port ?? database.port, user, password };
}

/** The node's address on the first heartbeat network. */
export function heartbeatAddress(ctx: Context, node: string): string | undefined {
  const heartbeats = ctx.cluster?.settings['heartbeats'];
  const first: unknown = Array.isArray(heartbeats) ? heartbeats[0] : undefined;
  const addresses = (first as { addresses?: Record<string, unknown> } | undefined)?.addresses;
  const address = addresses?.[node];
  return typeof address === 'string' ? address : undefined;
}
