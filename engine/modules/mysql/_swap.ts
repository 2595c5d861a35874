import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { optionText } from './_client.ts';
import type { Login } from './_settings.ts';
import { databaseOf, socketOf } from './_settings.ts';
import type { Survey } from './_survey.ts';

/**
 * Shell function: a folder that holds a copy becomes `$data.drillbook-whole`. What is a server's own and in no copy comes from the data
 * directory: its identity, variables that were made to last, keys.
 */
export const ADOPT = `adopt() {
  for file in "$data"/auto.cnf "$data"/mysqld-auto.cnf "$data"/*.pem "$data"/debian-*.flag "$data"/mysql_upgrade_info "$data"/mariadb_upgrade_info; do
    [ ! -f "$file" ] || cp -p "$file" "$1/" || return
  done
  chcon -R --reference="$data" "$1" 2>/dev/null
  chown -R "$(stat -c %u:%g "$data")" "$1" && chmod "$(stat -c %a "$data")" "$1" && sync && mv -T "$1" "$data.drillbook-whole"
}`;

/** What an earlier copy may have left beside the data directory. */
export const LEFTOVERS = ['incoming', 'whole', 'failed', 'old', 'gone']
  .map((name) => `"$data.drillbook-${name}"`)
  .join(' ');

/** Shell: `$at`, a folder for files that hold passwords, in memory where there is such a place. */
export const PRIVATE = 'at=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1';

/**
 * The data directory `$1` gives way to `$1.drillbook-whole`, beside it; accounts stay as they were on this node. `$2` unit, `$3` socket,
 * `$4` user, `$5` variable that keeps writers off afterwards, or empty. Standard input: password. Where the server does not
 * come up with the new data the old is put back. Begun again it goes on from where it was: `.drillbook-old` is the old data, `.drillbook-failed`
 * new data on the way out, `.drillbook-gone` old data on theirs.
 */
