import type { BoundRole } from '../core/cluster.ts';
import type { Guard } from '../core/host.ts';
import type { Voices } from './model.ts';

/** The shell text that reads the witnesses of one node. */
export interface Witnesses {
  readonly voices: Voices;
  /**
   * Calls `witness NAME WORD [TEXT]` for each; TEXT is what is told where WORD alone says too little. Sets `free` where
   * the node is in no cluster. Must be done within 10 s, and must not read standard input.
   */
  readonly script: string;
  /** `$1`, `$2`, … of the script. */
  readonly args: readonly string[];
}

/** One `case` arm for each word that speaks for a role. */
const arms = (voices: Voices): string =>
  Object.entries(voices)
    .flatMap(([name, words]) =>
      Object.entries(words).map(([word, role]) => `    '${name}=${word}') vote=${role} ;;`),
    )
    .join('\n');

/**
 * Refuses, in the exchange of the act, a node that is not `wanted`: where a witness says otherwise, where witnesses
 * disagree, and where none can tell; `not_primary` where any says primary. The same votes as in `agreedRole`.
 */
export const roleGuard = (node: string, wanted: BoundRole, { voices, script, args }: Witnesses): Guard => ({
  code: 'guard.role',
  args: [node, wanted, ...args],
  // In a subshell of its own, so that nothing of it is left to the script that follows.
  script: `refused=$(
node=$1 wanted=$2 said= roles= free=
shift 2
PATH=$PATH:/usr/sbin:/sbin
witness() {
  vote=
  case $1=$2 in
${arms(voices)}
  esac
  said="$said\${said:+, }$1: \${3:-$2}\${vote:+ ($vote)}"
  case $vote/$roles/ in /* | */$vote/* | *' '*) ;; *) roles="$roles\${roles:+ }$vote" ;; esac
}
exec </dev/null
${script}
reason=
case $wanted/$roles in
  not_primary/*primary*) reason="$node may be the primary" ;;
  not_primary/*) ;;
  *) if [ -n "$free" ]; then reason="$node is in no cluster, so it is not $wanted"
    else case $roles in
      "$wanted") ;;
      '') reason="no witness can tell whether $node is $wanted" ;;
      *' '*) reason="the witnesses of $node do not agree" ;;
      *) reason="$node is $roles now, not $wanted" ;;
    esac; fi ;;
esac
if [ -n "$reason" ]; then printf '%s (%s); nothing was done' "$reason" "$said"; else echo meets; fi
)
case $refused in
  meets) refused= ;;
  '') refused="whether $1 is $2 cannot be told, for its witnesses could not be read; nothing was done" ;;
esac`,
});
