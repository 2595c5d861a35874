import type { Duplex } from 'node:stream';
import { DrillbookError, StepFailed, Unreachable } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { clientRows, NO_CLIENT } from './_client.ts';
import type { Login } from './_settings.ts';

export type Value = string | number | boolean | null;
export type Row = Readonly<Record<string, unknown>>;

export interface Version {
  readonly flavour: 'mysql' | 'mariadb';
  /** Major, minor and patch as one comparable number: 8.0.36 is 80036. */
  readonly number: number;
  /** As the server says it. */
  readonly text: string;
}

/** A session on a database server. */
export interface Server {
  readonly version: Version;
  /** Runs one statement with its `?` bound; no rows for a statement that gives none. */
  rows(sql: string, values?: readonly Value[]): Promise<readonly Row[]>;
  /** Several statements in one session; the last one's rows. */
  script(statements: readonly string[]): Promise<readonly Row[]>;
}

/** Opens a session for one use: none is held while something long goes on. */
export type OnServer = <T>(use: (server: Server) => Promise<T>) => Promise<T>;

/** What a server answered to a statement, or why there was no session. `errno` is the server's own number. */
export class SqlError extends StepFailed {
  readonly errno: number;

  constructor(errno: number, message: string, hint?: string) {
    super(message, { errno }, { hint });
    this.errno = errno;
  }
}

const HINTS: Readonly<Record<number, string>> = {
  1044: 'the account lacks a privilege for this',
  1045: 'name or password is wrong, or the account may not come from this address',
  1130: 'no account of the server may come from this address',
  1227: 'the account lacks a privilege for this',
  1290: 'the server is read-only (super_read_only): do this on the primary, or set mysql.read_only first',
  1698: 'this account is let in by the socket alone: run as its system user (become), or give a password',
};

const wrap = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof SqlError) return error;
  const { errno, sqlMessage } = error as Error & { errno?: number; sqlMessage?: string };
  if (typeof errno !== 'number' || errno < 1000) return error;
  return new SqlError(errno, `The database server refused: ${sqlMessage ?? error.message}`, HINTS[errno]);
};

/** `10.11.6-MariaDB-…` and `9.7.0` taken apart. */
export function parseVersion(text: string): Version {
  const match = /(\d+)\.(\d+)\.(\d+)/.exec(text.replace(/^5\.5\.5-/, ''));
  const [major, minor, patch] = match === null ? [0, 0, 0] : match.slice(1).map(Number);
  return {
    flavour: /mariadb/i.test(text) ? 'mariadb' : 'mysql',
    number: (major ?? 0) * 10000 + (minor ?? 0) * 100 + (patch ?? 0),
    text,
  };
}

/** Of a session that broke off: throws where that is because the host is out of reach. */
async function seeHost(ctx: Context, error: unknown): Promise<void> {
  if (error instanceof DrillbookError) return;
  await ctx.sh(':', { isLook: true });
}

interface Wire {
  query(sql: string, values?: readonly Value[]): Promise<[unknown, unknown]>;
  destroy(): void;
}

/** unix_socket and auth_socket ask for nothing: an empty packet tells the server to look at who we are. */
const bySocket = () => () => Buffer.alloc(0);

