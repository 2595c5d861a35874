#!/bin/sh
# What a node is, one fact a line; preflight.yml names the lines. Changes nothing.
# $1 package prefix, $2 heartbeats as OWN=PEER words, $3 VIP interfaces, $4 VIPs; `-` stands for nothing found.
prefix=$1 heartbeats=$2 interfaces=$3 vips=$4
line() { printf '%s\n' "${1:--}"; }
on_node=$(ip -o addr show | awk '{ sub("/.*", "", $4); print $4, $2 }')
interface_of() { printf '%s\n' "$on_node" | awk -v address="$1" '$1 == address { print $2; exit }'; }

line "$(id -u)"

nics= lost= routed=
for pair in $heartbeats; do
  own=${pair%%=*} peer=${pair#*=}
  interface=$(interface_of "$own")
  if [ -z "$interface" ]; then lost="$lost $own"; continue; fi
  device=/sys/class/net/$interface/device
  if [ -e "$device" ]; then
    driver=$(readlink "$device/driver")
    nic="${driver##*/} $(cat "$device/vendor" 2>/dev/null):$(cat "$device/device" 2>/dev/null)"
  else
    nic=virtual
  fi
  nics="$nics${nics:+, }$nic"
  case " $(ip route get "$peer" from "$own" 2>/dev/null) " in
  *" dev $interface "*) case " $(ip route get "$peer" from "$own") " in *' via '*) routed="$routed $own-$peer" ;; esac ;;
  *) routed="$routed $own-$peer" ;;
  esac
done
line "$nics"
line "${lost# }"
line "${routed# }"

missing=
for interface in $interfaces; do [ -e "/sys/class/net/$interface" ] || missing="$missing $interface"; done
line "${missing# }"

held=' '
for vip in $vips; do [ -z "$(interface_of "$vip")" ] || held="$held$vip "; done
line "$held"

free() { path=$1; [ -d "$path" ] || path=/; df -Pk "$path" | awk 'NR == 2 { print int($4 / 1024) }'; }
opt=$(free /opt) var=$(free /var)
if [ "$opt" -lt "$var" ]; then line "$opt"; else line "$var"; fi

if command -v dpkg-query >/dev/null 2>&1; then
  version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$prefix-common" 2>/dev/null | sed -n 's/^installed //p')
else
  version=$(rpm -q --qf '%{VERSION}-%{RELEASE}' "$prefix-common" 2>/dev/null) || version=
fi
line "${version:-not installed}"
taken() { if ss -H "$1" "sport = :$2" 2>/dev/null | grep -q .; then line service; else line free; fi; }
taken -lun 554
taken -ltn 50309
