/**
 * Ends all that a shell ($1, its pid) has started: what is below it, and what shares its session or one begun below
 * it, so that background processes whose parent is gone are found too; not the shell and those above it. What was
 * begun before $2 (clock ticks since boot) is left: it belongs to an earlier exchange. TERM first, KILL for what is
 * left after 2 s. Builtins and /proc only: ps is not on every system.
 */
export const KILL_SCRIPT = `
shell=$1 since=\${2:-0}
look() {
  table= keep=" $shell " session=
  for dir in /proc/[0-9]*; do
    { read -r line <"$dir/stat"; } 2>/dev/null || continue
    pid=\${dir#/proc/}
    set -- \${line##*) }
    [ "$1" = Z ] && continue
    [ "$pid" = "$shell" ] && session=$4
    [ "\${20}" -ge "$since" ] || set -- "$1" "$2" "$3" 0
    table="$table $pid:$2:$4"
  done
  above=$shell
  while [ "$above" -gt 1 ] 2>/dev/null; do
    next=
    for row in $table; do
      case $row in "$above":*) next=\${row#*:} next=\${next%%:*} ;; esac
    done
    above=$next keep="$keep$above "
  done
  found=' ' grown=1
  while [ "$grown" = 1 ]; do
    grown=0
    for row in $table; do
      pid=\${row%%:*} parent=\${row#*:} parent=\${parent%%:*}
      case "$found$keep" in *" $pid "*) continue ;; esac
      hit=0
      [ "\${row##*:}" = "$session" ] && hit=1
      case "$found" in *" \${row##*:} "*) hit=1 ;; esac
      case " $shell$found" in *" $parent "*) hit=1 ;; esac
      [ "$hit" = 1 ] && found="$found$pid " grown=1
    done
  done
}
look
[ -n "\${found# }" ] && kill -TERM $found 2>/dev/null
tries=0
while look; [ -n "\${found# }" ] && [ "$tries" -lt 20 ]; do
  sleep 0.1 || sleep 1
  tries=$((tries + 1))
done
[ -z "\${found# }" ] || kill -KILL $found 2>/dev/null
look
[ -z "\${found# }" ] || { look; kill -KILL $found 2>/dev/null; }
exit 0
`;
