import type { FaultScripts } from '../lease.ts';

/** By the clock that nobody sets: what the time should be can be told at any moment. */
const TIMES = `up() { IFS=' .' read -r up _ </proc/uptime; }`;

/** `$1` seconds, ahead or (negative) back. */
const SKEW = `${TIMES}
if { command -v systemd-detect-virt >/dev/null && systemd-detect-virt -qc; } || grep -qz '^container=' /proc/1/environ 2>/dev/null; then
  echo 'a container has no clock of its own' >&2; exit 1
fi
for unit in systemd-timesyncd chronyd chrony ntpd ntpsec ntp; do
  systemctl is-active -q "$unit" 2>/dev/null && echo "$unit" >>"$AT/units" && systemctl stop "$unit"
done
up; echo $(($(date +%s) - up)) >"$AT/zero"
date -s "@$(($(date +%s) + $1))" >/dev/null`;

const SET_RIGHT = `${TIMES}
if [ -s "$AT/zero" ]; then
  read -r zero <"$AT/zero"; up
  date -s "@$((zero + up))" >/dev/null || exit
fi
[ ! -e "$AT/units" ] || while read -r unit; do systemctl start --no-block "$unit"; done <"$AT/units"`;

export const clockFault = (seconds: number): FaultScripts => ({
  start: SKEW,
  heal: SET_RIGHT,
  args: [String(seconds)],
});
