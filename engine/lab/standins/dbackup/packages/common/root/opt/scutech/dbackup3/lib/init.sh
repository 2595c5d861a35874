# Stand-in for DBackup: what its init scripts have in common; sourced with $name set.
unit=dbackup3-$name.service
verb=${1:-}

show_status() {
  if systemctl is-active --quiet "$unit"; then
    echo "service: running"
  else
    echo "service: stopped"
    return 3
  fi
}

case $verb in
  start | stop | restart) exec systemctl "$verb" "$unit" ;;
  status)
    if [ -x "/opt/scutech/dbackup3/lib/$name-status" ]; then "/opt/scutech/dbackup3/lib/$name-status"; fi
    show_status
    exit
    ;;
  config)
    if [ -x "/opt/scutech/dbackup3/lib/$name-config" ]; then
      shift
      exec "/opt/scutech/dbackup3/lib/$name-config" "$@"
    fi
    ;;
esac
echo "usage: /etc/init.d/dbackup3-$name start|stop|restart|status" >&2
exit 2
