#!/bin/sh
# What the guide wants to know before a sync partition is added, one fact a line; `-` stands for nothing found. Changes nothing.
# $1 the disk.
line() { printf '%s\n' "${1:--}"; }
words() { tr '\n' ' ' | sed 's/ *$//'; }
disk=$(readlink -f "$1" 2>/dev/null)
line "${disk##*/}"
line "$(blockdev --getsize64 "$disk" 2>/dev/null)"
line "$(lsblk -rndo NAME,TRAN 2>/dev/null | awk '$2 == "fc" || $2 == "iscsi" { print $1 }' | words)"
line "$(virsh pool-list --all --name 2>/dev/null | grep . | sort | words)"
