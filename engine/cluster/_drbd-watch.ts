import type { Glance, Watch } from '../core/cluster.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';

/**
 * A line for each look: DRBD's role, connection and disks, whether all units run, VIPs that are here. `$1` resource, `$2`
 * its minor, `$3` directory, `$4` virtual address, `$5` seconds after which it ends by itself, units from `$6` on. Of 8.4
 * DRBD tells in /proc, which costs nothing; what a standby does not run is not asked for.
 */
const SCRIPT = `resource=$1 minor=$2 directory=$3 vip=$4
IFS=' .' read -r now _ </proc/uptime
end=$((now + $5)); shift 5
while [ "$now" -lt "$end" ]; do
  cs= ro= ds=
  while read -r number rest; do
    [ "$number" = "$minor:" ] || continue
    for word in $rest; do case $word in cs:*) cs=\${word#*:} ;; ro:*) ro=\${word#*:} ;; ds:*) ds=\${word#*:} ;; esac; done
  done </proc/drbd 2>/dev/null
  if [ -z "$cs" ] && grep -qs '^version: 9' /proc/drbd; then
    cs=$(drbdadm cstate "$resource" 2>/dev/null) ro=$(drbdadm role "$resource" 2>/dev/null) ds=$(drbdadm dstate "$resource" 2>/dev/null)
  fi
  case $(cat /proc/mounts) in *" $directory "*) runs=yes; for unit; do systemctl -q is-active "$unit" 2>/dev/null || runs=no; done ;; *) runs=no ;; esac
  case $(ip -o addr show 2>/dev/null) in *" inet $vip/"* | *" inet6 $vip/"*) held=$vip ;; *) held= ;; esac
  echo "cs=\${cs:-none} ro=\${ro:-none} ds=\${ds:-none} runs=$runs vip=$held"
  sleep 0.2 2>/dev/null || sleep 1
  IFS=' .' read -r now _ </proc/uptime
done`;

const SECONDS = 3600;

function replicationIn(connection: string, disks: string): string {
  if (connection === 'none') return 'absent';
  if (connection === 'StandAlone') return 'broken';
  if (/Sync|^WFBitMap/.test(connection)) return 'syncing';
  if (connection !== 'Connected') return 'disconnected';
  return disks.split('/').every((disk) => disk === 'UpToDate') ? 'normal' : 'broken';
}

/** A line of the script, read; undefined of anything else. */
export function drbdGlance(line: string): Glance | undefined {
  const match = /^cs=(\S+) ro=(\S+) ds=(\S+) runs=(yes|no) vip=(\S*)$/.exec(line);
  if (match === null) return undefined;
  const [, connection = '', roles = '', disks = '', runs = '', held = ''] = match;
  const isPrimary = roles.startsWith('Primary');
  const isWritable = isPrimary && runs === 'yes';
  const role = isWritable && held !== '' ? 'primary' : !isPrimary && held === '' ? 'standby' : 'unknown';
  return {
    ...{ role, isWritable, vips: held === '' ? [] : [held] },
    ...{ replication: replicationIn(connection, disks), lagSeconds: null },
  };
}

/** How a node is watched while a drill runs. */
export const drbdWatch = ({ drbd, filesystem, vip }: DrbdSettings, { units }: Shape): Watch => ({
  script: SCRIPT,
  args: [
    ...[drbd.resource, drbd.device.replace(/^\D+/, ''), filesystem.directory, vip.address],
    ...[String(SECONDS), ...units],
  ],
  stdin: '',
  read: drbdGlance,
});
