import { posix } from 'node:path';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import type { Server } from './_connect.ts';
import { databaseOf } from './_settings.ts';

/** What a node has for a physical copy. */
export interface Survey {
  readonly node: string;
  /** The data directory, links followed. */
  readonly data: string;
  /** Programs of those asked for that are not there. */
  readonly lacking: readonly string[];
  /** Why its files cannot be handled from here, in words; undefined where they can. */
  readonly closed: string | undefined;
  readonly usedBytes: number;
  readonly roomBytes: number;
}

/**
 * `$1` data directory, `$2` unit, `$3` file of a plugin; then the programs asked for. Logs are not copied. `confined`: what
 * AppArmor lets the server do.
 */
const SURVEY = `PATH=$PATH:/usr/sbin:/sbin
data=$(readlink -f "$1") unit=$2 plugin=$3
shift 3
echo "data $data"
for tool; do command -v "$tool" >/dev/null || echo "lacks $tool"; done
[ -z "$plugin" ] || [ -e "$plugin" ] || echo "lacks \${plugin##*/}"
if ! { [ -r "$data" ] && [ -w "$data/.." ]; }; then echo "closed $(id -un) may not read and replace $data"
elif [ "$(stat -c %d "$data")" != "$(stat -c %d "$data/..")" ] || awk -v at="$data" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo
then echo "closed $data is a mount of its own, which cannot be renamed"
elif far=$(find "$data" -maxdepth 2 '(' -type l ! -xtype s -o -name '*.isl' ')' -print -quit) && [ -n "$far" ]; then echo "closed $far leads out of the data directory"
elif ! systemctl cat "$unit" >/dev/null 2>&1; then echo "closed systemd has no unit $unit"
elif [ -n "$plugin" ] && pid=$(systemctl show -p MainPID --value "$unit") && grep -q '(enforce)' "/proc/$pid/attr/current" 2>/dev/null
then echo "closed AppArmor confines the server to its data directory"; fi
echo "used $(du -sk --exclude='*-bin.*' --exclude='binlog.*' --exclude='ibtmp*' "$data" | cut -f1)"
echo "room $(df -Pk "$data/.." | awk 'NR == 2 { print $4 }')"`;

/** What holds data of the server, and may lie elsewhere than its data directory. */
const PLACES = [
  'log_bin_basename',
  'innodb_undo_directory',
  'innodb_log_group_home_dir',
  'innodb_data_home_dir',
] as const;

/** What the server itself says against it, in words. `data`: its data directory, as it calls it and with links followed. */
export async function closedOf(
  { version, rows }: Server,
  data: readonly string[],
): Promise<string | undefined> {
  const [row] = await rows(`SELECT ${PLACES.map((name) => `@@${name} AS ${name}`).join(', ')}`);
  for (const name of PLACES) {
    const value = String(row?.[name] ?? '');
    const isInside = data.some((at) => `${posix.resolve(at, value)}/`.startsWith(`${at}/`));
    if (!isInside) return `${name} is ${value}, outside the data directory`;
  }
  if (version.flavour === 'mariadb') return undefined;
  const [schema] = await rows('SELECT @@performance_schema AS is_on');
  if (Number(schema?.['is_on']) !== 1) return 'performance_schema is off';
  // A clone has such tables, empty.
  const [table] =
    await rows(`SELECT table_schema AS db, table_name AS name, engine AS kind FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB'
      AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema') LIMIT 1`);
  if (table === undefined) return undefined;
  return `the table ${String(table['db'])}.${String(table['name'])} is ${String(table['kind'])}, and a clone copies InnoDB alone`;
}

/** Changes nothing. */
export async function surveyOf(ctx: Context, server: Server): Promise<Survey> {
  const isMariadb = server.version.flavour === 'mariadb';
  const [row] = await server.rows('SELECT @@datadir AS data, @@plugin_dir AS plugins');
  const text = (name: string): string => String(row?.[name] ?? '').replace(/\/$/, '');
  const plugin = isMariadb ? '' : `${text('plugins')}/mysql_clone.so`;
  const tools = isMariadb
    ? ['mariadb-backup', 'mbstream', 'socat', 'openssl', 'mariadb-dump']
    : ['mysqldump'];
  const args = [text('data'), databaseOf(ctx.cluster).service, plugin, ...tools];
  const { code, stdout, stderr } = await ctx.sh(SURVEY, { args, isLook: true });
  if (code !== 0)
    throw new StepFailed(
      `What ${ctx.host.name} has for a physical copy cannot be told: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      { code, stderr },
    );
  const told = stdout
    .trimEnd()
    .split('\n')
    .map((line) => /^(\S+) ?(.*)$/.exec(line) ?? []);
  const all = (word: string): string[] =>
    told.filter(([, name]) => name === word).map(([, , value = '']) => value);
  const data = all('data')[0] ?? '';
  return {
    node: ctx.host.name,
    data,
    lacking: all('lacks'),
    closed: all('closed')[0] ?? (await closedOf(server, [text('data'), data])),
    usedBytes: Number(all('used')[0]) * 1024,
    roomBytes: Number(all('room')[0]) * 1024,
  };
}
