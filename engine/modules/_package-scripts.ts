/**
 * Arguments: kind of the files (deb, rpm or empty), state, then name and version of each package.
 * Lines: manager NAME; installed NAME VERSION ARCH; policy, where the repositories were asked; candidate NAME VERSION;
 * offered NAME VERSION; older NAME.
 */
export const LOOK = `
LC_ALL=C; export LC_ALL
kind=$1 state=$2
shift 2
case $kind in
deb) manager=apt ;;
rpm) manager=rpm ;;
*) if command -v dpkg-query >/dev/null 2>&1; then manager=apt; else manager=rpm; fi ;;
esac
case $manager in apt) program=dpkg-query ;; *) program=rpm ;; esac
command -v $program >/dev/null 2>&1 || { echo "there is no $program on this node" >&2; exit 1; }
# That of busybox unpacks files, and knows nothing of what is installed.
[ $program = dpkg-query ] || rpm --version >/dev/null 2>&1 || { echo "the rpm of this node is no package manager (busybox)" >&2; exit 1; }
printf 'manager\\t%s\\n' "$manager"
names= versions=no
left=$#
# First all names, then each with its version: "$@" is turned round twice.
count=$((left / 2))
while [ "$left" -gt 0 ]; do
  names="$names $1"
  [ -n "$2" ] && versions=yes
  set -- "$@" "$1" "$2"
  shift 2
  left=$((left - 2))
done
if [ "$manager" = apt ]; then
  installed=$(dpkg-query -W -f '\${db:Status-Status}\\t\${Package}\\t\${Version}\\t\${Architecture}\\n' $names 2>/dev/null | grep '^installed')
else
  installed=$(rpm -q --qf 'installed\\t%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n' $names 2>/dev/null | grep '^installed')
fi
[ -n "$installed" ] && printf '%s\\n' "$installed"
if [ "$state" = latest ]; then
  if [ "$manager" = apt ]; then
    apt-cache policy $names | while IFS= read -r line; do
      case $line in
      ' '*Candidate:*'(none)') ;;
      ' '*Candidate:*) printf 'candidate\\t%s\\t%s\\n' "$name" "\${line#*Candidate: }" ;;
      ' '*) ;;
      *) name=\${line%:} ;;
      esac
    done
  else
    for tool in dnf yum; do command -v $tool >/dev/null 2>&1 && break; done
    $tool -q check-update $names | while read -r name version _; do
      [ -n "$version" ] && printf 'candidate\\t%s\\t%s\\n' "\${name%.*}" "\${version#0:}"
    done
  fi
fi
# What is to be installed by name has to be in the repositories.
if [ "$manager" = apt ] && [ "$state" = present ] && [ -z "$kind" ] && command -v apt-cache >/dev/null 2>&1; then
  [ "$versions" = no ] && [ "$(printf '%s\\n' "$installed" | grep -c .)" -ge "$count" ] || {
    echo policy
    apt-cache policy $names 2>/dev/null | while IFS= read -r line; do
      case $line in
      ' '*Candidate:*'(none)') ;;
      ' '*Candidate:*) printf 'candidate\\t%s\\t%s\\n' "$name" "\${line#*Candidate: }" ;;
      ' *** '*|'     '[!' ']*) set -- $line; [ "$1" = '***' ] && shift; printf 'offered\\t%s\\t%s\\n' "$name" "$1" ;;
      ' '*) ;;
      *) name=\${line%:} ;;
      esac
    done
  }
fi
[ "$versions" = yes ] || exit 0
while [ $# -gt 0 ]; do
  name=$1 version=$2
  shift 2
  case $version in ''|*'*') continue ;; esac
  now=$(printf '%s\\n' "$installed" | { while IFS='	' read -r _ n v _; do [ "$n" = "$name" ] && echo "$v"; done; } | head -n 1)
  [ -n "$now" ] || continue
  if [ "$manager" = apt ]; then
    [ "$version" = "$now" ] || { dpkg --compare-versions "$version" lt "$now" && printf 'older\\t%s\\n' "$name"; }
  elif [ "$version" != "\${now#0:}" ]; then
    first=$(printf '%s\\n%s\\n' "\${now#0:}" "$version" | sort -V | head -n 1)
    [ "$first" = "$version" ] && printf 'older\\t%s\\n' "$name"
  fi
done
exit 0`;

/** Removes the folder ($1, or empty) of the files in the end: nobody else may be there any more. */
const TIDY = `
folder=$1
shift
[ -z "$folder" ] || { trap 'rm -rf -- "$folder"' EXIT; trap 'exit 143' HUP INT TERM; }
`;

/**
 * Arguments: folder of the files, verb, seconds to wait for the lock, flags (downgrade, removal, update, recommends),
 * then names or files.
 */
export const APPLY_APT = `${TIDY}
LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical NEEDRESTART_SUSPEND=1
export LC_ALL DEBIAN_FRONTEND DEBIAN_PRIORITY NEEDRESTART_SUSPEND
verb=$1 lock=$2 downgrade=$3 removal=$4 update=$5 recommends=$6
shift 6
exec </dev/null
# Cut off by a power failure: dpkg does nothing else before this.
if [ -n "$(ls -A /var/lib/dpkg/updates 2>/dev/null)" ]; then dpkg --force-confdef --force-confold --configure -a >&2 || exit 1; fi
if ! command -v apt-get >/dev/null 2>&1; then
  case $verb in
  files) dpkg --force-confdef --force-confold -i "$@" ;;
  remove|purge) dpkg --$verb "$@" ;;
  *) echo 'there is no apt-get on this node' >&2; exit 1 ;;
  esac
  exit
fi
apt() {
  apt-get -q -y -o DPkg::Lock::Timeout="$lock" -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root \\
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
if [ "$update" = yes ] && [ "$verb" = names ]; then apt update || exit; fi
case $verb in
remove|purge) apt $verb "$@" ;;
*)
  [ "$removal" = yes ] || set -- --no-remove "$@"
  [ "$downgrade" = yes ] && set -- --allow-downgrades "$@"
  [ "$recommends" = yes ] || set -- --no-install-recommends "$@"
  apt install "$@"
  ;;
esac`;

/** The same arguments. Files whose needs are met go in by rpm alone, which asks no repository. */
export const APPLY_RPM = `${TIDY}
LC_ALL=C; export LC_ALL
verb=$1 downgrade=$3 update=$5
shift 6
exec </dev/null
tool=
for one in dnf yum; do command -v $one >/dev/null 2>&1 && tool=$one && break; done
if [ -z "$tool" ] && [ "$verb" = names ]; then echo 'there is neither dnf nor yum on this node' >&2; exit 1; fi
old=
[ "$downgrade" = yes ] && old=--oldpackage
case $verb in
files)
  if [ -z "$tool" ] || rpm -U $old --test "$@" >/dev/null 2>&1; then rpm -U $old "$@"; else $tool -y install "$@"; fi ;;
remove|purge) if [ -n "$tool" ]; then $tool -y remove "$@"; else rpm -e "$@"; fi ;;
names)
  if [ "$update" = yes ]; then $tool -y makecache || exit; fi
  if [ "$downgrade" = yes ]; then $tool -y downgrade "$@"; else $tool -y install "$@"; fi
  ;;
esac`;
