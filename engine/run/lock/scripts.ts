/**
 * The lock of a cluster on one of its nodes: `ROOT/locks/CLUSTER/N`, N a rising token. A record is made whole by `ln`, so
 * that one taker wins, and never written again; the highest is the owner's. Beside it `N.lease` (when it was renewed),
 * `N.released` and the `log` of all. Shell for dash and busybox; values come as arguments.
 */

/** Lines of a record, in order; `state` is held or unlocked. The lease it begins with is the last. */
const RECORD = 'holder state run operator from since lease';
const reads = RECORD.split(' ')
  .map((name) => `read -r ${name}`)
  .join('; ');

const COMMON = `
cluster=$1; shift
root=/var/lib/drillbook; own=$root; uid=$(id -u)
[ "$uid" = 0 ] || [ -w "$root" ] || own=/var/tmp/drillbook-$uid
dir=$own/locks/$cluster
newest() { # of folder $1: top, 0 where there is none
  top=0
  for path in "$1"/*; do
    name=\${path##*/}
    case $name in *[!0-9]*) ;; *) [ "$name" -le "$top" ] || top=$name ;; esac
  done
}
record() { # of folder $1: the newest record's lines; false where it went meanwhile
  newest "$1"
  holder= state=free run= operator= from= since= lease=
  [ "$top" = 0 ] && return
  { ${reads}; } 2>/dev/null <"$1/$top"
  [ -e "$1/$top" ] || return 1
  [ -n "$lease" ] || state=damaged
  if [ "$state" = held ] && [ -e "$1/$top.released" ]; then state=released; fi
  { read -r lease; } 2>/dev/null <"$1/$top.lease"
  :
}
now() { # the boot's identity and the seconds since then
  boot=; up=0
  { read -r boot; } 2>/dev/null </proc/sys/kernel/random/boot_id
  { read -r up rest; } 2>/dev/null </proc/uptime
  up=\${up%%.*}
}
tell() { # after a reboot the lease counts from the boot
  now; age=$up
  [ "\${lease% *}" != "$boot" ] || age=$((up - \${lease##* }))
  printf '%s\\n' "$1" "$2" "$top" "$state" "$age" "$holder" "$run" "$operator" "$from" "$since"
}
add() { # a record after token $top: holder, state, run, operator, from, since; false where somebody was faster
  next=$((top + 1)); now
  # On the disk before it has its name: a node that loses its power must not come back with an empty record.
  printf '%s\\n' "$@" "$boot $up" | dd of="$dir/.$1" conv=fsync 2>/dev/null || {
    echo "$@" | tee "$dir/.$1" >/dev/null # Says why in one line, which dd does not.
    rm -f "$dir/.$1"; exit 1
  }
  if ! said=$(ln "$dir/.$1" "$dir/$next" 2>&1); then
    if [ -e "$dir/.$1" ] && ! [ -e "$dir/$next" ]; then printf '%s\\n' "$said" >&2; rm -f "$dir/.$1"; exit 1; fi
    return 1
  fi
  newest "$dir"
  [ "$top" = "$next" ] && return
  rm -f "$dir/$next"; return 1 # Seen too late: a token long past.
}
note() { printf '%s token %s: %s\\n' "$1" "$2" "$3" 2>/dev/null >>"$dir/log"; }
`;

/**
 * Takes the lock. Arguments: cluster, holder, run, operator, from, time, and the token it had before this connection, if
 * any, and a holder of whom another node knows that it has ended. Says taken or held, the folder, then as LOOK. Its own lock, and the run's, is no hindrance.
 */
