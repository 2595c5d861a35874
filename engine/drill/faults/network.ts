import { StepFailed } from '../../core/error.ts';
import type { FaultScripts } from '../lease.ts';
import type { Networks } from './_node.ts';

const NFT = `nft=$(command -v nft || ls /usr/sbin/nft /sbin/nft 2>/dev/null | head -n 1)
[ -n "$nft" ] || { echo 'networks are cut with nft, which is not here (package nftables)' >&2; exit 1; }
interface_of() { ip -o addr show | while read -r _ name _ address _; do [ "\${address%/*}" != "$1" ] || { echo "\${name%@*}"; break; }; done; }`;

/** `$from` and `$port` of the connection that we come by, as the session knows them: sudo and doas keep its word from us. */
const WAY = `pid=$$
while [ -z "$SSH_CONNECTION" ] && [ "\${pid:-0}" -gt 1 ]; do
  SSH_CONNECTION=$(tr '\\0' '\\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
  pid=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$pid/status" 2>/dev/null)
done
from=\${SSH_CONNECTION%% *}; port=\${SSH_CONNECTION##* }`;

/**
 * Everything on an interface, below IP so that nobody answers for an address either, but for the connection that we come
 * by. \`$1\` table, \`$2\` direction, \`$3\` rule for what is dropped, then own addresses.
 */
const CUT_ALL = `${NFT}
table=$1 direction=$2 verdict=$3; shift 3
set -- $(for own; do interface_of "$own"; done | sort -u)
[ $# -gt 0 ] || { echo 'none of the addresses is on an interface here' >&2; exit 1; }
${WAY}
family=ip; case $from in *:*) family=ip6 ;; esac
{
  echo "add table netdev $table"
  i=0
  for name; do
    i=$((i + 1))
    if [ "$direction" != out ]; then
      echo "add chain netdev $table in_$i { type filter hook ingress device \\"$name\\" priority 0; }"
      [ -z "$from" ] || echo "add rule netdev $table in_$i $family saddr $from tcp dport $port accept"
      echo "add rule netdev $table in_$i $verdict"
    fi
    if [ "$direction" != in ]; then
      echo "add chain netdev $table out_$i { type filter hook egress device \\"$name\\" priority 0; }"
      [ -z "$from" ] || echo "add rule netdev $table out_$i $family daddr $from tcp sport $port accept"
      echo "add rule netdev $table out_$i $verdict"
    fi
  done
} | "$nft" -f -`;

/** What the two nodes send each other. \`$1\` table, \`$2\` direction, then pairs of own and peer's address. */
const CUT_BEATS = `${NFT}
table=$1 direction=$2; shift 2
{
  echo "add table inet $table"
  echo "add chain inet $table in { type filter hook input priority -300; }"
  echo "add chain inet $table out { type filter hook output priority -300; }"
  while [ $# -ge 2 ]; do
    family=ip; case $1 in *:*) family=ip6 ;; esac
    [ "$direction" = out ] || echo "add rule inet $table in $family saddr $2 $family daddr $1 drop"
    [ "$direction" = in ] || echo "add rule inet $table out $family saddr $1 $family daddr $2 drop"
    shift 2
  done
} | "$nft" -f -`;

const HEAL = `nft=$(command -v nft || ls /usr/sbin/nft /sbin/nft 2>/dev/null | head -n 1)
[ -n "$nft" ] || exit 0
for family in netdev inet; do
  ! "$nft" list table "$family" "$1" >/dev/null 2>&1 || "$nft" delete table "$family" "$1" || exit
done`;

/** The heartbeats wanted: all, or the one of that number. */
function beatsOf({ beats }: Networks, network: number | undefined): Networks['beats'] {
  const wanted = network === undefined ? beats : beats.slice(network - 1, network);
  if (wanted.length > 0) return wanted;
  throw new StepFailed(
    beats.length === 0
      ? 'the settings of the pair name no heartbeat networks'
      : `there is no heartbeat network ${network}: the pair has ${beats.length}`,
  );
}

interface Cut {
  readonly links: 'heartbeats' | 'all';
  readonly network?: number | undefined;
  readonly direction: 'both' | 'in' | 'out';
}

/** Frames vanish; the carrier stays. \`id\` names the table. */
export function cutFault(id: string, networks: Networks, { links, network, direction }: Cut): FaultScripts {
  const beats = beatsOf(networks, network);
  const args =
    links === 'all'
      ? [id, direction, 'drop', ...beats.map(({ own }) => own)]
      : [id, direction, ...beats.flatMap(({ own, peer }) => [own, peer])];
  return { start: links === 'all' ? CUT_ALL : CUT_BEATS, heal: HEAL, args };
}

/** Tells our discipline of an interface from the operator's own. */
const HANDLE = 'dbd:';

/** \`$1\` table, \`$2\` delay and \`$3\` jitter in ms, \`$4\` percent lost, then own addresses. */
const SLOW = `${NFT}
table=$1 delay=$2 jitter=$3 loss=$4; shift 4
set -- $(for own; do interface_of "$own"; done | sort -u)
[ $# -gt 0 ] || { echo 'none of the addresses is on an interface here' >&2; exit 1; }
if [ "$delay" != 0 ]; then
  for name; do
    echo "$name" >>"$AT/slow"
    tc qdisc add dev "$name" root handle ${HANDLE} netem delay "\${delay}ms" "\${jitter}ms" $([ "$loss" = 0 ] || echo "loss $loss%") 2>"$AT/tc" && continue
    grep -q 'kind is unknown' "$AT/tc" || { cat "$AT/tc" >&2; exit 1; }
    echo "the kernel of this node has no netem (sch_netem), so nothing can be delayed; loss alone needs only nft" >&2
    exit 1
  done
  exit 0
fi
percent=\${loss%.*} part=0
case $loss in *.*) part=\${loss#*.}0; part=\${part%"\${part#?}"} ;; esac
i=0
for name; do
  i=$((i + 1))
  echo "add table netdev $table"
  echo "add chain netdev $table out_$i { type filter hook egress device \\"$name\\" priority 0; }"
  echo "add rule netdev $table out_$i numgen random mod 1000 < $((percent * 10 + part)) drop"
done | "$nft" -f -`;

const HEAL_SLOW = `${HEAL}
[ -e "$AT/slow" ] || exit 0
while read -r name; do
  ! tc qdisc show dev "$name" root | grep -q '^qdisc netem ${HANDLE} ' || tc qdisc del dev "$name" root || exit
done <"$AT/slow"`;

interface Slow {
  readonly network?: number | undefined;
  readonly delay?: number | undefined;
  readonly jitter?: number | undefined;
  readonly loss?: number | undefined;
}

export const slowFault = (id: string, networks: Networks, { network, ...how }: Slow): FaultScripts => ({
  start: SLOW,
  heal: HEAL_SLOW,
  args: [
    id,
    ...[how.delay ?? 0, how.jitter ?? 0, how.loss ?? 0].map(String),
    ...beatsOf(networks, network).map(({ own }) => own),
  ],
});
