#!/bin/sh
# What a node is before it becomes one of a pair, one fact a line; preflight.yml names the lines. Changes nothing.
# $1 resource, $2 disk, $3 links as OWN=PEER words, $4 virtual address, $5 length of its prefix, $6 port of DRBD,
# $7 name of the cluster, $8 data root, $9 packages; `-` stands for nothing found, or nothing wrong.
resource=$1 disk=$2 links=$3 vip=$4 prefix=$5 port=$6 cluster=$7 root=$8 packages=$9
line() { printf '%s\n' "${1:--}" | tr '\n' ' ' | sed 's/ *$//'; echo; }
on_node=$(ip -o addr show | awk '{ sub("/.*", "", $4); print $4, $2 }')
interface_of() { printf '%s\n' "$on_node" | awk -v address="$1" '$1 == address { print $2; exit }'; }

line "$(id -u)"
line "$(uname -n)"
line "$(modinfo -F version drbd 2>/dev/null || sed -n 's/^version: \([^ ]*\).*/\1/p' /proc/drbd 2>/dev/null)"

# Installed, or to be had from the repositories that the node knows; `unknown` where it has not asked them yet.
missing= versions=
if command -v apt-cache >/dev/null 2>&1 && ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then isUnasked=1; else isUnasked=; fi
for package in $packages; do
  if command -v apt-cache >/dev/null 2>&1; then
    version=$(LC_ALL=C apt-cache policy "$package" 2>/dev/null | awk '/Installed:/ { own = $2 } /Candidate:/ { new = $2 }
      END { if (own != "" && own != "(none)") print own; else if (new != "" && new != "(none)") print new }')
  else
    version=$(rpm -q --qf '%{VERSION}-%{RELEASE}' "$package" 2>/dev/null) ||
      version=$(dnf -q repoquery --latest-limit=1 --qf '%{VERSION}-%{RELEASE}' "$package" 2>/dev/null | head -n 1)
  fi
  if [ -z "$version" ] && [ -n "$isUnasked" ]; then version=unknown; fi
  if [ -n "$version" ]; then versions="$versions $package=$version"; else missing="$missing $package"; fi
done
line "${missing# }"
line "${versions# }"

device=$(readlink -f "$disk")
bytes=0 content="is no block device"
if [ -b "$device" ]; then
  bytes=$(blockdev --getsize64 "$device")
  own=$(drbdadm sh-ll-dev "$resource" 2>/dev/null | head -n 1)
  content=
  if [ -n "$own" ] && [ "$(readlink -f "$own")" = "$device" ] &&
    { drbdadm cstate "$resource" >/dev/null 2>&1 || drbdadm get-gi "$resource" >/dev/null 2>&1 </dev/null; }; then
    content=ours
  else
    for part in "$device" /sys/class/block/"${device##*/}"/"${device##*/}"*; do
      one=/dev/${part##*/}
      [ -b "$one" ] || continue
      [ "$one" = "$device" ] || content="${content:+$content, }has the partition $one"
      target=$(findmnt -rno TARGET -S "$one" | head -n 1)
      [ -z "$target" ] || content="${content:+$content, }is mounted at $target"
      if grep -q "^$one " /proc/swaps; then content="${content:+$content, }is swap"; fi
      for holder in /sys/class/block/"${one##*/}"/holders/*; do
        [ ! -e "$holder" ] || content="${content:+$content, }is used by ${holder##*/}"
      done
    done
    signature=$(blkid -p -s TYPE -s PTTYPE -s LABEL -o export "$device" 2>/dev/null | grep -v '^DEVNAME=' | tr '\n' ' ')
    [ -z "$signature" ] || content="${content:+$content, }holds $signature"
    [ -n "$content" ] || [ "$(head -c 1048576 "$device" | tr -d '\0' | wc -c)" = 0 ] ||
      content='holds something that has no signature'
    content=${content:-empty}
  fi
fi
line "$bytes"
line "$content"

lost= routed= slowest=
for pair in $links; do
  own=${pair%%=*} peer=${pair#*=}
  interface=$(interface_of "$own")
  if [ -z "$interface" ]; then lost="$lost $own"; continue; fi
  way=" $(ip route get "$peer" from "$own" 2>/dev/null) "
  case $way in
  *' via '*) routed="$routed $own-$peer" ;;
  *" dev $interface "*) ;;
  *) routed="$routed $own-$peer" ;;
  esac
  speed=$(cat "/sys/class/net/$interface/speed" 2>/dev/null) || speed=
  case $speed in ''|-*) ;; *) [ -n "$slowest" ] && [ "$slowest" -le "$speed" ] || slowest=$speed ;; esac
done
line "${lost# }"
line "${routed# }"
line "$slowest"

line "$(ip -o addr show to "$vip/$prefix" scope global | awk '{ sub("/.*", "", $4); print $4 }' | grep -vxF "$vip" | head -n 1)"
if [ -n "$(interface_of "$vip")" ]; then line held; else line; fi

taken=
[ "$content" = ours ] || ! ss -Hltn "sport = :$port" 2>/dev/null | grep -q . || taken="$port/TCP"
if ! pgrep -x corosync >/dev/null 2>&1 && ss -Hlun 'sport = :5405' 2>/dev/null | grep -q .; then taken="$taken 5405/UDP"; fi
line "${taken# }"

if systemctl -q is-active multipathd 2>/dev/null; then line active; else line; fi
line "$(basename "$(readlink -f /bin/sh)")"
# A node alone on 127.0.0.1 is what the package puts there.
other=$(sed -n 's/^[[:space:]]*cluster_name:[[:space:]]*//p' /etc/corosync/corosync.conf 2>/dev/null | head -n 1)
if [ "$other" = "$cluster" ] || ! grep -q '^[[:space:]]*ring0_addr:' /etc/corosync/corosync.conf 2>/dev/null ||
  grep -q '^[[:space:]]*ring0_addr:[[:space:]]*127\.' /etc/corosync/corosync.conf; then other=; fi
line "$other"
if mountpoint -q "$root"; then line "$(findmnt -no SOURCE "$root")"; else
  line "$(find "$root" -mindepth 1 -maxdepth 1 2>/dev/null | head -n 3)"
fi
free() { path=$1; while [ ! -d "$path" ]; do path=$(dirname "$path"); done; df -Pk "$path" | awk 'NR == 2 { print int($4 / 1024) }'; }
{ free /opt/kwdb; free /usr/local; free /var; } | sort -n | head -n 1
