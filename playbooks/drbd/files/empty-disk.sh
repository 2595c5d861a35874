#!/bin/sh
# Takes all signatures off the disk $1, its partitions and what DRBD has at its end. Refused where any of it is in use.
disk=$(readlink -f "$1")
[ -b "$disk" ] || { echo "$1 is no block device" >&2; exit 1; }
name=${disk##*/}
for part in "$disk" /sys/class/block/"$name"/"$name"*; do
  device=/dev/${part##*/}
  [ -b "$device" ] || continue
  use=$(findmnt -rno TARGET -S "$device" | head -n 1)
  [ -z "$use" ] || { echo "$device is mounted at $use" >&2; exit 1; }
  if grep -q "^$device " /proc/swaps; then echo "$device is swap" >&2; exit 1; fi
  for holder in /sys/class/block/"${device##*/}"/holders/*; do
    [ ! -e "$holder" ] || { echo "${holder##*/} is on $device" >&2; exit 1; }
  done
done
# Without --force it opens the disk for itself alone: one that DRBD or anybody else has open is refused.
for part in /sys/class/block/"$name"/"$name"*; do [ ! -e "$part" ] || wipefs -aq "/dev/${part##*/}" || exit; done
wipefs -aq "$disk" || exit
bytes=$(blockdev --getsize64 "$disk") && end=$((bytes / 1048576 - 4))
dd if=/dev/zero of="$disk" bs=1M count=1 conv=fsync status=none &&
  dd if=/dev/zero of="$disk" bs=1M count=4 seek=$((end > 0 ? end : 0)) conv=fsync status=none || exit
tail=$((bytes % 1048576))
[ $tail = 0 ] || head -c $tail /dev/zero | dd of="$disk" bs=512 seek=$(((bytes - tail) / 512)) conv=fsync status=none || exit
blockdev --rereadpt "$disk" 2>/dev/null
udevadm settle 2>/dev/null
true
