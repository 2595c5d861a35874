/** Arguments: the subsets. Lines of fields parted by tabs, the first names what it is; builtins and /sys where they do. */
export const FACTS = `
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
t='\t'
has() { command -v "$1" >/dev/null 2>&1; }
first() { { IFS= read -r line || [ -n "$line" ]; } <"$1" 2>/dev/null && printf '%s' "$line"; }
for subset in "$@"; do
case $subset in
os)
  ( . /etc/os-release 2>/dev/null
    printf 'os\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$ID" "$VERSION_ID" "$PRETTY_NAME" "\${VERSION_CODENAME-}" "\${ID_LIKE-}" )
  printf 'kernel\\t%s\\narch\\t%s\\nhostname\\t%s\\n' "$(first /proc/sys/kernel/osrelease)" "$(uname -m)" "$(first /proc/sys/kernel/hostname)"
  printf 'boot_id\\t%s\\n' "$(first /proc/sys/kernel/random/boot_id)"
  if [ -d /run/systemd/system ]; then echo "init\${t}systemd"
  elif [ -d /run/openrc ]; then echo "init\${t}openrc"
  else echo "init\${t}sysv"; fi
  for one in apt-get dnf yum zypper apk rpm; do has $one && { printf 'package_manager\\t%s\\n' "\${one%-get}"; break; }; done
  for one in python3 python /usr/libexec/platform-python; do has $one && { printf 'python\\t%s\\n' "$(command -v $one)"; break; }; done
  if has getenforce; then printf 'selinux\\t%s\\n' "$(getenforce)"; else echo "selinux\${t}absent"; fi
  virt=$(systemd-detect-virt 2>/dev/null)
  printf 'virtualization\\t%s\\n' "\${virt:-unknown}"
  ;;
hardware)
  model= count=0
  while IFS= read -r line; do
    case $line in
    processor*:*) count=$((count + 1)) ;;
    'model name'*|Hardware*|'CPU part'*) [ -n "$model" ] || model=\${line#*: } ;;
    esac
  done </proc/cpuinfo
  printf 'cpu\\t%s\\t%s\\n' "$model" "$count"
  while read -r key value _; do
    case $key in MemTotal:|MemAvailable:|SwapTotal:) printf 'memory\\t%s\\t%s\\n' "\${key%:}" "$value" ;; esac
  done </proc/meminfo
  ;;
network)
  for dir in /sys/class/net/*; do
    [ -e "$dir/address" ] || continue
    driver=$(readlink "$dir/device/driver" 2>/dev/null)
    printf 'interface\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "\${dir##*/}" "$(first "$dir/address")" "$(first "$dir/mtu")" "$(first "$dir/operstate")" "\${driver##*/}"
  done
  if has ip; then
    ip -o addr show 2>/dev/null | while read -r _ name family address _; do
      case $family in inet|inet6) printf 'address\\t%s\\t%s\\t%s\\n' "\${name%%@*}" "$family" "$address" ;; esac
    done
    ip route show default 2>/dev/null | while IFS= read -r line; do printf 'route\\t%s\\n' "$line"; done
  fi
  while read -r key value _; do [ "$key" = nameserver ] && printf 'dns\\t%s\\n' "$value"; done </etc/resolv.conf 2>/dev/null
  ;;
mounts)
  while read -r device path type options _; do
    case $path in /proc*|/sys*|/dev/*|/run/*) continue ;; esac
    case $type in autofs|devpts|mqueue|cgroup*|nsfs) continue ;; esac
    printf 'mount\\t%s\\t%s\\t%s\\t%s\\n' "$path" "$device" "$type" "$options"
  done </proc/mounts
  df -P -k 2>/dev/null | while read -r _ size _ free _ path; do
    case $size in *[!0-9]*|'') ;; *) printf 'df\\t%s\\t%s\\t%s\\n' "$path" "$size" "$free" ;; esac
  done
  ;;
time)
  printf 'epoch\\t%s\\n' "$(date +%s)"
  printf 'uptime\\t%s\\n' "$(first /proc/uptime)"
  if has timedatectl && [ -d /run/systemd/system ]; then
    timedatectl show 2>/dev/null | while IFS== read -r key value; do printf 'clock\\t%s\\t%s\\n' "$key" "$value"; done
  else printf 'clock\\tTimezone\\t%s\\n' "$(first /etc/timezone)"; fi
  ;;
users) while IFS=: read -r name _ uid gid _ home shell; do printf 'user\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$name" "$uid" "$gid" "$home" "$shell"; done </etc/passwd ;;
packages)
  if has dpkg-query; then dpkg-query -W -f 'package\\t\${db:Status-Status}\\t\${Package}\\t\${Version}\\n'
  elif has rpm; then rpm -qa --qf 'package\\tinstalled\\t%{NAME}\\t%{VERSION}-%{RELEASE}\\n'; fi
  ;;
block_devices)
  if has lsblk; then
    echo blocks
    # The columns that util-linux 2.23 has already.
    lsblk -P -b -p -o NAME,KNAME,PKNAME,TYPE,SIZE,RO,ROTA,FSTYPE,LABEL,UUID,MOUNTPOINT,SERIAL,MODEL 2>/dev/null |
      while IFS= read -r line; do printf 'block\\t%s\\n' "$line"; done
    for link in /dev/disk/by-id/*; do
      [ ! -e "$link" ] || printf 'by_id\\t%s\\t%s\\n' "$link" "$(readlink -f "$link")"
    done
  fi
  ;;
services)
  if [ -d /run/systemd/system ]; then
    systemctl list-units --type=service --all --plain --no-legend --no-pager | while read -r unit _ active _; do printf 'service\\t%s\\t%s\\n' "$unit" "$active"; done
  else
    for script in /etc/init.d/*; do [ -x "$script" ] && printf 'service\\t%s\\tunknown\\n' "\${script##*/}"; done
  fi
  ;;
esac
done
exit 0`;
