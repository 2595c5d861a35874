#!/bin/sh
# How KWDB is on a node, one fact a line; tasks/look-at-database.yml names the lines. Changes nothing.
# $1 its folder, $2 its unit, $3 data root, $4 VIP, $5 length of its prefix; `-` stands for nothing found.
line() { printf '%s\n' "${1:--}"; }

# As the product's archives are named: debian12-x86_64.
line "$(. /etc/os-release && echo "$ID$VERSION_ID")-$(uname -m)"

version=
if [ -e "/etc/systemd/system/$2.service" ]; then
  version=$("$1/bin/kwbase" version 2>/dev/null | sed -n 's/^KaiwuDB Version: *V*//p')
  version=${version:-unknown}
fi
line "$version"

if grep -qs 'kwbase.*--insecure' "/etc/systemd/system/$2.service"; then line insecure; else line ${version:+tls}; fi

if mountpoint -q "$3"; then line mounted; else line; fi
line "$(find "$3" -mindepth 1 -maxdepth 1 ! -name lost+found 2>/dev/null | wc -l)"

# The node's own address on the VIP's network: what clients that do not go by the VIP would use.
line "$(ip -o -4 addr show to "$4/$5" scope global | awk '{ sub("/.*", "", $4); print $4 }' | grep -vxF "$4" | head -n 1)"

user=$(sed -n 's/^User=//p' "/etc/systemd/system/$2.service" 2>/dev/null)
line "${user:+$(id -u "$user"):$(id -g "$user")}"
line "$(systemctl is-active "$2" 2>/dev/null)"

# What of it Pacemaker has in its hands.
managed=
if systemctl -q is-active pacemaker; then
  resources=$(cibadmin --query --scope resources) || exit
  case $resources in *"value=\"$3\""*) managed="filesystem" ;; esac
  case $resources in *"type=\"$2\""*) managed="$managed database" ;; esac
fi
line "$managed"
