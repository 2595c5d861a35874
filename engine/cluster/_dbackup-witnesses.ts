import type { BoundRole } from '../core/cluster.ts';
import type { Cluster, Guard } from '../core/host.ts';
import { AGENT } from '../modules/dbackup/_paths.ts';
import { optionText } from '../modules/mysql/_client.ts';
import { settingsSchema } from './_dbackup-settings.ts';
import type { Voices } from './model.ts';
import { roleGuard } from './role-guard.ts';

/**
 * What speaks for a role: read by `status` on both nodes, and by the guard on one, in the exchange of an act.
 * With replication both ways, as it should be, replication tells nothing of the roles; and one node alone cannot see
 * which way it goes, for the source keeps a thread for a replica long after that has left.
 */
export const VOICES = {
  read_only: { off: 'primary', on: 'standby' },
  vip: { here: 'primary', elsewhere: 'standby' },
  replication: { 'to the peer alone': 'primary', 'from the peer alone': 'standby' },
  hactl: { primary: 'primary', standby: 'standby' },
} as const satisfies Voices;

/** What hactl says; where it gives no role although the node knows of a cluster, that the role is unknown. `$1` hactl. */
export const hactlSays = (seconds: number): string => `hactl_says() {
  told=$(timeout ${seconds} "$1" status 2>&1); code=$?
  printf '%s\\n' "$told"
  case $told in *role:*) ;; *) [ ! -e ${AGENT}/ha.info ] || echo 'role: unknown' ;; esac
  echo "exit: $code"
}`;

/** Runs `$1` by the database's own client; the password travels by a pipe. Reads `$client`, `$socket`, `$user`, `$password`. */
export const sql = (mode: string, seconds: number): string => `sql() {
  if [ -n "$password" ]; then set -- "$1" --defaults-extra-file=/dev/stdin; else set -- "$1" --no-defaults; fi
  printf '[client]\\npassword="%s"\\n' "$password" | timeout ${seconds} "$client" "$2" ${mode} --connect-timeout=${Math.min(seconds, 5)} -S "$socket" -u "$user" -e "$1"
}`;

/**
 * Sets `read_only` (on, off, or nothing where the server does not tell), and what `arms` of a `case` make of a line of the
 * replica's status. Needs `sql` and `$client`.
 */
export const serverSays = (...arms: readonly string[]): string => `eval "$(
  [ -z "$client" ] || sql 'SELECT @@GLOBAL.read_only AS read_only; SHOW REPLICA STATUS; SHOW SLAVE STATUS' 2>/dev/null |
  while IFS= read -r line; do
    line=\${line#"\${line%%[! ]*}"}
    case $line in
      'read_only: '0 | 'read_only: '[Oo][Ff][Ff]) echo ': "\${read_only:=off}"' ;;
      'read_only: '*) echo ': "\${read_only:=on}"' ;;
      ${arms.join('\n      ')}
    esac
  done
)"`;

/**
 * `$1` socket, `$2` account, `$3` its password, `$4` hactl, `$5` VIPs, with spaces between.
 * A VIP that answers and is not on a link here is elsewhere.
 */
const SCRIPT = `socket=$1 user=$2 password=$3 hactl=$4 vips=$5
${sql('--vertical --force', 4)}
${hactlSays(4)}
client=$(command -v mariadb || command -v mysql)
read_only= source=
${serverSays(`'Source_Host: '[!\\ ]* | 'Master_Host: '[!\\ ]*) echo "source='from a source'" ;;`)}
replication=\${source:-none}
[ -n "$read_only" ] || replication=unknown
links=$(ip -o addr show 2>/dev/null) held=
for one in $vips; do case $links in *" inet $one/"* | *" inet6 $one/"*) held="$held$one " ;; esac; done
if [ -z "$links" ]; then vip=unknown
elif [ -n "$held" ]; then vip=here
else
  held=$(for one in $vips; do ping -n -q -c 1 -W 1 "$one" >/dev/null 2>&1 && printf '%s ' "$one" & done; wait)
  if [ -n "$held" ]; then vip=elsewhere; else vip=nowhere; fi
fi
role='not installed'
if [ -x "$hactl" ]; then
  role=$(hactl_says "$hactl" | sed -n 's/^role:[[:space:]]*\\([[:alnum:]]*\\).*/\\1/p' | head -n 1 | tr '[:upper:]' '[:lower:]')
  role=\${role:-no cluster}
fi
case $role/$vip/$replication in 'no cluster'/* | 'not installed'/nowhere/none) free=yes ;; esac
# A database that is in no cluster yet takes writes on both nodes.
witness read_only "\${free:+-}\${read_only:-unknown}" "\${read_only:-unknown}"
witness replication "$replication"
witness vip "$vip" "$held$vip"
witness hactl "$role"`;

/** Refuses an act on a node that is not `wanted` in that instant. */
export function dbackupGuard(cluster: Cluster, node: string, wanted: BoundRole): Guard {
  const settings = settingsSchema.parse(cluster.settings);
  const { socket, admin } = settings.database;
  return roleGuard(node, wanted, {
    voices: VOICES,
    script: SCRIPT,
    args: [
      socket,
      admin.user,
      optionText(admin.password),
      `${settings.install_dir}/bin/hactl`,
      settings.vips.map(({ address }) => address).join(' '),
    ],
  });
}
