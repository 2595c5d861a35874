import { randomBytes } from 'node:crypto';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { optionText } from './_client.ts';
import type { OnServer, Server } from './_connect.ts';
import { toldProgress } from './_copy.ts';
import { addressTowards, farewell, GUEST, isStrict } from './_dump.ts';
import { sourceOf } from './_replicate.ts';
import type { BinlogPosition } from './_server.ts';
import type { Login } from './_settings.ts';
import { socketOf } from './_settings.ts';
import { statementOf } from './_statement.ts';
import { ADOPT, LEFTOVERS, PRIVATE } from './_swap.ts';
import type { Survey } from './_survey.ts';

const INSTALL = "INSTALL PLUGIN clone SONAME 'mysql_clone.so'";
const UNINSTALL = 'UNINSTALL PLUGIN clone';

/**
 * On the replica: its server clones the source into a folder beside its data directory `$1`, and goes on serving its own.
 * `$2` socket, `$3` user, `$4` 1 where super_read_only is set aside for the plugin, `$5` word that tells this copy from others: one
 * that is whole already, or in its place, is not made again. Standard input: password; statement that
 * lets the source be cloned; CLONE. Standard output: bytes so far, a line each second.
 */
const CLONE = `IFS= read -r password; IFS= read -r allow; IFS= read -r clone
data=$1 socket=$2 user=$3 strict=$4 word=$5 follower= plugin=
for place in "$data.drillbook-whole" "$data"; do
  [ "$(cat "$place/drillbook-copy" 2>/dev/null)" != "$word" ] || { rm -rf "$data.drillbook-incoming"; exit 0; }
done
${PRIVATE}
(umask 077; { printf '[client]\\nuser="%s"\\n' "$user"; [ -z "$password" ] || printf 'password="%s"\\n' "$password"; } >"$at/to.cnf")
sql() { mysql --defaults-extra-file="$at/to.cnf" -S "$socket" -BN; }
open() { [ "$strict" != 1 ] || echo 'SET GLOBAL super_read_only = OFF' | sql; }
shut() { [ "$strict" != 1 ] || echo 'SET GLOBAL super_read_only = ON' | sql; }
# Asked again at the end: one that has become the primary meanwhile is not closed.
follow() { while sleep 1 && kill -0 $$; do echo 'SELECT SUM(data) FROM performance_schema.clone_progress' | sql; done; }
leave() { [ -z "$follower" ] || kill "$follower"; [ -z "$plugin" ] || { strict=$(echo 'SELECT @@GLOBAL.super_read_only' | sql); open; echo '${UNINSTALL}' | sql; shut; }; rm -rf "$at"; [ -d "$data.drillbook-whole" ] || rm -rf "$data.drillbook-incoming"; }
trap leave EXIT
trap 'exit 143' HUP INT TERM
${ADOPT}
has() { echo "SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'clone' AND plugin_status = 'ACTIVE'" | sql; }
if [ -z "$(has)" ]; then
  open && echo "${INSTALL}" | sql
  code=$?
  shut && [ $code -eq 0 ] || exit 1
  plugin=1
else
  # One that was begun before goes on in the server when its client is gone.
  tries=0
  while id=$(echo "SELECT pid FROM performance_schema.clone_status WHERE state = 'In Progress' AND destination LIKE '%.drillbook-incoming/data/'" | sql) && [ -n "$id" ]; do
    [ $tries -gt 0 ] || echo "KILL $id" | sql
    tries=$((tries + 1)); [ $tries -lt 60 ] || { echo 'an earlier clone does not end' >&2; exit 1; }; sleep 1
  done
fi
rm -rf ${LEFTOVERS}
mkdir -m 700 "$data.drillbook-incoming" && chown "$(stat -c %u:%g "$data")" "$data.drillbook-incoming" || exit
follow 2>/dev/null & follower=$!
printf '%s;\\n' "$allow" "$clone" | sql || exit
echo "$word" >"$data.drillbook-incoming/data/drillbook-copy" && adopt "$data.drillbook-incoming/data" && rmdir "$data.drillbook-incoming"`;

interface Guest {
  readonly password: string;
  readonly from: string;
  /** The source had no clone plugin before. */
  readonly isPluginNew: boolean;
}