async function wireTo(ctx: Context, login: Login): Promise<Wire> {
  const { createConnection } = await import('mysql2/promise');
  const stream: Duplex = await ctx.dial(login.endpoint);
  try {
    return (await createConnection({
      stream,
      user: login.user,
      ...(login.password === undefined ? {} : { password: login.password }),
      // mysql2 sends a password in the clear only over a socket, which nobody else can listen on.
      ...('socketPath' in login.endpoint ? { socketPath: login.endpoint.socketPath } : {}),
      authPlugins: { auth_socket: bySocket, unix_socket: bySocket },
      supportBigNumbers: true,
      dateStrings: true,
      connectTimeout: 20_000,
    })) as unknown as Wire;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

const asRows = (answer: unknown): readonly Row[] => (Array.isArray(answer) ? (answer as readonly Row[]) : []);

async function useWire<T>(
  ctx: Context,
  wire: Wire,
  login: Login,
  use: (server: Server) => Promise<T>,
): Promise<T> {
  const end = (): void => wire.destroy();
  ctx.signal.addEventListener('abort', end, { once: true });
  try {
    const [first] = await wire.query('SELECT VERSION() AS version');
    const rows = async (sql: string, values?: readonly Value[]) => {
      const [answer] = await wire.query(sql, values);
      return asRows(answer);
    };
    const script = async (statements: readonly string[]) => {
      let last: readonly Row[] = [];
      for (const statement of statements) last = await rows(statement);
      return last;
    };
    return await use({ version: parseVersion(String(asRows(first)[0]?.['version'])), rows, script });
  } catch (cause) {
    const error = wrap(cause);
    const { fatal } = error as { fatal?: boolean };
    if (error instanceof DrillbookError || fatal !== true) throw error;
    await seeHost(ctx, error);
    throw new StepFailed(
      `The database server on ${ctx.host.name} ended the session: ${(error as Error).message}`,
      {},
      { cause },
    );
  } finally {
    ctx.signal.removeEventListener('abort', end);
    wire.destroy();
  }
}

/** Where the error began; what was wrapped around it says the address once more. */
function rootOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  return error.cause instanceof Error ? rootOf(error.cause) : error;
}

const where = (login: Login): string =>
  'socketPath' in login.endpoint
    ? login.endpoint.socketPath
    : `${login.endpoint.host}:${login.endpoint.port}`;

/**
 * Opens a session and ends it after `use`. Through the host's connection to the server's socket or port; where
 * the socket does not know us (sshd dials as the login user, not as the one become), through the server's own client.
 */
export async function withServer<T>(
  ctx: Context,
  login: Login,
  use: (server: Server) => Promise<T>,
): Promise<T> {
  let wire: Wire;
  try {
    wire = await wireTo(ctx, login);
  } catch (cause) {
    const error = wrap(cause);
    if (error instanceof Unreachable) throw error;
    if (error instanceof DrillbookError && error.code.startsWith('guard.')) throw error;
    await seeHost(ctx, error);
    const isByIdentity = 'socketPath' in login.endpoint && login.password === undefined;
    if (isByIdentity && !(error instanceof SqlError && error.errno < 1044)) {
      const viaClient = await clientServer(ctx, login, error);
      return await use(viaClient);
    }
    if (error instanceof SqlError) throw error;
    const { message: why } = rootOf(error);
    throw new StepFailed(
      `No database server answers on ${where(login)} of ${ctx.host.name}: ${why}`,
      {},
      {
        hint: 'is its service running, and is the address right?',
        cause,
      },
    );
  }
  return await useWire(ctx, wire, login, use);
}

/** Statements by the `mysql` client on the node, in a process of their own; the last one's rows, as text. */
export async function byClient(
  ctx: Context,
  login: Login,
  statements: readonly string[],
  run: Parameters<typeof clientRows>[0],
  first?: unknown,
): Promise<readonly Row[]> {
  const answer = await clientRows(run, login, statements);
  if (!('errno' in answer)) return answer.rows;
  const { errno, message } = answer;
  if (errno === NO_CLIENT)
    throw new StepFailed(
      `${ctx.host.name} has no program mariadb or mysql to talk to its server with`,
      {},
      { hint: 'install the client (mariadb-client, mysql-client)' },
    );
  if ((errno >= 1000 && errno < 2000) || errno >= 3000)
    throw new SqlError(errno, `The database server refused: ${message}`, HINTS[errno]);
  throw new StepFailed(
    `No database server answers on ${where(login)} of ${ctx.host.name}: ${message || rootOf(first).message}`,
    {},
    { hint: 'is its service running, and is the address right?' },
  );
}

/** A session by the `mysql` client on the node, each statement a process of its own. */
async function clientServer(ctx: Context, login: Login, first: unknown): Promise<Server> {
  const script = (statements: readonly string[]) =>
    byClient(ctx, login, statements, (text, options) => ctx.sh(text, options), first);
  const { format } = await import('mysql2');
  const rows = (sql: string, values: readonly Value[] = []) => script([format(sql, [...values])]);
  const [row] = await rows('SELECT VERSION() AS version');
  return { version: parseVersion(String(row?.['version'])), rows, script };
}