const SWAP = `IFS= read -r password
data=$1 unit=$2 socket=$3 user=$4 closed=$5 accounts=drillbook-accounts.sql state= isOld=
umask 077
${PRIVATE}
# Whatever ends this leaves a server that serves. What is asked to end has two seconds: renames, and a start that is not waited for.
leave() {
  trap '' HUP INT TERM
  rm -rf "$at"
  [ -n "$state" ] || return
  if [ "$state" = down ] && [ -n "$isOld" ] && [ -d "$data.drillbook-old" ]; then
    [ ! -d "$data" ] || mv -T "$data" "$data.drillbook-failed"
    mv -T "$data.drillbook-old" "$data"
  fi
  systemctl -q unmask --runtime "$unit" $sockets
  systemctl --no-block start $active "$unit"
}
trap leave EXIT
trap 'exit 143' HUP INT TERM
client=$(command -v mariadb || command -v mysql) && dump=$(command -v mariadb-dump || command -v mysqldump) || exit 127
{ printf '[client]\\nuser="%s"\\n' "$user"; [ -z "$password" ] || printf 'password="%s"\\n' "$password"; } >"$at/to.cnf"
sql() { "$client" --defaults-extra-file="$at/to.cnf" -S "$socket" -BN "$@"; }
# Whoever logs in wakes the server through a socket of systemd; and nobody is to start it in between. A masked unit does not tell its sockets.
systemctl -q unmask --runtime "$unit" 2>/dev/null
sockets=$(systemctl show -p TriggeredBy --value "$unit") active=
[ -z "$sockets" ] || systemctl -q unmask --runtime $sockets 2>/dev/null
for one in $sockets; do ! { systemctl -q is-active "$one" || systemctl -q is-enabled "$one" 2>/dev/null; } || active="$active $one"; done
# Stopped before it is masked, for a masked unit has forgotten how it wants to be stopped.
down() { state=half; systemctl stop $sockets "$unit" && systemctl -q mask --runtime "$unit" $sockets 2>/dev/null; systemctl stop $sockets "$unit" && state=down; }
up() { state=half; systemctl -q unmask --runtime "$unit" $sockets; systemctl reset-failed "$unit" $sockets 2>/dev/null; systemctl start $active "$unit" && tries=0 && until sql -e 'SELECT 1' >/dev/null 2>"$at/said"; do
  tries=$((tries + 1)); [ $tries -lt 60 ] || { cat "$at/said" >&2; return 1; }; sleep 1; done && state=; }
dump() {
  tables=$(sql -e "SELECT table_name FROM information_schema.tables WHERE table_schema = 'mysql' AND table_type = 'BASE TABLE'
    AND table_name IN ('user', 'global_priv', 'db', 'tables_priv', 'columns_priv', 'procs_priv', 'proxies_priv', 'roles_mapping',
    'global_grants', 'role_edges', 'default_roles', 'password_history')") && [ -n "$tables" ] || return
  gtid=
  case $dump in *mysqldump) gtid=--set-gtid-purged=OFF ;; esac
  echo 'SET SESSION sql_log_bin = 0; START TRANSACTION;' && for table in $tables; do echo "DELETE FROM mysql.$table;"; done &&
    "$dump" --defaults-extra-file="$at/to.cnf" -S "$socket" $gtid --no-create-info --skip-lock-tables --skip-add-locks \\
      --skip-disable-keys --skip-triggers --hex-blob --default-character-set=utf8mb4 mysql $tables && echo 'COMMIT; FLUSH PRIVILEGES;'
}
# Accounts that an earlier swap has not put back yet are the node's own, and not those in the tables.
# On disk, with the ends of all jobs before, ere the data directory is moved: a power failure must not take them back alone.
save() {
  { if [ -e "$data/$accounts" ]; then cat "$data/$accounts"; else dump; fi; } >"$data.drillbook-whole/$accounts.part" &&
    sync && mv "$data.drillbook-whole/$accounts.part" "$data.drillbook-whole/$accounts"
}
if [ -d "$data.drillbook-whole" ]; then
  # After a power failure it may not be up; a socket is not started beside a server that is.
  [ -e "$data.drillbook-whole/$accounts" ] || { { sql -e 'SELECT 1' >/dev/null 2>&1 || up; } && save; } || { rm -rf "$data.drillbook-whole"; exit 1; }
  down || exit
  if [ -d "$data" ]; then
    # Both are there where moving was a copy that did not come to its end.
    if [ -d "$data.drillbook-old" ]; then rm -rf "$data"; else mv -T "$data" "$data.drillbook-old"; fi || exit
  fi
  isOld=1
  mv -T "$data.drillbook-whole" "$data" || exit
fi
[ ! -d "$data.drillbook-old" ] || isOld=1
shut() { [ -z "$closed" ] || echo "SET GLOBAL $closed = ON" | sql; }
# The product's agent may set super_read_only as soon as the server is up.
settle() {
  { case $client in *mariadb) ;; *) echo 'SET GLOBAL super_read_only = OFF;' ;; esac; cat "$data/$accounts"; } |
    sql --binary-mode --default-character-set=utf8mb4 mysql
}
serve() {
  up && shut || return
  [ ! -e "$data/$accounts" ] || { { settle || { sleep 1; settle; } || { sleep 1; settle; }; } && rm "$data/$accounts"; } || return
  shut
}
if [ -d "$data.drillbook-failed" ] || ! serve; then
  down || exit
  if [ -d "$data.drillbook-old" ]; then
    [ -d "$data.drillbook-failed" ] || mv -T "$data" "$data.drillbook-failed" || exit
    mv -T "$data.drillbook-old" "$data" || exit
  fi
  serve || { echo 'the server comes up neither with the copy nor with its old data, which are in place again' >&2; exit 1; }
  rm -rf "$data.drillbook-failed"
  echo "the server would not serve the copy, and has its old data again" >&2
  exit 1
fi
rm -rf "$data.drillbook-gone"
[ ! -d "$data.drillbook-old" ] || mv -T "$data.drillbook-old" "$data.drillbook-gone" || exit
rm -rf "$data.drillbook-gone" "$data"/xtrabackup_* "$data"/mariadb_backup_* "$data/backup-my.cnf" "$data/drillbook-copy"`;

/** The replica's server stops, and comes up again with the copy that lies whole beside its data. */
export async function swapData(
  ctx: Context,
  { data }: Survey,
  admin: Login,
  closed: '' | 'read_only' | 'super_read_only',
): Promise<void> {
  const { service } = databaseOf(ctx.cluster);
  ctx.progress('replacing the data');
  const { code, stderr } = await ctx.job(SWAP, {
    args: [data, service, socketOf(ctx.cluster, admin), optionText(admin.user), closed],
    stdin: `${optionText(admin.password)}\n`,
    isRepeatable: true,
  });
  if (code === 0) return;
  throw new StepFailed(
    `Replacing the data of ${ctx.host.name} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    { code, stderr },
    {
      hint: `its old data, where they are not back in place, are ${data}.drillbook-old; see journalctl -u ${service}`,
    },
  );
}
