import { StepFailed } from '../core/error.ts';
import type { Change, Context } from '../core/module.ts';

// Where there is no getent the files are all that is asked.
const UNKNOWN = `
knows() {
  case $2 in ''|*[!0-9]*) ;; *) return 0 ;; esac
  if command -v getent >/dev/null 2>&1; then getent "$1" "$2" >/dev/null
  else while IFS=: read -r name _; do [ "$name" = "$2" ] && return 0; done <"/etc/$1"; return 1; fi
}
[ -z "$1" ] || knows passwd "$1" || { echo user; exit; }
[ -z "$2" ] || knows group "$2" || echo group`;

/** The changes, where the node knows the owner and the group that they want; fails where it does not. */
export async function ownable<C extends readonly Change[]>(
  ctx: Context,
  { owner = '', group = '' }: { readonly owner?: string | undefined; readonly group?: string | undefined },
  changes: C,
): Promise<C> {
  if (changes.length === 0 || owner + group === '') return changes;
  const { stdout } = await ctx.sh(UNKNOWN, { args: [owner, group] });
  const what = stdout.trim();
  if (what === '') return changes;
  throw new StepFailed(`${ctx.host.name} has no ${what} ${what === 'user' ? owner : group}`);
}
