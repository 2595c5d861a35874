import type { FaultScripts } from '../lease.ts';

/**
 * \`$1\` how, \`$2\` unit. A condition that never holds keeps the unit down, whoever starts it: unlike \`mask\` it
 * does so for units of /etc too. In /run, so that it is gone with a reboot. Of a unit that Pacemaker starts the start
 * fails instead, which it hears of at once; and it is Pacemaker that starts it again, on the node that it chooses.
 */
const START = `command -v systemctl >/dev/null || { echo 'services are struck through systemd, which is not here' >&2; exit 1; }
how=$1 unit=$2
case $unit in *.*) ;; *) unit=$unit.service ;; esac
state=$(systemctl is-active "$unit")
[ "$state" = active ] || { echo "$unit is not running: $state" >&2; exit 1; }
: >"$AT/was-active"
[ "$(systemctl is-enabled "$unit" 2>/dev/null)" != disabled ] || ! systemctl -q is-active pacemaker || : >"$AT/is-managed"
if [ "$how" = freeze ]; then systemctl kill --kill-whom=all --signal=STOP "$unit" 2>/dev/null || systemctl kill --kill-who=all --signal=STOP "$unit"; exit; fi
if [ -e "$AT/is-managed" ]; then lines='[Service]\\nRestart=no\\nExecStart=\\nExecStart=/bin/false\\n'
else lines='[Unit]\\nConditionPathExists=%s/let-it-start\\n[Service]\\nRestart=no\\n'; fi
mkdir -p "/run/systemd/system/$unit.d" &&
printf "$lines" "$AT" >"/run/systemd/system/$unit.d/zz-drillbook-fault.conf" &&
systemctl daemon-reload || exit
if [ "$how" = kill ]; then systemctl kill --signal=KILL "$unit"; else systemctl stop "$unit"; fi`;

const HEAL = `how=$1 unit=$2
case $unit in *.*) ;; *) unit=$unit.service ;; esac
[ -e "$AT/was-active" ] || exit 0
if [ "$how" = freeze ]; then systemctl kill --kill-whom=all --signal=CONT "$unit" 2>/dev/null || systemctl kill --kill-who=all --signal=CONT "$unit"; exit; fi
rm -f "/run/systemd/system/$unit.d/zz-drillbook-fault.conf"
rmdir "/run/systemd/system/$unit.d" 2>/dev/null
systemctl daemon-reload
systemctl reset-failed "$unit" 2>/dev/null
[ -e "$AT/is-managed" ] || systemctl start --no-block "$unit"`;

/** A unit that ends and does not come back while the fault lasts. */
export const serviceFault = (unit: string, how: 'stop' | 'kill' | 'freeze'): FaultScripts => ({
  start: START,
  heal: HEAL,
  args: [how, unit],
});
