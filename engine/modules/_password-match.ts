/*
 * Nothing but standard input carries the password or its hash: arguments, environment and files can be read by others.
 * A tool that cannot judge this kind of hash says so (exit code 3), and the next one is asked.
 */

const PERL = `binmode STDIN;
my ($hash, $password) = split /\\n/, do { local $/; <STDIN> }, 2;
my $made = crypt($password, $hash);
exit(!defined $made || $made =~ /^\\*/ ? 3 : $made eq $hash ? 0 : 1);`;

// The module crypt is gone from Python 3.13: the library itself is asked.
const PYTHON = `import ctypes, sys
hash, password = sys.stdin.buffer.read().split(b"\\n", 1)
for name in "libcrypt.so.1", "libcrypt.so.2":
    try: crypt = ctypes.CDLL(name).crypt
    except OSError: continue
    crypt.restype = ctypes.c_char_p
    made = crypt(password, hash)
    if made and not made.startswith(b"*"): sys.exit(0 if made == hash else 1)
sys.exit(3)`;

/**
 * Shell: `$1` a user, standard input a password. Prints `same`, `other`, `none` (there is none), `locked`,
 * `unknown` (no such user), `elsewhere` (not in /etc/shadow), `closed` (it cannot be read), or nothing where no program
 * of the node can tell.
 */
export const MATCHES = `PATH=$PATH:/usr/sbin:/sbin
has() { command -v "$1" >/dev/null 2>&1; }
user=$1 found= hash=
[ -r /etc/shadow ] || { echo closed; exit; }
while IFS=: read -r name stored _; do
  [ "$name" = "$user" ] && { found=yes hash=$stored; break; }
done </etc/shadow
if [ -z "$found" ]; then
  while IFS=: read -r name _; do [ "$name" = "$user" ] && found=yes; done </etc/passwd
  if [ -n "$found" ] || { has getent && getent passwd "$user" >/dev/null; }; then echo elsewhere; else echo unknown; fi
  exit
fi
case $hash in
''|'!'|'!!'|'*'|'!*') echo none; exit ;;
'!'*|'*'*) echo locked; exit ;;
esac
password=$(cat; echo .)
password=\${password%.}
both() { printf '%s\\n%s' "$hash" "$password"; }
told() {
  case $1 in 0) echo same; exit ;; 1) echo other; exit ;; esac
}
if has perl; then both | perl -e '${PERL}' 2>/dev/null; told $?; fi
for python in python3 /usr/libexec/platform-python; do
  if has "$python"; then both | "$python" -c '${PYTHON}' 2>/dev/null; told $?; fi
done
case $hash in
'$1$'*|'$5$'*|'$6$'*)
  kind=\${hash#?} kind=\${kind%%\\$*}
  salt=\${hash#?*\\$} salt=\${salt%\\$*}
  # It cuts longer ones off.
  if has openssl && [ \${#password} -le 64 ]; then
    made=$(printf '%s\\n' "$password" | openssl passwd "-$kind" -salt "$salt" -stdin 2>/dev/null)
    case $made in "$hash") told 0 ;; "\\$$kind\\$"*) told 1 ;; esac
  fi ;;
esac
if has unix_chkpwd; then
  printf '%s\\0' "$password" | unix_chkpwd "$user" nonull >/dev/null 2>&1
  case $? in 0) told 0 ;; 7) told 1 ;; esac
fi
exit 0
`;
