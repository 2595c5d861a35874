import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context, Outcome } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import { optionText } from './_client.ts';
import type { Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import { changeSource, sourceOf, sourcePosition, untilRunning } from './_replicate.ts';
import type { BinlogPosition, ReplicaStatus } from './_server.ts';
import { binlogOf, replicaOf, wordsOf } from './_server.ts';
import { databaseOf, loginOf, loginParam } from './_settings.ts';
import { quoteName, statementOf } from './_statement.ts';

const params = z.strictObject({
  databases: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Databases to copy (default: the pair's Catalog)"),
  source: z
    .string()
    .optional()
    .describe("Host of the inventory to copy from (default: the pair's other node)"),
  wait: zDuration.default(30_000).describe('How long the replication may take to run afterwards'),
  login: loginParam,
});
type Params = z.output<typeof params>;

/** Dump on one side of the pipe, load on the other. `$1`–`$4` dump: host, port, user, dialect; `$5`, `$6` load: socket, user; then databases. Standard input: password of the dump, of the load. */
const COPY = `IFS= read -r from; IFS= read -r to
host=$1 port=$2 user=$3 dialect=$4 socket=$5 admin=$6
shift 6
pick() { command -v "$1" || command -v "$2" || { echo "neither $1 nor $2 is installed" >&2; exit 127; }; }
dump=$(pick mariadb-dump mysqldump) && load=$(pick mariadb mysql) || exit 127
at=$(mktemp -d) || exit 1
trap 'rm -rf "$at"' EXIT
options() { printf '[client]\\nuser="%s"\\n' "$1"; [ -z "$2" ] || printf 'password="%s"\\n' "$2"; }
(umask 077; options "$user" "$from" >"$at/from.cnf"; options "$admin" "$to" >"$at/to.cnf")
case $dialect in
  source) set -- --set-gtid-purged=OFF --source-data=1 --get-server-public-key --databases "$@" ;;
  master) set -- --set-gtid-purged=OFF --master-data=1 --databases "$@" ;;
  mariadb) set -- --master-data=1 --databases "$@" ;;
esac
{ "$dump" --defaults-extra-file="$at/from.cnf" -h "$host" -P "$port" --protocol=tcp --single-transaction --quick --hex-blob \\
    --routines --events --triggers --add-drop-database --default-character-set=utf8mb4 "$@" 2>"$at/error"
  echo $? >"$at/code"; } |
"$load" --defaults-extra-file="$at/to.cnf" -S "$socket" --default-character-set=utf8mb4 --init-command='SET SESSION sql_log_bin = 0'
code=$?
cat "$at/error" >&2
dumped=$(cat "$at/code")
[ "$dumped" -eq 0 ] || exit "$dumped"
exit $code`;

const GUEST = 'drillbook_resync';

/** An account for this one dump, open to the replica's address alone and to no one afterwards. */
async function withGuest<T>(
  source: Server,
  from: string,
  databases: readonly string[],
  use: (password: string) => Promise<T>,
): Promise<T> {
  const password = randomBytes(18).toString('base64url');
  const name = await statementOf('?@?', [GUEST, from]);
  const monitor =
    source.version.flavour === 'mariadb' && source.version.number >= 100500
      ? 'BINLOG MONITOR'
      : 'REPLICATION CLIENT';
  const drop = ['SET SESSION sql_log_bin = 0', `DROP USER IF EXISTS ${name}`];
  const rights = 'SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES';
  const grants = databases.map((database) => `GRANT ${rights} ON ${quoteName(database)}.* TO ${name}`);
  const hasRole = source.version.flavour === 'mysql' && source.version.number >= 80020;
  // mysqldump reads the text of routines where the account may see all of mysql.proc or of the dictionary.
  try {
    await source.script([
      ...drop,
      await statementOf(`CREATE USER ${name} IDENTIFIED BY ?`, [password]),
      `GRANT RELOAD, PROCESS, ${monitor} ON *.* TO ${name}`,
      hasRole ? `GRANT SHOW_ROUTINE ON *.* TO ${name}` : `GRANT SELECT ON mysql.proc TO ${name}`,
      ...grants,
    ]);
    return await use(password);
  } finally {
    await source.script(drop);
  }
}

/** Lets the administrator in to a server that holds off even him, for as long as `use` takes. */
async function writable<T>(server: Server, use: () => Promise<T>): Promise<T> {
  if (server.version.flavour !== 'mysql') return use();
  const [row] = await server.rows('SELECT @@GLOBAL.super_read_only AS strict');
  if (Number(row?.['strict']) !== 1) return use();
  await server.rows('SET GLOBAL super_read_only = OFF');
  try {
    return await use();
  } finally {
    await server.rows('SET GLOBAL super_read_only = ON');
  }
}

async function copy(
  ctx: Context,
  source: Server,
  replica: Server,
  { databases, login }: Params,
): Promise<void> {
  const { host, port } = sourceOf(ctx);
  const names = databases ?? [databaseOf(ctx.cluster).name];
  const from = await addressTowards(ctx, host);
  const dialect =
    source.version.flavour === 'mariadb' ? 'mariadb' : source.version.number >= 80026 ? 'source' : 'master';
  const admin = loginOf(ctx.cluster, login);
  const socket = 'socketPath' in admin.endpoint ? admin.endpoint.socketPath : databaseOf(ctx.cluster).socket;
  await withGuest(source, from, names, async (password) => {
    ctx.secret(password);
    ctx.progress(`copying ${names.join(', ')} from ${host}`);
    const { code, stderr } = await writable(replica, () =>
      ctx.sh(COPY, {
        args: [host, String(port), GUEST, dialect, socket, admin.user, ...names],
        stdin: `${password}\n${optionText(admin.password)}\n`,
      }),
    );
    if (code !== 0)
      throw new StepFailed(
        `Copying ${names.join(', ')} from ${host} to ${ctx.host.name} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
        { code, stderr },
        {
          hint: 'replication is left stopped, since the copy is not whole; mend the cause and run the resync again',
        },
      );
  });
}

/** The node's own address on the way to `host`: the only one the guest may come from. */
async function addressTowards(ctx: Context, host: string): Promise<string> {
  const { stdout } = await ctx.sh('ip -o route get "$1"', { args: [host], isLook: true });
  const address = /\bsrc (\S+)/.exec(stdout)?.[1];
  if (address !== undefined) return address;
  throw new StepFailed(
    `${ctx.host.name} has no way to ${host}`,
    {},
    { hint: 'mend the heartbeat network first' },
  );
}

/**
 * What this node wrote and the source has not applied is given up with the copy: the source goes on from the end of
 * this node's log. Its own thread is left as it was, running or not.
 */
async function turnBack(
  there: Context,
  source: Server,
  replica: Server,
  before: ReplicaStatus | undefined,
): Promise<BinlogPosition | undefined> {
  const end = await binlogOf(replica);
  if (before === undefined || end === undefined) return undefined;
  const words = wordsOf(source.version);
  const { prefix, change } = words;
  const gtid = source.version.flavour === 'mysql' ? `${prefix}_AUTO_POSITION = 0` : 'MASTER_USE_GTID = no';
  const place = await statementOf(`${change} ${prefix}_LOG_FILE = ?, ${prefix}_LOG_POS = ?, ${gtid}`, [
    end.file,
    end.position,
  ]);
  const isStopped =
    before.io === 'No' && before.sqlErrno === 0 && before.ioErrno === 0 && before.sql === 'No';
  await source.script([words.stop, place, ...(isStopped ? [] : [words.start])]);
  if (!isStopped) await untilRunning(there, source, 30_000);
  return end;
}

const takesWrites = async (server: Server): Promise<boolean> =>
  Number((await server.rows('SELECT @@GLOBAL.read_only AS closed'))[0]?.['closed']) === 0;

async function resync(ctx: Context, params: Params): Promise<Outcome> {
  const peer = params.source ?? ctx.cluster?.nodes.find((name) => name !== ctx.host.name);
  if (peer === undefined)
    throw new StepFailed(
      'From where to copy is not known',
      {},
      { hint: 'give `source`, a host of the inventory' },
    );
  const began = Date.now();
  const there = ctx.on(peer);
  const way = sourceOf(ctx);
  return withServer(there, loginOf(there.cluster, params.login), (source) =>
    withServer(ctx, loginOf(ctx.cluster, params.login), async (replica) => {
      if ((await takesWrites(replica)) && !(await takesWrites(source))) {
        throw new StepFailed(
          `${ctx.host.name} takes writes and ${peer} is read-only: ${ctx.host.name} looks like the primary, and its data would be lost`,
          {},
          { hint: 'a resync runs on the standby' },
        );
      }
      const words = wordsOf(replica.version);
      const position = await sourcePosition(ctx, way);
      const back = await replicaOf(source);
      // The dump itself brings the position; before it, the source it belongs to has to be named.
      await replica.script([words.stop, await changeSource(replica, way, position)]);
      await copy(ctx, source, replica, params);
      await replica.rows(words.start);
      const now = await untilRunning(ctx, replica, params.wait);
      const reverse = await turnBack(there, source, replica, back);
      const durationMs = Date.now() - began;
      ctx.progress(`copied in ${durationText(durationMs)}`);
      return {
        result: {
          databases: params.databases ?? [databaseOf(ctx.cluster).name],
          source: peer,
          state: 'running',
          applied: now.applied,
          reverse: reverse ?? null,
          duration: durationMs / 1000,
        },
      };
    }),
  );
}

export default action({
  summary: 'Copies whole databases from the source to this replica and rebuilds the replication from there',
  params,
  examples: `
- name: The standby is made a copy of the primary
  mysql.resync: {}
  timeout: 1h
`,
  returns: {
    databases: 'What was copied',
    source: 'Host it was copied from',
    state: 'State of the replication afterwards',
    applied: "file and position of the source's log applied",
    reverse: 'From where the source now replicates from this node; null when it does not',
    duration: 'Seconds it took',
  },
  destroys: ({ databases }) =>
    `all tables of ${databases?.join(', ') ?? 'the Catalog'} on this node, replaced by those of its peer; what this node alone has is lost`,
  role: 'not_primary',
  run: resync,
});
