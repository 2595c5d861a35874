import { optionText } from '../../modules/mysql/_client.ts';
import type { DatabaseSettings } from '../../modules/mysql/_settings.ts';
import { LEDGER } from '../ledger.ts';
import type { FaultScripts } from '../lease.ts';

/** Statements by the node's own client; the password lies in `$AT/secret`, which only root reads. */
const SQL = `client=$(command -v mariadb || command -v mysql) || { echo 'no client of MySQL or MariaDB is installed' >&2; exit 1; }
socket=$1 user=$2
# Not among the arguments of the client: what is said has the hashes of passwords in it.
sql() { printf '%s\\n' "$1" | "$client" --defaults-extra-file="$AT/secret" -S "$socket" -u "$user" --batch --raw --skip-column-names; }
# A server that is read-only for administrators too is opened for one statement; one that was left open is closed then.
is_open() { [ ! -e "$AT/opened" ] && [ "$(sql "SHOW GLOBAL VARIABLES LIKE 'super_read_only'" | sed 's/.*\\t//')" != ON ]; }
unlocked() {
  if is_open; then sql "$1"; return; fi
  echo >"$AT/opened"
  sql 'SET GLOBAL super_read_only = 0' && sql "$1"; code=$?
  sql 'SET GLOBAL super_read_only = 1' && rm "$AT/opened" && return "$code"
}`;

/** `$3` database. Rows ahead of those that the clients write now, and a mark, in this server's tables alone. */
const CONFLICT = `${SQL}
at=$(sql "SELECT COALESCE(MAX(n), 0) + 301 FROM \\\`$3\\\`.${LEDGER}") && echo "$at" >"$AT/first" || exit
unlocked "SET SESSION sql_log_bin = 0; USE \\\`$3\\\`; INSERT IGNORE INTO ${LEDGER} (n, attempt) VALUES (-$at, 0), ($at, 1), ($((at + 1)), 1), ($((at + 2)), 1), ($((at + 3)), 1), ($((at + 4)), 1)"`;

/** The rows go, and the replication goes on from where it stopped. */
const CONCORD = `${SQL}
[ -s "$AT/first" ] || exit 0
read -r at <"$AT/first"
there=$(sql "SHOW TABLES FROM \\\`$3\\\` LIKE '${LEDGER}'") || exit
[ -z "$there" ] || there=$(sql "SELECT n FROM \\\`$3\\\`.${LEDGER} WHERE n = -$at") || exit
# With their mark they are ours still: the first that the primary writes too stops the replication before it.
[ -z "$there" ] ||
  unlocked "SET SESSION sql_log_bin = 0; USE \\\`$3\\\`; DELETE FROM ${LEDGER} WHERE n = -$at OR n BETWEEN $at AND $((at + 4))" || exit
sql 'START REPLICA' 2>/dev/null || sql 'START SLAVE'
exit 0`;

/** `$3` account of the replication. Its accounts as they are, to be put back; then a password that nobody knows. */
const LOCK_OUT = `${SQL}
sql "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User = '$3'" >"$AT/accounts"
[ -s "$AT/accounts" ] || { echo "there is no account $3" >&2; exit 1; }
: >"$AT/back"
while IFS= read -r account; do
  sql "SET SESSION print_identified_with_as_hex = 1; SHOW CREATE USER $account" >"$AT/one" 2>/dev/null || sql "SHOW CREATE USER $account" >"$AT/one" || exit
  sed 's/^CREATE USER/ALTER USER/; s/$/;/' "$AT/one" >>"$AT/back"
done <"$AT/accounts"
wrong=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \\n')
while IFS= read -r account; do
  unlocked "SET SESSION sql_log_bin = 0; ALTER USER $account IDENTIFIED BY '$wrong'" || exit
done <"$AT/accounts"
for id in $(sql "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"); do sql "KILL $id" 2>/dev/null; done
exit 0`;

const LET_IN = `${SQL}
[ -s "$AT/back" ] || exit 0
unlocked "SET SESSION sql_log_bin = 0; $(cat "$AT/back")"`;

const argsOf = ({ socket, admin }: DatabaseSettings, more: string): readonly string[] => [
  socket,
  admin.user,
  more,
];
const secretOf = ({ admin }: DatabaseSettings): string =>
  admin.password === undefined ? '' : `[client]\npassword="${optionText(admin.password)}"\n`;

/** Rows of the standby that the primary is about to write. */
export const conflictingRow = (database: DatabaseSettings): FaultScripts => ({
  ...{
    start: CONFLICT,
    heal: CONCORD,
    args: argsOf(database, database.name.replaceAll('`', '``')),
    secret: secretOf(database),
  },
  isLasting: true,
});

/** The replica of this node is thrown out, and not let in again. */
export const wrongPassword = (database: DatabaseSettings): FaultScripts => ({
  ...{ start: LOCK_OUT, heal: LET_IN, secret: secretOf(database) },
  args: argsOf(database, (database.replication?.user ?? '').replaceAll('\\', '\\\\').replaceAll("'", "''")),
  isLasting: true,
});
