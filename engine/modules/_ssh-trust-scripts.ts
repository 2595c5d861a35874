/**
 * Shell: `$user`, `$home` and `as`, which runs a program as that user: what is in a home is written by its owner alone, so
 * that no link in it leads root anywhere. Says `unknown` or `closed` and ends where that cannot be.
 */
const AS_USER = `PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C; export LC_ALL
# A forwarded agent would open doors that the node's own key does not.
unset SSH_AUTH_SOCK
user=$1 me=$(id -un) home=
shift
entry=$(getent passwd "$user" 2>/dev/null || grep "^$user:" /etc/passwd)
[ -n "$entry" ] || { echo unknown; exit; }
home=\${entry%:*} home=\${home##*:}
[ "$me" = "$user" ] || [ "$(id -u)" = 0 ] || { echo closed; exit; }
as() {
  if [ "$me" = "$user" ]; then env HOME="$home" "$@"
  elif command -v runuser >/dev/null 2>&1; then runuser -u "$user" -- env HOME="$home" "$@"
  else su -s /bin/sh -c 'exec "$@"' -- "$user" sh env HOME="$home" "$@"; fi
}
key=$home/.ssh/id_ed25519 known=$home/.ssh/known_hosts
`;

/** Says what the user's key is: `none`, `broken WHY`, or `key PUBLIC` and `pub PUBLIC` as the file beside it has it. */
export const OWN_KEY = `${AS_USER}
command -v ssh >/dev/null && command -v ssh-keygen >/dev/null || { echo tools; exit; }
as test -e "$key" || { echo none; exit; }
public=$(as ssh-keygen -y -P '' -f "$key" 2>&1 </dev/null) || { printf 'broken\\t%s\\n' "$(printf '%s\\n' "$public" | tail -n 1)"; exit; }
printf 'key\\t%s\\npub\\t%s\\n' "$public" "$(as cat "$key.pub" 2>/dev/null)"
exit 0`;

/** `$1` the comment. Makes the key where there is none, and the file of its public half. */
export const MAKE_KEY = `${AS_USER}
as sh -c 'umask 077; mkdir -p "\${1%/*}" || exit
[ -e "$1" ] || ssh-keygen -q -t ed25519 -N "" -C "$2" -f "$1" </dev/null || exit
public=$(ssh-keygen -y -P "" -f "$1") || exit
file=$1.pub
set -- $public
case $(cat "$file" 2>/dev/null) in "$1 $2"|"$1 $2 "*) ;; *) printf "%s\\n" "$public" >"$file" ;; esac' sh "$key" "$1"
`;

/** Where sshd looks for the user's keys: `$file`, which `keeper` reads and writes. */
const KEYS_FILE = `settings=$(sshd -T -C "user=$user,host=localhost,addr=127.0.0.1" 2>/dev/null)
setting() { printf '%s\\n' "$settings" | sed -n "s/^$1 //p"; }
files=$(setting authorizedkeysfile)
file=\${files%% *} file=\${file:-.ssh/authorized_keys}
file=$(printf '%s\\n' "$file" | sed "s|%h|$home|g; s|%u|$user|g; s|%%|%|g")
case $file in /*|none) ;; *) file=$home/$file ;; esac
case $file in "$home"/*) keeper() { as "$@"; } ;; *) keeper() { "$@"; } ;; esac
`;

/** `$1` the public key, may be empty. Says `port N`, `host KEY` for each key of sshd, `file PATH`, `authorized`. */
export const PEER = `${AS_USER}${KEYS_FILE}
port=$(setting port | head -n 1)
printf 'port\\t%s\\nfile\\t%s\\n' "\${port:-22}" "$file"
keys=$(setting hostkey)
for key in \${keys:-/etc/ssh/ssh_host_*_key}; do
  [ ! -r "$key.pub" ] || printf 'host\\t%s\\n' "$(cat "$key.pub")"
done
[ -z "$1" ] || ! keeper cat "$file" 2>/dev/null | grep -v '^[[:space:]]*#' | grep -qF -e "$1" || echo authorized
exit 0`;

/** `$1` type and blob of a public key, `$2` its comment: appended, which two may do at a time, unless it is there. */
export const AUTHORIZE = `${AS_USER}${KEYS_FILE}
keeper sh -c 'umask 077
[ -d "\${1%/*}" ] || mkdir -p "\${1%/*}" || exit
! grep -v "^[[:space:]]*#" "$1" 2>/dev/null | grep -qF -e "$2" || exit 0
[ -z "$(tail -c 1 "$1" 2>/dev/null)" ] && first= || first="
"
printf "%s%s %s\\n" "$first" "$2" "$3" >>"$1"' sh "$file" "$1" "$2"
`;

/** Says `name NAME` and `known LINE` for each line of known_hosts that speaks of it. */
export const KNOWN = `${AS_USER}
for name in "$@"; do
  printf 'name\\t%s\\n' "$name"
  as ssh-keygen -F "$name" -f "$known" 2>/dev/null | grep -v '^#' | while IFS= read -r line; do printf 'known\\t%s\\n' "$line"; done
done
exit 0`;

/** The names are forgotten; what standard input holds is put in their place. */
export const NOTE = `${AS_USER}
for name in "$@"; do
  as test ! -e "$known" || as ssh-keygen -R "$name" -f "$known" >/dev/null 2>&1 || { echo "cannot take $name out of $known" >&2; exit 1; }
done
as sh -c 'umask 077; mkdir -p "\${1%/*}" || exit
[ -z "$(tail -c 1 "$1" 2>/dev/null)" ] || echo >>"$1"
cat >>"$1"' sh "$known"
`;

/** Pairs of name and port: says `login NAME CODE WORDS`, the exit code and the last words of a real login. */
export const LOGIN = `${AS_USER}
while [ $# -gt 0 ]; do
  said=$(as ssh -n -l "$user" -p "$2" -o BatchMode=yes -o StrictHostKeyChecking=yes -o ControlPath=none -o ConnectTimeout=10 -o LogLevel=ERROR -- "$1" true 2>&1)
  printf 'login\\t%s\\t%s\\t%s\\n' "$1" "$?" "$(printf '%s\\n' "$said" | tail -n 1)"
  shift 2
done
exit 0`;
