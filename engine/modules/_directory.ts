import { StepFailed } from '../core/error.ts';
import type { Context } from '../core/module.ts';
import { chmodWord } from './_mode.ts';
import { must } from './_sh.ts';

interface Attributes {
  readonly mode?: string | undefined;
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
}

const MAKE = `
fail() { printf '%s\\n' "$*" >&2; exit 1; }
mode=$1 owner=$2 group=$3
shift 3
dress() {
  if [ -n "$owner$group" ]; then
    why=$(LC_ALL=C chown -- "$owner\${group:+:$group}" "$1" 2>&1) || fail "cannot give $1 to $owner\${group:+:$group}: \${why#*: }"
  fi
  if [ -n "$mode" ]; then
    why=$(LC_ALL=C chmod -- "$mode" "$1" 2>&1) || fail "cannot set the mode of $1: \${why##*: }"
  fi
}
make() {
  [ -d "$1" ] && return
  case \${1%/*} in '') ;; *) make "\${1%/*}" ;; esac
  why=$(LC_ALL=C mkdir -- "$1" 2>&1) || fail "cannot make the directory $1: \${why##*: }"
  dress "$1"
}
for path in "$@"; do
  if [ -d "$path" ]; then dress "$path"; else make "\${path%/}"; fi
done`;

/** Makes directories with all above them that are missing, and gives every one made (and those named) its attributes. */
export const makeDirectories = (
  ctx: Context,
  paths: readonly string[],
  attributes: Attributes,
): Promise<string> =>
  must(ctx, 'directory', MAKE, {
    args: [
      attributes.mode === undefined ? '' : chmodWord(attributes.mode),
      attributes.owner ?? '',
      attributes.group ?? '',
      ...paths,
    ],
  });

// How many directories above $1 are missing, and whether they can be made.
const ABOVE = `
count=0 at=$1
while at=\${at%/*} && [ -n "$at" ] && ! [ -d "$at" ]; do
  [ ! -e "$at" ] && [ ! -L "$at" ] || { echo "blocked $count"; exit; }
  count=$((count + 1))
done
[ -w "\${at:-/}" ] && echo "made $count" || echo "closed $count"`;

/** The directories above `path` that are missing, the topmost first; fails where they cannot be made. */
export async function missingAbove(ctx: Context, path: string): Promise<readonly string[]> {
  const [verdict, count] = (await must(ctx, `cannot look above ${path}`, ABOVE, { args: [path] }))
    .trim()
    .split(' ');
  const above = path
    .split('/')
    .map((_, i, parts) => parts.slice(0, i).join('/'))
    .filter(Boolean);
  const at = above.length - Number(count);
  const there = above[at - 1] ?? '/';
  if (verdict === 'closed') throw new StepFailed(`cannot write in ${there}: Permission denied or read-only`);
  if (verdict === 'blocked') throw new StepFailed(`${there} is no directory`);
  return above.slice(at);
}

const LIST = `[ -d "$1" ] || exit 0
LC_ALL=C find "$1" -exec stat -c '%f\t%U\t%G\t%u\t%g\t%n' -- {} +`;

export interface Entry {
  readonly path: string;
  readonly bits: number;
  readonly user: string;
  readonly group: string;
  readonly uid: string;
  readonly gid: string;
}

/** Everything below (and with) a directory, without following links. */
export async function listTree(ctx: Context, path: string): Promise<readonly Entry[]> {
  const listed = await must(ctx, `cannot look into ${path}`, LIST, { args: [path] });
  return listed.split('\n').flatMap((line) => {
    const [bits = '', user = '', group = '', uid = '', gid = '', ...name] = line.split('\t');
    if (!/^[0-9a-f]+$/.test(bits) || name.length === 0) return [];
    return [{ path: name.join('\t'), bits: Number.parseInt(bits, 16), user, group, uid, gid }];
  });
}
