#!/bin/sh
# Prints each file it removes. $1: the agent's state folder.
set -eu
agent=$1
uuid=
if [ -f "$agent/ha.info" ]; then
  uuid=$(sed -n 's/.*"uuid"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$agent/ha.info")
  if [ -z "$uuid" ]; then
    echo "$agent/ha.info names no uuid" >&2
    exit 1
  fi
fi
for file in "$agent"/standby/*; do
  [ -f "$file" ] || continue
  name=${file##*/}
  if [ -n "$uuid" ]; then
    [ "$name" = "$uuid" ] || continue
  else
    grep -q '^[[:space:]]*agent[[:space:]]*=[[:space:]]*standby\.backupd' "$file" || continue
  fi
  rm -f -- "$file"
  echo "$file"
done
if [ -f "$agent/ha.info" ]; then
  rm -f -- "$agent/ha.info"
  echo "$agent/ha.info"
fi
