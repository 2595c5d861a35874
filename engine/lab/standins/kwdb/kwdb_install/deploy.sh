#!/bin/sh
# Stand-in for KWDB's deploy.sh, made for drillbook's lab: one node, from the packages beside it.
set -u
umask 022
here=$(cd "$(dirname "$0")" && pwd)
unit=/etc/systemd/system/kaiwudb.service
mode=/etc/kaiwudb/info/MODE
certs=/etc/kaiwudb/certs
kwbase=/usr/local/kaiwudb/bin/kwbase

fail() {
  echo "[ERROR] $*" >&2
  exit 1
}
done_with() { echo "[$1 COMPLETED]:$2"; }
is_installed() { [ -e $unit ]; }
is_running() { [ "$(systemctl show -p MainPID --value kaiwudb 2>/dev/null || echo 0)" != 0 ]; }
must_be_installed() { is_installed || fail 'KaiwuDB does not exist. Please install KaiwuDB first.'; }
# Line of MODE, in the product's order.
told() { sed -n "$1p" $mode 2>/dev/null; }

# Value of key $2 in section [$1].
configured() {
  awk -F= -v section="[$1]" -v key="$2" '
    { sub(/\r$/, "") }
    /^\[/ { here = ($0 == section) }
    here && $1 == key { sub(/^[^=]*=/, ""); gsub(/^[ \t]+|[ \t]+$/, ""); print; exit }' "$here/deploy.cfg"
}

check_port() {
  case $2 in '' | *[!0-9]*) fail "$1 is missing in deploy.cfg." ;; esac
  [ "$2" -ge 1 ] && [ "$2" -le 65535 ] || fail "The $1 value is incorrect, range [1-65535]."
}

read_config() {
  [ -r "$here/deploy.cfg" ] || fail "$here/deploy.cfg: No such file."
  secure=$(configured global secure_mode)
  user=$(configured global management_user)
  port=$(configured global kaiwudb_port)
  rest=$(configured global rest_port)
  brpc=$(configured global brpc_port)
  root=$(configured global data_root)
  address=$(configured local node_addr)
  cpu=$(configured global cpu)
  case $secure in
    tls | insecure) ;;
    tlcp) fail 'secure_mode=tlcp is nothing the stand-in can do.' ;;
    *) fail 'secure_mode is missing in deploy.cfg.' ;;
  esac
  [ -n "$user" ] || fail 'management_user is missing in deploy.cfg.'
  case $user in [!a-z_]* | *[!a-z0-9_-]*) fail "management_user is no name of a user: $user" ;; esac
  check_port rest_port "$rest"
  check_port kaiwudb_port "$port"
  check_port brpc_port "$brpc"
  case $root in
    '') fail 'data_root is missing in deploy.cfg.' ;;
    *[!A-Za-z0-9/._-]* | [!/]*) fail "data_root is no path: $root" ;;
  esac
  [ -n "$address" ] || fail '[local]node_addr is missing in deploy.cfg.'
  case $address in *[!0-9.]*) fail 'The [local]node_addr format is incorrect.' ;; esac
  if grep -q '^\[cluster\]' "$here/deploy.cfg"; then fail 'The stand-in knows no cluster of its own: take [cluster] out of deploy.cfg.'; fi
}

ask_password() {
  # Before the prompt: whoever answers at once must find it off.
  if [ -t 0 ]; then stty -echo; fi
  printf "Please input %s's password: " "$1"
  IFS= read -r password || password=
  if [ -t 0 ]; then stty echo; fi
  echo
}

make_user() {
  getent group "$user" >/dev/null || groupadd "$user" || return
  getent passwd "$user" >/dev/null && return
  useradd -g "$user" -m -s /bin/bash "$user" || return
  [ -z "$password" ] || printf '%s:%s\n' "$user" "$password" | chpasswd
}

make_certificates() {
  [ -e $certs/ca.crt ] || $kwbase cert create-ca --certs-dir=$certs --ca-key=$certs/ca.key || return
  [ -e $certs/node.crt ] ||
    $kwbase cert create-node "$address" 127.0.0.1 0.0.0.0 localhost --certs-dir=$certs --ca-key=$certs/ca.key || return
  [ -e $certs/client.root.crt ] || $kwbase cert create-client root --certs-dir=$certs --ca-key=$certs/ca.key
}

write_unit() {
  if [ "$secure" = insecure ]; then how=--insecure; else how=--certs-dir=$certs; fi
  quota=
  [ -z "$cpu" ] || quota="CPUQuota=$(awk -v share="$cpu" -v cores="$(nproc)" 'BEGIN { printf "%.1f%%", share * cores * 100 }')"
  cat >$unit <<UNIT
# Stand-in for KWDB, made for drillbook's lab.
[Unit]
Description=KaiwuDB Service (stand-in, MariaDB serves)
After=network.target
Wants=network.target
[Service]
User=$user
Group=$user
Type=notify
NotifyAccess=all
LimitNOFILE=1048576
$quota
RuntimeDirectory=kaiwudb
WorkingDirectory=/usr/local/kaiwudb/bin
EnvironmentFile=/etc/kaiwudb/script/kaiwudb_env
ExecStart=$kwbase start-single-node \$KAIWUDB_START_ARG $how --listen-addr=0.0.0.0:$port --advertise-addr=$address:$port --http-addr=0.0.0.0:$rest --brpc-addr=0.0.0.0:$brpc --store=$root
KillMode=control-group
TimeoutStartSec=120
[Install]
WantedBy=multi-user.target
UNIT
}

