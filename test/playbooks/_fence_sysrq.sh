#!/bin/sh
# Stand-in for the board of a real node (fence_ipmilan): switches a node of the lab off, by ssh over the management network.
# Options on standard input, as fence agents have them.
action=reboot ip=
for option in $([ $# -gt 0 ] || cat); do case $option in action=*) action=${option#*=} ;; ip=*) ip=${option#*=} ;; esac; done
[ "$1" != -o ] || action=$2
is_on() { ping -n -q -c 1 -W 1 "$ip" >/dev/null 2>&1 || ping -n -q -c 2 -i 0.3 -W 1 "$ip" >/dev/null 2>&1; }
case $action in
  metadata)
    cat <<'XML'
<?xml version="1.0" ?>
<resource-agent name="fence_sysrq" shortdesc="switches a node of the lab off">
<longdesc>Stand-in</longdesc>
<parameters>
<parameter name="ip" unique="0" required="1"><content type="string"/><shortdesc lang="en">address</shortdesc></parameter>
<parameter name="action" unique="0" required="0"><content type="string" default="reboot"/><shortdesc lang="en">action</shortdesc></parameter>
</parameters>
<actions><action name="off"/><action name="reboot"/><action name="status"/><action name="monitor"/><action name="metadata"/></actions>
</resource-agent>
XML
    ;;
  monitor) exit 0 ;;
  status) is_on || exit 2 ;;
  off | reboot)
    is_on || exit 0
    timeout 10 ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no "root@$ip" 'echo o >/proc/sysrq-trigger' >/dev/null 2>&1 &
    for _ in 1 2 3 4 5 6 7 8 9 10; do is_on || exit 0; sleep 0.5; done
    exit 1 ;;
esac
