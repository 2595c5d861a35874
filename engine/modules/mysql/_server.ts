import { z } from 'zod';
import type { Row, Server, Version } from './_connect.ts';

/** Statements that MySQL and MariaDB, old and new, spell differently. */
export interface Words {
  readonly showReplica: string;
  readonly showSource: string;
  readonly start: string;
  readonly stop: string;
  readonly forget: string;
  /** Opening of the statement that says where to replicate from; options follow with `prefix`. */
  readonly change: string;
  /** `SOURCE` or `MASTER`: first word of every option of `change`. */
  readonly prefix: 'SOURCE' | 'MASTER';
  /** Waits until the replica has applied up to (file, position); third argument in seconds. */
  readonly wait: string;
}

/** The spelling that `version` understands. MySQL renamed in 8.0.22 (replica) and 8.0.23 (source), and dropped the old words in 8.4. */
export function wordsOf({ flavour, number }: Version): Words {
  const isReplica = flavour === 'mysql' && number >= 80022;
  const isSource = flavour === 'mysql' && number >= 80023;
  const replica = isReplica ? 'REPLICA' : 'SLAVE';
  return {
    showReplica: `SHOW ${replica} STATUS`,
    showSource: flavour === 'mysql' && number >= 80200 ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS',
    start: `START ${replica}`,
    stop: `STOP ${replica}`,
    forget: `RESET ${replica} ALL`,
    change: isSource ? 'CHANGE REPLICATION SOURCE TO' : 'CHANGE MASTER TO',
    prefix: isSource ? 'SOURCE' : 'MASTER',
    wait: flavour === 'mysql' && number >= 80026 ? 'SOURCE_POS_WAIT' : 'MASTER_POS_WAIT',
  };
}

/** A place in a log of the source, as results have it. */
export const zPosition = z.object({ file: z.string(), position: z.int() });

export interface BinlogPosition {
  readonly file: string;
  readonly position: number;
}

/** What a replica says of itself, in one spelling. */
export interface ReplicaStatus {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly io: 'Yes' | 'No' | 'Connecting';
  readonly sql: 'Yes' | 'No';
  readonly lagSeconds: number | null;
  readonly ioErrno: number;
  readonly ioError: string;
  readonly sqlErrno: number;
  readonly sqlError: string;
  /** How far the source's log was received. */
  readonly received: BinlogPosition;
  /** How far the source's log was applied. */
  readonly applied: BinlogPosition;
  readonly isAutoPosition: boolean;
  readonly databases: readonly string[];
}

const text = (row: Row, ...names: readonly string[]): string => {
  for (const name of names) if (row[name] !== undefined && row[name] !== null) return String(row[name]);
  return '';
};

/** A row of SHOW REPLICA STATUS or SHOW SLAVE STATUS; undefined where no source is configured. */
export function parseReplica(row: Row | undefined): ReplicaStatus | undefined {
  if (row === undefined) return undefined;
  const host = text(row, 'Source_Host', 'Master_Host');
  if (host === '') return undefined;
  const lag = text(row, 'Seconds_Behind_Source', 'Seconds_Behind_Master');
  const io = text(row, 'Replica_IO_Running', 'Slave_IO_Running');
  const gtid = text(row, 'Using_Gtid');
  return {
    host,
    port: Number(text(row, 'Source_Port', 'Master_Port')),
    user: text(row, 'Source_User', 'Master_User'),
    io: io === 'Yes' ? 'Yes' : io === 'No' ? 'No' : 'Connecting',
    sql: text(row, 'Replica_SQL_Running', 'Slave_SQL_Running') === 'Yes' ? 'Yes' : 'No',
    lagSeconds: lag === '' ? null : Number(lag),
    ioErrno: Number(text(row, 'Last_IO_Errno')),
    ioError: text(row, 'Last_IO_Error'),
    sqlErrno: Number(text(row, 'Last_SQL_Errno')),
    sqlError: text(row, 'Last_SQL_Error'),
    received: {
      file: text(row, 'Source_Log_File', 'Master_Log_File'),
      position: Number(text(row, 'Read_Source_Log_Pos', 'Read_Master_Log_Pos')),
    },
    applied: {
      file: text(row, 'Relay_Source_Log_File', 'Relay_Master_Log_File'),
      position: Number(text(row, 'Exec_Source_Log_Pos', 'Exec_Master_Log_Pos')),
    },
    isAutoPosition: gtid === '' ? text(row, 'Auto_Position') === '1' : gtid !== 'No',
    databases: text(row, 'Replicate_Do_DB').split(',').filter(Boolean),
  };
}

/** Where the server's replication stands. */
export const replicaOf = async (server: Server): Promise<ReplicaStatus | undefined> =>
  parseReplica((await server.rows(wordsOf(server.version).showReplica))[0]);

/** The end of the server's own binary log; undefined where it keeps none. */
export async function binlogOf(server: Server): Promise<BinlogPosition | undefined> {
  const [row] = await server.rows(wordsOf(server.version).showSource);
  return row === undefined ? undefined : { file: text(row, 'File'), position: Number(text(row, 'Position')) };
}

/** Below zero when `a` comes before `b` in the source's log; file names end in a growing number. */
export function comparePositions(a: BinlogPosition, b: BinlogPosition): number {
  const index = ({ file }: BinlogPosition): number => Number(/\.(\d+)$/.exec(file)?.[1] ?? 0);
  return index(a) - index(b) || a.position - b.position;
}

/** Bytes of the source's log from `a` to `b`; undefined where a log between is not among `sizes` (file → bytes). */
export function bytesBetween(
  a: BinlogPosition,
  b: BinlogPosition,
  sizes: ReadonlyMap<string, number>,
): number | undefined {
  if (a.file === b.file) return b.position - a.position;
  const start = (file: string): BinlogPosition => ({ file, position: 0 });
  const between = [...sizes].filter(
    ([file]) =>
      comparePositions(start(file), start(a.file)) >= 0 && comparePositions(start(file), start(b.file)) < 0,
  );
  if (!between.some(([file]) => file === a.file)) return undefined;
  return between.reduce((sum, [, size]) => sum + size, b.position - a.position);
}

/** What is wrong with the replication, in one sentence; undefined when both threads run. */
export function faultOf(replica: ReplicaStatus): string | undefined {
  if (replica.sqlErrno !== 0) return `applying stopped with error ${replica.sqlErrno}: ${replica.sqlError}`;
  if (replica.ioErrno !== 0 && replica.io !== 'Yes')
    return `receiving stopped with error ${replica.ioErrno}: ${replica.ioError}`;
  if (replica.io === 'No' && replica.sql === 'No') return 'replication is stopped';
  if (replica.io !== 'Yes')
    return `the receiving thread is ${replica.io === 'No' ? 'stopped' : 'still connecting'}`;
  if (replica.sql !== 'Yes') return 'the applying thread is stopped';
  return undefined;
}
