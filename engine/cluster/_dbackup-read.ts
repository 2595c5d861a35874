import type { Context } from '../core/module.ts';
import { optionText, parseXml } from '../modules/mysql/_client.ts';
import type { Row } from '../modules/mysql/_connect.ts';
import { parseVersion } from '../modules/mysql/_connect.ts';
import type { ReplicaStatus } from '../modules/mysql/_server.ts';
import { parseReplica } from '../modules/mysql/_server.ts';
import { type Hactl, parseHactl } from '../modules/dbackup/_hactl-status.ts';
import type { Settings } from './_dbackup-settings.ts';
import { hactlSays, sql } from './_dbackup-witnesses.ts';

/** What one node says of itself; undefined fields could not be found out. */
export interface Reading {
  readonly database: DatabaseReading | undefined;
  readonly databaseError: string | undefined;
  readonly addresses: readonly string[];
  /** Unit → its ActiveState; units that are not installed are left out. */
  readonly services: Readonly<Record<string, string>>;
  readonly isKeepalivedRunning: boolean;
  /** Undefined where hactl is not installed. */
  readonly hactl: Hactl | undefined;
  /** Peer's address → whether it answered, from the own address of the same network. */
  readonly heartbeats: ReadonlyMap<string, boolean>;
}

export interface DatabaseReading {
  readonly version: string;
  readonly isReadOnly: boolean;
  readonly serverId: string;
  readonly serverUuid: string;
  readonly replica: ReplicaStatus | undefined;
}

/** One exchange. `$1` socket, `$2` account, `$3` units, `$4` hactl, then pairs of own and peer's address; the password comes on standard input. */
const SCRIPT = `IFS= read -r password || :
socket=$1 user=$2 units=$3 hactl=$4
shift 4
at=$(mktemp -d) || exit 1
trap 'rm -rf "$at"' EXIT
while [ $# -ge 2 ]; do
  ( { ping -n -q -c 1 -W 1 -I "$1" "$2" || ping -n -q -c 1 -W 1 -I "$1" "$2"; } >/dev/null 2>&1 && echo "$2 ok" || echo "$2 failed" ) >"$at/beat.$#" &
  shift 2
done
client=$(command -v mariadb || command -v mysql)
${sql('--xml', 10)}
${hactlSays(10)}
if [ -n "$client" ]; then
  echo @variables
  sql "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version','read_only','server_id','server_uuid')" 2>"$at/error" && {
    echo @replica
    sql 'SHOW REPLICA STATUS' 2>/dev/null || sql 'SHOW SLAVE STATUS' 2>"$at/error"
  }
  echo @error; cat "$at/error"
fi
echo @addresses; ip -o addr show
echo @services
for unit in $units; do systemctl show -p Id -p LoadState -p ActiveState "$unit" 2>/dev/null | tr '\\n' ' '; echo; done
echo @keepalived; pgrep -x keepalived >/dev/null && echo running
if [ -x "$hactl" ]; then echo @hactl; hactl_says "$hactl"; fi
wait
echo @heartbeats; cat "$at"/beat.* 2>/dev/null
exit 0`;

/** The output cut at its `@name` lines. */
function sections(output: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of output.split(/^@(?=[a-z]+$)/m).slice(1)) {
    const end = part.indexOf('\n');
    found.set(part.slice(0, end), part.slice(end + 1).trim());
  }
  return found;
}

function databaseReading(rows: readonly Row[], replica: readonly Row[]): DatabaseReading {
  const variables = new Map(rows.map((row) => [String(row['Variable_name']), String(row['Value'])]));
  const readOnly = variables.get('read_only') ?? '';
  return {
    version: parseVersion(variables.get('version') ?? '').text,
    isReadOnly: !/^(off|0)?$/i.test(readOnly),
    serverId: variables.get('server_id') ?? '',
    serverUuid: variables.get('server_uuid') ?? '',
    replica: parseReplica(replica[0]),
  };
}

/** The script's output, read. */
export function parseReading(output: string): Reading {
  const found = sections(output);
  const variables = parseXml(found.get('variables') ?? '');
  const lines = (name: string): readonly string[] => (found.get(name) ?? '').split('\n').filter(Boolean);
  const services: Record<string, string> = {};
  for (const line of lines('services')) {
    const fields = Object.fromEntries(
      line
        .trim()
        .split(' ')
        .map((field) => field.split('=', 2) as [string, string]),
    );
    if (fields['LoadState'] === 'loaded')
      services[(fields['Id'] ?? '').replace(/\.service$/, '')] = fields['ActiveState'] ?? 'unknown';
  }
  const hactl = found.get('hactl');
  return {
    database:
      variables.length === 0 ? undefined : databaseReading(variables, parseXml(found.get('replica') ?? '')),
    databaseError:
      variables.length > 0 ? undefined : (found.get('error') ?? 'no client of MySQL or MariaDB is installed'),
    addresses: [...(found.get('addresses') ?? '').matchAll(/\binet6? ([0-9a-f.:]+)\//g)].map(
      ([, address = '']) => address,
    ),
    services,
    isKeepalivedRunning: found.get('keepalived') === 'running',
    hactl: hactl === undefined ? undefined : parseHactl(hactl),
    heartbeats: new Map(lines('heartbeats').map((line) => [line.split(' ')[0] ?? '', line.endsWith(' ok')])),
  };
}

/** Reads a node in one exchange. Throws Unreachable where it does not answer. */
export async function readNode(
  ctx: Context,
  settings: Settings,
  node: string,
  peer: string | undefined,
): Promise<Reading> {
  const pairs = settings.heartbeats.flatMap(({ addresses }) => {
    const [own, other] = [addresses[node], peer === undefined ? undefined : addresses[peer]];
    return own === undefined || other === undefined ? [] : [own, other];
  });
  const { socket, admin } = settings.database;
  const { stdout } = await ctx.sh(SCRIPT, {
    args: [socket, admin.user, settings.services.join(' '), `${settings.install_dir}/bin/hactl`, ...pairs],
    stdin: `${optionText(admin.password)}\n`,
  });
  return parseReading(stdout);
}
