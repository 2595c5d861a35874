import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { withServer } from '../modules/mysql/_connect.ts';
import { databaseOf } from '../modules/mysql/_settings.ts';
import type { DatabaseSettings, Login } from '../modules/mysql/_settings.ts';
import replication from '../modules/mysql/replication.ts';
import { LEDGER } from './ledger.ts';
import type { LedgerLogin } from './ledger.ts';
import type { Rows } from './measures.ts';
import type { DrillWords } from './schema.ts';

/** The database that the clients write to, and whether the standby has one of its own, that follows. */
export interface Books {
  readonly database: Pick<DatabaseSettings, 'name' | 'socket' | 'port' | 'admin'>;
  readonly isReplica: boolean;
}

/** Of the drill, or else of the pair; one disk of both has one database. */
export const booksOf = ({ ledger }: Pick<DrillWords, 'ledger'>, cluster: Cluster): Books => ({
  database: ledger.database ?? databaseOf(cluster),
  isReplica: !('drbd' in cluster.settings),
});

export const adminOf = ({ database: { socket, admin } }: Books): Login => ({
  endpoint: { socketPath: socket },
  user: admin.user,
  password: admin.password,
});

const ACCOUNT = 'drillbook';
const REPLICATED_MS = 60_000;

/** The address from which this machine reaches another; nothing is sent. */
export const addressTowards = (host: string, port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.on('error', reject);
    socket.connect(port, host, () => {
      const { address } = socket.address();
      socket.close();
      resolve(address);
    });
  });

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

/**
 * Makes table and account, and waits until the standby has both. In the replicated database, for only what is said there
 * reaches the standby (replicate-do-db goes by the database in use).
 */
export async function openBooks(
  books: Books,
  primary: Context,
  standby: Context,
  { vip, from }: { readonly vip: string; readonly from: string | undefined },
): Promise<LedgerLogin> {
  const { name: database, port } = books.database;
  const password = randomBytes(18).toString('base64url');
  primary.secret(password);
  const account = `${quoted(ACCOUNT)}@${quoted(from ?? (await addressTowards(vip, port)))}`;
  const mark = randomBytes(6).toString('hex');
  await withServer(primary, adminOf(books), (server) =>
    server.script([
      `USE \`${database}\``,
      `DROP TABLE IF EXISTS ${LEDGER}`,
      `CREATE TABLE ${LEDGER} (n BIGINT NOT NULL, attempt INT NOT NULL, PRIMARY KEY (n, attempt)) ENGINE = InnoDB COMMENT = 'drill ${mark}; may be dropped'`,
      `DROP USER IF EXISTS ${account}`,
      `CREATE USER ${account} IDENTIFIED BY ${quoted(password)}`,
      `GRANT SELECT, INSERT ON \`${database}\`.${LEDGER} TO ${account}`,
    ]),
  );
  const end = performance.now() + REPLICATED_MS;
  while (books.isReplica) {
    const [row] = await withServer(standby, adminOf(books), ({ rows }) =>
      rows(
        'SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_COMMENT LIKE ?) AS tables, (SELECT COUNT(*) FROM mysql.user WHERE User = ?) AS accounts',
        [database, LEDGER, `drill ${mark}%`, ACCOUNT],
      ),
    );
    if (Number(row?.['tables']) > 0 && Number(row?.['accounts']) > 0) break;
    if (performance.now() > end)
      throw new DrillbookError(
        'guard.ledger',
        `the ledger's table and account did not reach ${standby.host.name} within ${REPLICATED_MS / 1000} s, so nothing was done`,
        { hint: 'is its replication running, and does it replicate what is done in the database in use?' },
      );
    await delay(200);
  }
  return { host: vip, port, user: ACCOUNT, password, database };
}

/** Rows that are there now. Read through the VIP. */
export async function readBooks(login: LedgerLogin, timeout = 60_000): Promise<Rows> {
  const { createConnection } = await import('mysql2/promise');
  const connection = await createConnection({ ...login, connectTimeout: Math.min(timeout, 10_000) });
  try {
    const [rows] = await connection.query({ sql: `SELECT n, attempt FROM ${LEDGER}`, timeout });
    const there = new Map<number, number[]>();
    for (const { n, attempt } of rows as unknown as readonly { n: number; attempt: number }[]) {
      const others = there.get(Number(n));
      if (others) others.push(Number(attempt));
      else there.set(Number(n), [Number(attempt)]);
    }
    return there;
  } catch (cause) {
    throw new DrillbookError('doubt.ledger', `the ledger cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  } finally {
    connection.destroy();
  }
}

/**
 * A row that a node wrote right before it went down comes when it is back, which the other one may notice late. It must
 * be counted, and must find its table: it would break the replication.
 */
export async function catchUp({ isReplica }: Books, primary: Context): Promise<void> {
  if (!isReplica) return;
  for (const state of ['replicating', 'caught_up']) {
    const params = replication.params.parse({ state, wait: '1m' });
    const found = await replication.check(primary, params);
    if (found.changes.length > 0) await replication.apply(primary, params, found);
  }
}

/** Takes table and accounts away again; on the primary, from where the standby hears of it. */
export async function closeBooks(books: Books, primary: Context): Promise<void> {
  const { name: database } = books.database;
  await catchUp(books, primary);
  await withServer(primary, adminOf(books), async (server) => {
    const accounts = await server.rows('SELECT Host AS host FROM mysql.user WHERE User = ?', [ACCOUNT]);
    await server.script([
      `USE \`${database}\``,
      `DROP TABLE IF EXISTS ${LEDGER}`,
      ...accounts.map(({ host }) => `DROP USER IF EXISTS ${quoted(ACCOUNT)}@${quoted(String(host))}`),
    ]);
  });
}
