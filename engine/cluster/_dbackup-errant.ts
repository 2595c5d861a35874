import type { Context } from '../core/module.ts';
import { optionText } from '../modules/mysql/_client.ts';
import { faultOf } from '../modules/mysql/_server.ts';
import type { BinlogPosition, ReplicaStatus } from '../modules/mysql/_server.ts';
import type { Settings } from './_dbackup-settings.ts';
import { sql } from './_dbackup-witnesses.ts';

/** Transactions of the standby's own in its log that the primary has not. */
export interface Errant {
  readonly node: string;
  readonly peer: string;
  readonly count: number;
}

/**
 * Counts what the server itself has written from a place in its log on, by the id of the server in the first event of
 * each transaction, which is there with and without GTIDs (the guide has gtid_mode OFF). 50,000 events of each log are
 * read within a second.
 * `$1` socket, `$2` account, `$3` file, `$4` position, `$5` server_id; the password comes on standard input.
 */
const SCRIPT = `IFS= read -r password || :
socket=$1 user=$2 file=$3 position=$4 id=$5
${sql('--batch --skip-column-names', 10)}
client=$(command -v mariadb || command -v mysql)
for log in $(sql 'SHOW BINARY LOGS' | cut -f 1); do
  [ "$log" != "$file" ] || begun=yes
  [ -n "$begun" ] || continue
  sql "SHOW BINLOG EVENTS IN '$log' FROM $position LIMIT 50000" | cut -f 3,4
  position=4
done | grep -cE "^(Gtid|Anonymous_Gtid|Gtid_tagged)[[:blank:]]$id\\$"
exit 0`;

/** From where on the primary may lack what the standby has written; undefined while it follows the standby without delay. */
export const lackingFrom = (replica: ReplicaStatus | undefined): BinlogPosition | undefined =>
  replica === undefined ||
  replica.applied.file === '' ||
  (faultOf(replica) === undefined && (replica.lagSeconds ?? 0) === 0)
    ? undefined
    : replica.applied;

/** How many transactions of its own the node has in its log from a place on; 0 also where the log does not tell. */
export async function errantFrom(
  ctx: Context,
  { database: { socket, admin } }: Settings,
  { file, position }: BinlogPosition,
  serverId: string,
): Promise<number> {
  const { stdout } = await ctx.sh(SCRIPT, {
    args: [socket, admin.user, file, String(position), serverId],
    stdin: `${optionText(admin.password)}\n`,
  });
  return Number(stdout.trim());
}
