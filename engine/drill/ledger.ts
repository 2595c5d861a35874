import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';

/** The table of numbered rows, and the account that may write it: both there only while a drill runs. */
export const LEDGER = 'drillbook_ledger';

/** Where and as whom the clients write. */
export interface LedgerLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** One try to write a row. Times in ms since the drill began. */
export interface Entry {
  readonly n: number;
  /** Counts from 1 for each number: a row that was sent and not acknowledged is sent again as another one. */
  readonly attempt: number;
  readonly sentMs: number;
  /** When the server's answer came; undefined where none came. */
  readonly ackMs: number | undefined;
  /** Name that the server gave itself. */
  readonly server: string;
  readonly error: string | undefined;
}

/** A client reached a server through the VIP, or failed to. */
export interface Reach {
  readonly ms: number;
  readonly server: string | undefined;
  readonly error: string | undefined;
}

export interface Written {
  readonly entries: readonly Entry[];
  readonly reaches: readonly Reach[];
}

export interface Writer {
  /** Rows acknowledged so far. */
  count(): number;
  readonly written: Written;
  stop(): Promise<void>;
}

export interface WriterOptions {
  readonly rate: number;
  readonly connections: number;
  readonly timeoutMs: number;
  /** Ms since the drill began. */
  now(): number;
}

const RETRY_MS = 20;

const codeOf = (error: unknown): string =>
  (error as { readonly code?: string }).code ?? (error as Error).message;

/**
 * Clients that write numbered rows, one after the other, as fast as `rate` allows. As applications do, a client
 * that gets no answer leaves its connection, makes another, and writes the row again.
 */
export function startWriter(login: LedgerLogin, options: WriterOptions): Writer {
  const { rate, connections, timeoutMs, now } = options;
  const entries: Entry[] = [];
  const reaches: Reach[] = [];
  const startedMs = now();
  let [next, acknowledged, isStopped] = [0, 0, false];

  /** The next number, when its time has come; a row that is late is written at once. */
  async function ticket(): Promise<number> {
    const n = ++next;
    const dueMs = startedMs + (n * 1000) / rate;
    const early = dueMs - now();
    if (early > 0) await delay(early);
    return n;
  }

  async function connect(): Promise<{ connection: Connection; server: string }> {
    const { createConnection } = await import('mysql2/promise');
    const opening = createConnection({ ...login, connectTimeout: timeoutMs, enableKeepAlive: false });
    let connection: Connection | undefined;
    try {
      connection = await atMost(timeoutMs * 2, opening);
      const [rows] = await connection.query({ sql: 'SELECT @@hostname AS server', timeout: timeoutMs });
      const server = String((rows as unknown as readonly { server: unknown }[])[0]?.server);
      reaches.push({ ms: now(), server, error: undefined });
      return { connection, server };
    } catch (error) {
      connection?.destroy();
      opening.then((late) => late.destroy()).catch(() => undefined);
      reaches.push({ ms: now(), server: undefined, error: codeOf(error) });
      throw error;
    }
  }

  async function client(): Promise<void> {
    let open: Awaited<ReturnType<typeof connect>> | undefined;
    while (!isStopped) {
      const n = await ticket();
      for (let attempt = 1; !isStopped;) {
        try {
          open ??= await connect();
        } catch {
          await delay(RETRY_MS);
          continue;
        }
        const sentMs = now();
        const { connection, server } = open;
        try {
          const sql = `INSERT INTO ${LEDGER} (n, attempt) VALUES (?, ?)`;
          await connection.query({ sql, values: [n, attempt], timeout: timeoutMs });
          entries.push({ n, attempt, sentMs, ackMs: now(), server, error: undefined });
          acknowledged++;
          break;
        } catch (error) {
          entries.push({ n, attempt, sentMs, ackMs: undefined, server, error: codeOf(error) });
          // A server that has lost the VIP never answers, and one that has become read-only keeps the connection.
          connection.destroy();
          open = undefined;
          attempt++;
          await delay(RETRY_MS);
        }
      }
    }
    open?.connection.destroy();
  }

  const work = Promise.all(Array.from({ length: connections }, client));
  return {
    count: () => acknowledged,
    written: { entries, reaches },
    async stop() {
      isStopped = true;
      await work;
    },
  };
}

/** mysql2 waits for the greeting of a server that accepts and says nothing as long as it likes. */
async function atMost<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const tooLate = delay(ms, undefined, { signal: late.signal }).then(() => {
    throw Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' });
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    late.abort();
    tooLate.catch(() => undefined);
  }
}

/** One look at the page on the VIP. */
export interface PageLook {
  readonly ms: number;
  readonly isOk: boolean;
  readonly error: string | undefined;
}

/** Reads a page ten times a second. */
export function startReader(
  url: string,
  { timeoutMs, now }: Pick<WriterOptions, 'timeoutMs' | 'now'>,
): { readonly looks: readonly PageLook[]; stop(): Promise<void> } {
  const looks: PageLook[] = [];
  let isStopped = false;
  const work = (async () => {
    while (!isStopped) {
      try {
        // A connection kept alive would go on with a node that has lost the VIP.
        const answer = await fetch(url, {
          signal: AbortSignal.timeout(timeoutMs),
          headers: { connection: 'close' },
        });
        await answer.arrayBuffer();
        looks.push({ ms: now(), isOk: answer.ok, error: answer.ok ? undefined : `HTTP ${answer.status}` });
      } catch (error) {
        const cause = (error as Error).cause ?? error;
        looks.push({ ms: now(), isOk: false, error: codeOf(cause) });
      }
      await delay(100);
    }
  })();
  return {
    looks,
    async stop() {
      isStopped = true;
      await work;
    },
  };
}