undo() {
  rm -rf $unit /etc/kaiwudb /usr/bin/kwbase
  dpkg -r kaiwudb-server kaiwudb-libcommon >/dev/null 2>&1
  fail "Install failed: $*"
}

install_here() {
  case ${1:---single} in
    --single) ;;
    *) fail "The stand-in knows a single node only, not $1." ;;
  esac
  ! is_installed || fail 'KaiwuDB is already installed.'
  read_config
  ask_password "$user"
  mkdir -p $certs /etc/kaiwudb/script /etc/kaiwudb/info "$root"
  [ -z "$(ls -A "$root")" ] || echo '[WARN] Data dir is not empty'
  said=$(dpkg -i "$here"/packages/kaiwudb-libcommon_*.deb "$here"/packages/kaiwudb-server_*.deb 2>&1) || undo "$said"
  cp "$here/packages/.version" /etc/kaiwudb/info/
  printf '%s\n' bare single /usr/local/kaiwudb "$root" "$port" "$rest" "$user" "$secure" false "$address" >$mode
  echo 'KAIWUDB_START_ARG=""' >/etc/kaiwudb/script/kaiwudb_env
  if [ "$secure" != insecure ]; then make_certificates || undo 'no certificates'; fi
  make_user || undo "user $user cannot be made"
  chown -R "$user:$user" /usr/local/kaiwudb "$root" /etc/kaiwudb
  ln -sf $kwbase /usr/bin/kwbase
  write_unit
  systemctl daemon-reload
  done_with INSTALL "KaiwuDB has been installed successfully! To start KaiwuDB, please execute the command 'systemctl daemon-reload'."
}

uninstall_here() {
  must_be_installed
  ! is_running || fail 'Please stop KaiwuDB first.'
  printf 'When uninstalling KaiwuDB, you can either delete or keep all user data. Please confirm your choice: Do you want to delete the data? (y/N)'
  read -r answer || answer=n
  echo
  root=$(told 4)
  user=$(told 7)
  systemctl disable --quiet kaiwudb 2>/dev/null
  systemctl reset-failed kaiwudb 2>/dev/null
  said=$(dpkg -r kaiwudb-server kaiwudb-libcommon 2>&1) || fail "The packages cannot be removed: $said"
  userdel -r "$user" >/dev/null 2>&1
  rm -rf $unit /usr/bin/kwbase /usr/local/kaiwudb
  systemctl daemon-reload
  case $answer in
    y | yes)
      rm -rf /etc/kaiwudb
      # A mounted file system stays where it is.
      if mountpoint -q "$root"; then find "$root" -mindepth 1 -delete; else rm -rf "$root"; fi
      ;;
  esac
  done_with UNINSTALL 'KaiwuDB has been uninstalled successfully.'
}

upgrade_here() {
  case ${1:-} in
    -l | --local) ;;
    *) fail 'The stand-in upgrades the local node only: -l' ;;
  esac
  must_be_installed
  ! is_running || fail 'Current local node is not support online upgrade! Please stop KaiwuDB then try again.'
  new=$(cat "$here/packages/.version")
  old=$(cat /etc/kaiwudb/info/.version)
  if [ "${2:-}" != --bypass-version-check ] && ! dpkg --compare-versions "$new" gt "$old"; then
    fail "The version $new is not newer than $old, which is installed."
  fi
  said=$(dpkg -i "$here"/packages/kaiwudb-libcommon_*.deb "$here"/packages/kaiwudb-server_*.deb 2>&1) || fail "Upgrade failed: $said"
  cp "$here/packages/.version" /etc/kaiwudb/info/
  chown -R "$(told 7):$(told 7)" /usr/local/kaiwudb
  done_with UPGRADE 'Local node upgrade successfully.'
}

usage() {
  echo 'Usage: deploy.sh install [--single] | uninstall | start | stop | restart | status | upgrade -l [--bypass-version-check]'
  exit 0
}

[ "$(id -u)" = 0 ] || fail 'the stand-in is installed as root.'
command=${1:-}
[ $# -eq 0 ] || shift
case $command in
  install) install_here "$@" ;;
  uninstall) uninstall_here ;;
  upgrade) upgrade_here "$@" ;;
  status)
    must_be_installed
    if is_running; then done_with STATUS 'KaiwuDB is runnning now.'; else done_with STATUS 'KaiwuDB is not runnning.'; fi
    ;;
  start)
    must_be_installed
    ! is_running || fail 'KaiwuDB is runnning now.'
    systemctl start kaiwudb || fail "Start KaiwuDB failed. For more information, use 'journalctl -u kaiwudb'."
    done_with START 'KaiwuDB start successfully.'
    ;;
  stop | restart)
    must_be_installed
    is_running || fail 'KaiwuDB is not runnning now.'
    systemctl "$command" kaiwudb || fail "$command of KaiwuDB failed. For more information, use 'journalctl -u kaiwudb'."
    done_with "$(echo "$command" | tr a-z A-Z)" "KaiwuDB $command successfully."
    ;;
  *) usage ;;
esac
