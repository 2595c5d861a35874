import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import type { Connection } from 'mysql2/promise';

/** The table that the clients of a test write, in the replicated database, and their account. */
export const MAKE_PROBE = `CREATE TABLE probe (n INT PRIMARY KEY); CREATE USER probe@'%' IDENTIFIED BY 'looks on';
GRANT SELECT, INSERT ON dbackup3.* TO probe@'%'`;
export const DROP_PROBE = "DROP TABLE probe; DROP USER probe@'%'";

const LATE_MS = 500;

const loginTo = (vip: string) => ({
  ...{ host: vip, user: 'probe', password: 'looks on', database: 'dbackup3' },
  connectTimeout: LATE_MS,
});

/** A server that accepts and then says nothing is left too; the connection that comes after all is closed. */
async function connect(vip: string): Promise<Connection> {
  const opening = createConnection(loginTo(vip));
  const late = new AbortController();
  try {
    return await Promise.race([
      opening,
      delay(2 * LATE_MS, undefined, { signal: late.signal }).then(() => Promise.reject(new Error('late'))),
    ]);
  } catch (error) {
    opening.then((one) => one.destroy()).catch(() => undefined);
    throw error;
  } finally {
    late.abort();
  }
}

export interface Acknowledged {
  readonly n: number;
  /** By this machine's clock. */
  readonly at: number;
}

/** Clients of their own making: what they see is what the drill must have measured. Numbers go up from `from`. */
export function startProbe(vip: string, from = 0): { stop(): Promise<readonly Acknowledged[]> } {
  const acknowledged: Acknowledged[] = [];
  let [last, isStopped] = [from, false];
  const client = async (): Promise<void> => {
    let connection: Connection | undefined;
    while (!isStopped) {
      const n = ++last;
      try {
        connection ??= await connect(vip);
        await connection.query({ sql: 'INSERT INTO probe VALUES (?)', values: [n], timeout: LATE_MS });
        acknowledged.push({ n, at: Date.now() });
      } catch {
        connection?.destroy();
        connection = undefined;
      }
      await delay(20);
    }
    connection?.destroy();
  };
  const work = Promise.all([client(), client(), client()]);
  return {
    async stop() {
      isStopped = true;
      await work;
      return acknowledged;
    },
  };
}

/** The numbers that are in a table of the replicated database now. */
export async function numbersIn(vip: string, table: string): Promise<ReadonlySet<number>> {
  const connection = await connect(vip);
  try {
    const [rows] = await connection.query({ sql: `SELECT n FROM ${table}`, timeout: 20_000 });
    return new Set((rows as unknown as readonly { n: number }[]).map(({ n }) => Number(n)));
  } finally {
    connection.destroy();
  }
}

/** The longest time without an acknowledgement that ends after `from`, and when it ended, in ms. */
export function longestAfter(
  acknowledged: readonly Acknowledged[],
  from: number,
): { ms: number; at: number } {
  const gaps = acknowledged.slice(1).map(({ at }, i) => ({ at, ms: at - (acknowledged[i]?.at ?? at) }));
  return gaps
    .filter(({ at }) => at >= from)
    .reduce((longest, gap) => (gap.ms > longest.ms ? gap : longest), { ms: -1, at: from });
}