/** Kept before it is installed: an engine that died between would take it for one that was there before. */
const lacksPlugin = async (server: Server): Promise<boolean> =>
  (await server.rows("SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'clone'")).length === 0;

async function newGuest(source: Server, from: string, isPluginNew: boolean): Promise<Guest> {
  const password = randomBytes(18).toString('base64url');
  const name = await statementOf('?@?', [GUEST, from]);
  await source.script([
    ...(await farewell({ from })),
    ...((await lacksPlugin(source)) ? [INSTALL] : []),
    await statementOf(`CREATE USER ${name} IDENTIFIED BY ?`, [password]),
    `GRANT BACKUP_ADMIN ON *.* TO ${name}`,
  ]);
  return { password, from, isPluginNew };
}

/** A whole copy of the source's data beside the replica's own, which is not touched; whether the plugin was new to the source. */
export async function copyByClone(
  ctx: Context,
  onSource: OnServer,
  surveys: { readonly here: Survey; readonly there: Survey },
  { admin, strict, word }: { readonly admin: Login; readonly strict: boolean; readonly word: string },
): Promise<{ readonly isPluginNew: boolean }> {
  const { host, port } = sourceOf(ctx);
  const { data } = surveys.here;
  const isPluginNew = await ctx.keep('plugin', () => onSource(lacksPlugin));
  const guest = await ctx.keep('cloner', async () => {
    const from = await addressTowards(ctx, host);
    const made = await onSource((source) => newGuest(source, from, isPluginNew));
    ctx.secret(made.password);
    return made;
  });
  ctx.secret(guest.password);
  const allow = await statementOf('SET GLOBAL clone_valid_donor_list = ?', [`${host}:${port}`]);
  const clone = await statementOf(`CLONE INSTANCE FROM ?@?:${port} IDENTIFIED BY ? DATA DIRECTORY = ?`, [
    GUEST,
    host,
    guest.password,
    `${data}.drillbook-incoming/data`,
  ]);
  const { code, stderr } = await ctx.job(CLONE, {
    args: [data, socketOf(ctx.cluster, admin), optionText(admin.user), strict ? '1' : '0', word],
    stdin: `${optionText(admin.password)}\n${allow}\n${clone}\n`,
    isRepeatable: true,
    onOutput: toldProgress(ctx, `cloning ${host}`, surveys.there.usedBytes),
  });
  await onSource(async (source) =>
    source.script([...(await farewell(guest)), ...(await goneFrom(source, guest))]),
  );
  if (code === 0) return guest;
  throw new StepFailed(
    `Cloning ${host} to ${ctx.host.name} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    { code, stderr },
    { hint: `the data of ${ctx.host.name} were not touched; mend the cause and run the resync again` },
  );
}

/** What takes the plugin off a server again, where it came with the clone. */
async function goneFrom(server: Server, { isPluginNew }: Pick<Guest, 'isPluginNew'>): Promise<string[]> {
  return isPluginNew && !(await lacksPlugin(server)) ? [UNINSTALL] : [];
}

/** Where in the source's log the server stands that came up with a clone. */
export async function positionOfClone(ctx: Context, replica: Server): Promise<BinlogPosition> {
  const [row] = await replica.rows(
    'SELECT binlog_file AS file, binlog_position AS position FROM performance_schema.clone_status',
  );
  const file = String(row?.['file'] ?? '');
  if (file !== '') return { file, position: Number(row?.['position']) };
  throw new StepFailed(
    `The clone on ${ctx.host.name} does not tell where in the log of its source it stands`,
    {},
    { hint: 'the source keeps no binary log, or has written nothing to it yet' },
  );
}

/** A clone brings the source's plugin along. */
export async function withoutPlugin(replica: Server, guest: Pick<Guest, 'isPluginNew'>): Promise<void> {
  const gone = await goneFrom(replica, guest);
  if (gone.length === 0) return;
  const isClosed = await isStrict(replica);
  const strict = (value: string): string[] => (isClosed ? [`SET GLOBAL super_read_only = ${value}`] : []);
  await replica.script([...strict('OFF'), 'SET SESSION sql_log_bin = 0', ...gone, ...strict('ON')]);
}
