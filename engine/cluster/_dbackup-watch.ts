import type { Glance, Watch } from '../core/cluster.ts';
import type { Cluster } from '../core/host.ts';
import { optionText } from '../modules/mysql/_client.ts';
import { settingsSchema } from './_dbackup-settings.ts';
import { serverSays, sql } from './_dbackup-witnesses.ts';

const REPLICA = [
  `'Replica_IO_Running: '* | 'Slave_IO_Running: '*) case \${line#*: } in Yes) echo 'io=yes' ;; *) echo 'io=no' ;; esac ;;`,
  `'Replica_SQL_Running: '* | 'Slave_SQL_Running: '*) case \${line#*: } in Yes) echo 'run=yes' ;; *) echo 'run=no' ;; esac ;;`,
  `'Seconds_Behind_Source: '[0-9]* | 'Seconds_Behind_Master: '[0-9]*) echo "lag=\${line#*: }" ;;`,
];

/**
 * A line for each look, several a second: read_only, the two threads of the replication and its lag, VIPs that are here.
 * \`$1\` socket, \`$2\` account, \`$3\` VIPs; the password comes on standard input. It ends by itself after \`$4\` seconds.
 */
const SCRIPT = `IFS= read -r password || :
socket=$1 user=$2 vips=$3
${sql('--vertical --force', 2)}
client=$(command -v mariadb || command -v mysql)
IFS=' .' read -r now _ </proc/uptime
end=$((now + $4))
while [ "$now" -lt "$end" ]; do
  read_only= io= run= lag=
  ${serverSays(...REPLICA)}
  links=$(ip -o addr show 2>/dev/null) held=
  for one in $vips; do case $links in *" inet $one/"* | *" inet6 $one/"*) held="$held,$one" ;; esac; done
  echo "read_only=\${read_only:-unknown} io=\${io:-none} run=\${run:-none} lag=\${lag:--} vips=\${held#,}"
  sleep 0.2 2>/dev/null || sleep 1
  IFS=' .' read -r now _ </proc/uptime
done`;

const SECONDS = 3600;

/** A line of the script, read; undefined of anything else. */
export function dbackupGlance(line: string): Glance | undefined {
  const match = /^read_only=(\w+) io=(\w+) run=(\w+) lag=(\d+|-) vips=(\S*)$/.exec(line);
  if (match === null) return undefined;
  const [, readOnly = '', io = '', run = '', lag = '', held = ''] = match;
  const vips = held === '' ? [] : held.split(',');
  const isWritable = readOnly === 'off';
  const role =
    readOnly === 'unknown' || isWritable !== vips.length > 0 ? 'unknown' : isWritable ? 'primary' : 'standby';
  const replication =
    readOnly === 'unknown'
      ? 'unknown'
      : io === 'none'
        ? 'absent'
        : io === 'yes' && run === 'yes'
          ? 'normal'
          : run === 'no'
            ? 'broken'
            : 'disconnected';
  return { role, isWritable, vips, replication, lagSeconds: lag === '-' ? null : Number(lag) };
}

/** How a node is watched while a drill runs; \`cluster\` with its settings rendered. */
export function dbackupWatch(cluster: Cluster): Watch {
  const { database, vips } = settingsSchema.parse(cluster.settings);
  const { socket, admin } = database;
  return {
    script: SCRIPT,
    args: [socket, admin.user, vips.map(({ address }) => address).join(' '), String(SECONDS)],
    stdin: `${optionText(admin.password)}\n`,
    read: dbackupGlance,
  };
}
