import { bytesText } from '../../core/bytes.ts';
import type { Context } from '../../core/module.ts';
import type { Server } from './_connect.ts';
import { statementOf } from './_statement.ts';

/**
 * Dump on one side of the pipe, load on the other. `$1`–`$4` dump: host, port, user, dialect; `$5`, `$6` load: socket,
 * user; `$7` statement that stops replication, `$8` 1 where super_read_only is set aside meanwhile; then databases.
 * Standard input: password of the dump, of the load. Users and passwords as `optionText` gives them. Standard output: how
 * many bytes were loaded so far, a line each second: what the client has read, nearly all of it the dump (rchar of
 * proc(5)). In binary mode that client takes no line of the dump for a command of its own.
 */
export const COPY = `IFS= read -r from; IFS= read -r to
host=$1 port=$2 user=$3 dialect=$4 socket=$5 admin=$6 stop=$7 strict=$8 follower=
shift 8
pick() { command -v "$1" || command -v "$2" || { echo "neither $1 nor $2 is installed" >&2; exit 127; }; }
dump=$(pick mariadb-dump mysqldump) && load=$(pick mariadb mysql) || exit 127
at=$(mktemp -d) || exit 1
sql() { echo "$1" | "$load" --defaults-extra-file="$at/to.cnf" -S "$socket"; }
shut() { [ "$strict" != 1 ] || { strict=; sql 'SET GLOBAL super_read_only = ON'; }; }
follow() { while sleep 1 && kill -0 $$; do while read -r key bytes; do [ "$key" != rchar: ] || echo "$bytes"; done <"/proc/$(cat "$at/loader")/io"; done; }
trap 'shut; rm -rf "$at"; [ -z "$follower" ] || kill "$follower"' EXIT
trap 'exit 143' HUP INT TERM
options() { printf '[client]\\nuser="%s"\\n' "$1"; [ -z "$2" ] || printf 'password="%s"\\n' "$2"; }
(umask 077; options "$user" "$from" >"$at/from.cnf"; options "$admin" "$to" >"$at/to.cnf")
case $dialect in
  source) set -- --set-gtid-purged=OFF --source-data=1 --get-server-public-key --databases -- "$@" ;;
  master) set -- --set-gtid-purged=OFF --master-data=1 --databases -- "$@" ;;
  mariadb) set -- --master-data=1 --databases -- "$@" ;;
esac
sql "$stop" || exit
[ "$strict" != 1 ] || sql 'SET GLOBAL super_read_only = OFF' || exit
follow 2>/dev/null & follower=$!
{ "$dump" --defaults-extra-file="$at/from.cnf" -h "$host" -P "$port" --protocol=tcp --single-transaction --quick --hex-blob \\
    --routines --events --triggers --add-drop-database --default-character-set=utf8mb4 "$@" 2>"$at/error"
  echo $? >"$at/code"; } |
sh -c 'echo $$ >"$0"; exec "$@"' "$at/loader" \\
  "$load" --defaults-extra-file="$at/to.cnf" -S "$socket" --binary-mode --default-character-set=utf8mb4 \\
    --init-command='SET SESSION sql_log_bin = 0'
code=$?
shut || code=$?
cat "$at/error" >&2
dumped=$(cat "$at/code")
[ "$dumped" -eq 0 ] || exit "$dumped"
exit $code`;

/**
 * About how many bytes the databases hold, as the server estimates it; undefined where it does not. MySQL 8 keeps such
 * figures for a day (information_schema_stats_expiry).
 */
export async function bytesOf(
  { version, script }: Server,
  databases: readonly string[],
): Promise<number | undefined> {
  const isCached = version.flavour === 'mysql' && version.number >= 80000;
  const marks = databases.map(() => '?').join(', ');
  const sql = `SELECT SUM(data_length) AS bytes FROM information_schema.tables WHERE table_schema IN (${marks})`;
  const [row] = await script([
    ...(isCached ? ['SET SESSION information_schema_stats_expiry = 0'] : []),
    await statementOf(sql, databases),
  ]);
  return Number(row?.['bytes'] ?? 0) || undefined;
}

/** What the copy has come to. */
export interface CopyProgress {
  readonly message: string;
  /** Left out where it is not known how much there is, or where that has turned out to be more. */
  readonly percent?: number;
}

/** Follows what `COPY` says as it comes, piece by piece; tells only what is new. `total`: of `bytesOf`. */
export function copyProgress(total: number | undefined): (text: string) => CopyProgress | undefined {
  let rest = '';
  let last = '';
  return (text) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    const loaded = Number(lines.findLast((line) => /^\d+$/.test(line)) ?? Number.NaN);
    if (Number.isNaN(loaded)) return undefined;
    const isBeyond = total === undefined || loaded >= total;
    const percent = isBeyond ? undefined : Math.floor((100 * loaded) / total);
    const said = String(percent ?? bytesText(loaded));
    if (said === last) return undefined;
    last = said;
    const message = `${bytesText(loaded)}${isBeyond ? '' : ` of about ${bytesText(total)}`}`;
    return { message, ...(percent === undefined ? {} : { percent }) };
  };
}

/** Tells that `what` begins, and from what the job of it prints how far it is. */
export function toldProgress(ctx: Context, what: string, total: number | undefined): (text: string) => void {
  ctx.progress(what);
  const progressOf = copyProgress(total);
  return (text) => {
    const told = progressOf(text);
    if (told) ctx.progress(`${what}: ${told.message}`, told.percent);
  };
}