export const TAKE = `${COMMON}
umask 022
if [ "$own" != "$root" ]; then
  mkdir -m 755 "$own" 2>/dev/null
  if ! [ -d "$own" ] || [ -L "$own" ] || ! [ -O "$own" ]; then printf '%s is not a folder of ours\\n' "$own" >&2; exit 1; fi
  until record "$root/locks/$cluster"; do :; done
  if [ "$state" = held ] && [ "$run" != "$2" ] && [ "$holder" != "$7" ]; then tell held "$root/locks/$cluster"; exit; fi
fi
[ -d "$dir" ] || { mkdir -p "$dir" && chmod 755 "$own" "$own/locks" "$dir"; } || exit 1
while :; do
  record "$dir" || continue
  if [ "$state" = held ] && [ "$holder" = "$1" ]; then tell taken "$dir"; exit; fi
  # Whoever was put out in the meantime does not come in again by a new connection.
  if [ -n "$6" ] && [ "$top" -ge "$6" ]; then tell held "$dir"; exit; fi
  case $state in held | damaged) [ "$run" = "$2" ] || [ "\${holder:-?}" = "$7" ] || { tell held "$dir"; exit; } ;; esac
  [ -z "$6" ] || top=$(($6 - 1)) # A power failure lost the record.
  add "$1" held "$2" "$3" "$4" "$5" && break
done
# The lowest first: a holder of old must never find its own record without the one after it.
low=$top
for path in "$dir"/[0-9]*; do name=\${path##*/}; name=\${name%%.*}; [ "$name" -ge "$low" ] || low=$name; done
cd "$dir" || exit 1
set -- "$@" --
while [ "$low" -lt "$top" ]; do set -- "$@" "$low" "$low.lease" "$low.released"; low=$((low + 1)); done
note "$5" "$top" "taken by run $2 of $3 ($4)"
[ $((top % 50)) != 0 ] || { tail -n 200 log >.log && mv -f .log log; }
record "$dir"; tell taken "$dir"
shift 8
rm -f "$@" .[!.]*
`;

/** Says look, the folder, token, state (free, held, released, unlocked or damaged), seconds since the lease was renewed, and the record. */
export const LOOK = `${COMMON}
until record "$dir"; do :; done
if [ "$own" != "$root" ] && [ "$state" != held ]; then dir=$root/locks/$cluster; until record "$dir"; do :; done; fi
tell look "$dir"
`;

/** True when the log has a run's release after its taking. Arguments: cluster, run, time of the taking. */
export const HAS_ENDED = `${COMMON}
at=
while read -r time line; do
  case $line in "token "*": released by run $1") at=$time ;; esac
done 2>/dev/null <"$dir/log"
# Times of one jump host; as texts they sort as they follow (ISO 8601).
[ -n "$at" ] && expr "$at" '>' "$2" >/dev/null
`;

/** Puts the holder out. Arguments: cluster, folder, token, holder as seen, new holder, operator, from, time. Says unlocked or changed, then as LOOK. */
export const UNLOCK = `${COMMON}
umask 022
dir=$1
until record "$dir"; do :; done
case $state in held | damaged) ;; *) tell changed "$dir"; exit ;; esac
if [ "$top" != "$2" ] || [ "$holder" != "$3" ]; then tell changed "$dir"; exit; fi
add "$4" unlocked "\${run:-unknown}" "$5" "$6" "$7"; isDone=$?
rm -f "$dir/.$4"
if [ $isDone != 0 ]; then record "$dir"; tell changed "$dir"; exit; fi
note "$7" "$top" "taken from run $run by $5 ($6)"
record "$dir"; tell unlocked "$dir"
`;

/** Arguments of the rest: folder, token, holder, the token after it. */
const IS_MINE = `holder=; { read -r holder; } 2>/dev/null <"$1/$2"
[ "$holder" = "$3" ] && ! [ -e "$1/$4" ] || exit 0`;

export const RENEW = `${IS_MINE}
read -r boot </proc/sys/kernel/random/boot_id; read -r up rest </proc/uptime
printf '%s %s\\n' "$boot" "\${up%%.*}" >"$1/.$3" && mv -f "$1/.$3" "$1/$2.lease"
`;

/** Further arguments: run, time. */
export const RELEASE = `${IS_MINE}
: >"$1/$2.released" || exit 1
printf '%s token %s: released by run %s\\n' "$6" "$2" "$5" 2>/dev/null >>"$1/log" || :
`;

/** A guard (core/host.ts): builtins only, for it is asked with every exchange. Further argument: what it is the lock of. */
export const FENCE = `
if ! { read -r refused; } 2>/dev/null <"$1/$2" || [ "$refused" != "$3" ] || [ -e "$1/$4" ]; then
  top=0
  for path in "$1"/*; do
    name=\${path##*/}
    case $name in *[!0-9]*) ;; *) [ "$name" -le "$top" ] || top=$name ;; esac
  done
  { ${reads}; } 2>/dev/null <"$1/$top"
  case $state in
    held) refused="$5 was taken over by run $run of $operator ($from) at $since" ;;
    unlocked) refused="$5 was taken from this run by $operator ($from) at $since" ;;
    *) refused="$5 is gone" ;;
  esac
else
  refused=
fi`;
