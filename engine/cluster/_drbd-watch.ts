import type { Glance, Watch } from '../core/cluster.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';

/**
 * A line for each look: DRBD's role, connection and disks, whether all units run, VIPs that are here. `$1` resource, `$2`
 * its minor, `$3` directory, `$4` virtual address, `$5` seconds after which it ends by itself, units from `$6` on. Hardly a
 * program is started for it, for the node has its hands full meanwhile: of 8.4 DRBD tells in /proc, and of a unit that ran
 * is only seen whether its processes are there.
 */
const SCRIPT = `resource=$1 minor=$2 directory=$3 vip=$4
IFS=' .' read -r now _ </proc/uptime
end=$((now + $5)); shift 5
runs=no
has_mount() { while read -r _ at _; do [ "$at" != "$directory" ] || return 0; done </proc/mounts; return 1; }
has_processes() { read -r _ <"/sys/fs/cgroup/system.slice/\${1%.service}.service/cgroup.procs"; } 2>/dev/null
does_run() { if [ "$runs" = yes ] && has_processes "$1"; then return 0; fi; systemctl -q is-active "$1" 2>/dev/null; }
while [ "$now" -lt "$end" ]; do
  cs= ro= ds=
  while read -r number rest; do
    [ "$number" = "$minor:" ] || continue
    for word in $rest; do case $word in cs:*) cs=\${word#*:} ;; ro:*) ro=\${word#*:} ;; ds:*) ds=\${word#*:} ;; esac; done
  done </proc/drbd 2>/dev/null
  version=; read -r _ version _ </proc/drbd
  case $cs/$version in /9*)
    cs=$(drbdadm cstate "$resource" 2>/dev/null) ro=$(drbdadm role "$resource" 2>/dev/null) ds=$(drbdadm dstate "$resource" 2>/dev/null) ;;
  esac 2>/dev/null
  if has_mount; then now_runs=yes; for unit; do does_run "$unit" || now_runs=no; done; runs=$now_runs; else runs=no; fi
  case $(ip -o addr show 2>/dev/null) in *" inet $vip/"* | *" inet6 $vip/"*) held=$vip ;; *) held= ;; esac
  echo "cs=\${cs:-none} ro=\${ro:-none} ds=\${ds:-none} runs=$runs vip=$held"
  sleep 0.5 2>/dev/null || sleep 1
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
