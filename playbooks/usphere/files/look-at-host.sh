#!/bin/sh
# What the guide wants to know of a host before a hot standby is built, one fact a line; tasks/look-at-host.yml names the
# lines. Changes nothing. `-` stands for nothing found.
# $1 command for the components, $2 command for the managed hosts, $3 disk of the database partition, $4 DRBD resource,
# $5 VIP, $6 length of its prefix, $7 own address on the replication network, $8 addresses of the peer, $9 addresses to ping,
# ${10} configuration file of the platform, ${11} its units.
line() { printf '%s\n' "${1:--}"; }
words() { tr '\n' ' ' | sed 's/ *$//'; }

line "$(uname -n)"
line "$(. /etc/os-release && echo "$ID $VERSION_ID")"

# What only an installed platform has.
pools=$(virsh pool-list --all --name 2>/dev/null | grep . | sort | words)
signs=$(
  [ ! -e "${10}" ] || printf ', %s' "${10}"
  case $pools in '' | default) ;; *) printf ', storage pools %s' "$pools" ;; esac
  for unit in ${11}; do ! systemctl -q is-active "$unit" 2>/dev/null || printf ', %s runs' "$unit"; done
)
# A command that is not there, or names nothing, speaks of a bare host only where nothing of the platform is; one that fails
# never does.
components=$(sh -c "$1" 2>/dev/null)
code=$?
components=$(printf '%s\n' "$components" | grep -E '^[A-Z]+ [^ ]+$' | sort | words)
case $code${components:+named}$signs in 0named*) line "$components" ;; 0 | 127) line ;; *) line unknown ;; esac
if [ -d /sys/firmware/efi ]; then line UEFI; else line Legacy; fi

# What / lies on, down to the disks; a soft RAID is named as such.
root=$(findmnt -no SOURCE /)
line "$(lsblk -rnso NAME,TYPE "$root" 2>/dev/null | awk '$2 == "disk" || $2 ~ /^raid/ { print $2 ~ /^raid/ ? $1 "(" $2 ")" : $1 }' | sort -u | words)"

# Numbers and mount points of the partitions of those disks.
parts() {
  for disk in $(lsblk -rnso NAME,TYPE "$root" 2>/dev/null | awk '$2 == "disk" { print $1 }' | sort -u); do
    for part in /sys/class/block/"$disk"/"$disk"*; do
      [ -e "$part/partition" ] || continue
      at=$(findmnt -rno TARGET -S "/dev/${part##*/}" | head -n 1)
      [ -n "$at" ] || ! grep -qs "^/dev/${part##*/} " /proc/swaps || at=swap
      echo "$(cat "$part/partition"):${at:--}"
    done
  done | sort -n | words
}
line "$(parts)"

# Of the partition: a file system on it has less. Where it lies on no block device, of the file system.
if mountpoint -q /vms; then at=/vms; else at=/; fi
bytes=$(lsblk -bndo SIZE "$(findmnt -nvo SOURCE $at)" 2>/dev/null) || bytes=$(df -PB1 $at | awk 'NR == 2 { print $2 }')
line "$((bytes / 1048576))"
line "$pools"
if known=$(sh -c "$2" 2>/dev/null); then line "$(printf '%s' "$known" | grep -c .)"; else line; fi
if [ -e "/etc/drbd.d/$4.res" ]; then line pair; else line new; fi
line "$(blockdev --getsize64 "$3" 2>/dev/null)"
# All of them: of two that contradict each other blkid tells none, and of partitions no TYPE.
line "$(wipefs -pn "$3" 2>/dev/null | awk -F, '!/^#/ { print $4 }' | sort -u | words)"
card=$(ip -o -4 addr show to "$7" | awk '{ print $2; exit }')
line "$(cat "/sys/class/net/$card/speed" 2>/dev/null)"
line "$(ip -o -4 addr show to "$5/$6" scope global | awk '{ sub("/.*", "", $4); print $4 }' | grep -vxF "$5" | head -n 1)"

answers() { ping -n -q -c 1 -W 1 "$1" >/dev/null 2>&1 || ping -n -q -c 2 -i 0.3 -W 1 "$1" >/dev/null 2>&1; }
held=-
! ip -o addr show | grep -qF " $5/" || held=here
[ "$held" = here ] || ! answers "$5" || held=elsewhere
line "$held"
silent=$(for address in $8; do answers "$address" || echo "$address"; done | words)
line "$silent"
silent=$(for address in $9; do answers "$address" || echo "$address"; done | words)
line "$silent"
line "$(id -u)"
if mountpoint -q /vms; then line own; else line; fi
line "${signs#, }"
