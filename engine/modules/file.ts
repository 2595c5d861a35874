import { dirname, resolve } from 'node:path/posix';
import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { listTree, makeDirectories, missingAbove } from './_directory.ts';
import { attributeChanges, fileParams, fileResult, lookAt, returnsOfFile, zPath } from './_file.ts';
import type { Found, Look } from './_file.ts';
import { chmodWord, modeAfter } from './_mode.ts';
import { ownable } from './_owner.ts';
import { must } from './_sh.ts';

const params = z
  .strictObject({
    path: zPath
      .refine((path) => !/^\/+(\.{0,2}\/*)*$/.test(path), { error: 'must not be the root directory' })
      .describe('Path on the node.'),
    state: z
      .enum(['file', 'directory', 'link', 'hard', 'absent', 'touch'])
      .default('file')
      .describe(
        'file: is there already, and gets its attributes; directory: made, with all above it; link, hard: to `src`; absent: removed, directories with all in them; touch: made empty when missing, its times set (always changed, but for `modification_time: preserve`).',
      ),
    src: z
      .string()
      .min(1)
      .optional()
      .describe('What a link points to (relative ones from its directory), or the file of a hard link.'),
    mode: fileParams.mode,
    owner: fileParams.owner,
    group: fileParams.group,
    recurse: z
      .boolean()
      .default(false)
      .describe('Mode, owner and group of all in the directory, too (default false).'),
    force: z
      .boolean()
      .default(false)
      .describe(
        'A link is made though `src` is missing, and in place of a file or empty directory (default false).',
      ),
    modification_time: z
      .enum(['now', 'preserve'])
      .default('now')
      .describe('Of touch: whether a file that is there gets a new time (default now).'),
  })
  .refine((given) => (given.state === 'link' || given.state === 'hard') === (given.src !== undefined), {
    error: '`src` goes with `state: link` and `state: hard`, and only with these',
  })
  .refine((given) => !given.recurse || given.state === 'directory', {
    error: '`recurse` goes with `state: directory`',
  })
  .refine(({ state, mode, owner, group }) => state !== 'link' || (mode ?? owner ?? group) === undefined, {
    error: 'mode, owner and group are those of what a link points to: set them there',
  });

type Given = z.output<typeof params>;

const words = (found: Found): string => (found.kind === 'link' ? `link to ${found.target}` : found.kind);
const kindChange = (path: string, found: Found, after: string): Change => ({
  what: path,
  before: words(found),
  after,
});

/** What is to be put there or taken away needs its directory. */
function roomy(found: Found): Found {
  if (found.obstacle !== undefined) throw new StepFailed(found.obstacle);
  return found;
}

async function treeChanges(ctx: Context, given: Given): Promise<Change[]> {
  const { path, mode, owner, group } = given;
  const differing = (await listTree(ctx, path)).filter((entry) => {
    if (entry.path === path) return false;
    if (owner !== undefined && owner !== entry.user && owner !== entry.uid) return true;
    if (group !== undefined && group !== entry.group && group !== entry.gid) return true;
    const kind = entry.bits & 0o170000;
    // chmod leaves links alone.
    if (mode === undefined || kind === 0o120000) return false;
    return modeAfter(mode, entry.bits & 0o7777, kind === 0o040000) !== (entry.bits & 0o7777);
  });
  if (differing.length === 0) return [];
  const shown = differing
    .slice(0, 20)
    .map((entry) => `${entry.path}\n`)
    .join('');
  const more = differing.length > 20 ? `and ${differing.length - 20} more\n` : '';
  return [{ what: `attributes of ${differing.length} in ${path}`, before: shown + more, after: '' }];
}

async function changesOf(
  ctx: Context,
  given: Given,
  found: Found,
  source: Found | undefined,
): Promise<Change[]> {
  const { path } = given;
  switch (given.state) {
    case 'absent':
      return found.kind === 'absent' ? [] : [kindChange(path, roomy(found), 'absent')];
    case 'link':
      return found.kind === 'link' && found.target === given.src
        ? []
        : [kindChange(path, roomy(found), `link to ${given.src}`)];
    case 'hard': {
      const isSame = found.identity !== '' && found.identity === source?.identity;
      return isSame
        ? attributeChanges(given, found)
        : [kindChange(path, roomy(found), `hard link to ${given.src}`)];
    }
    case 'directory': {
      if (found.kind === 'absent') {
        const made = await missingAbove(ctx, path);
        return [
          ...made.map((above) => ({ what: above, before: 'absent', after: 'directory' })),
          kindChange(path, found, 'directory'),
        ];
      }
      if (found.kind !== 'directory') throw new StepFailed(`${path} is no directory but a ${words(found)}`);
      const changes = attributeChanges(given, found);
      return given.recurse ? [...changes, ...(await treeChanges(ctx, given))] : changes;
    }
    case 'touch':
      if (found.kind === 'absent') return [kindChange(path, roomy(found), 'file')];
      return [
        ...(given.modification_time === 'now' ? [{ what: `times of ${path}`, after: 'now' }] : []),
        ...attributeChanges(given, found),
      ];
    case 'file':
      if (found.kind === 'absent') {
        throw new StepFailed(
          `there is no ${path}`,
          { path, state: 'absent' },
          { hint: 'state: touch or directory makes one' },
        );
      }
      return attributeChanges(given, found);
  }
}

/** Why a link cannot be made, with what stands in its way. */
async function linkable(ctx: Context, given: Given, found: Found, source: Found | undefined): Promise<void> {
  const { path, src = '', force } = given;
  if (source?.kind === 'absent' && (!force || given.state === 'hard'))
    throw new StepFailed(`there is no ${src} to link to`, {}, hintOf(given.state === 'link'));
  if (!force && found.kind !== 'absent' && found.kind !== 'link')
    throw new StepFailed(`${path} is there and is no link`, {}, { hint: 'force: true replaces it' });
  if (found.kind !== 'directory') return;
  const { code } = await ctx.sh('[ -z "$(ls -A -- "$1")" ]', { args: [path] });
  if (code !== 0) throw new StepFailed(`cannot replace the directory ${path}: Directory not empty`);
}

const hintOf = (isForceable: boolean) => (isForceable ? { hint: 'force: true links all the same' } : {});

async function check(ctx: Context, given: Given): Promise<Checked> {
  const { path, src = '', state: wanted } = given;
  const isLink = wanted === 'link' || wanted === 'hard';
  const isItself = wanted === 'absent' || isLink;
  const looks: Look[] = [{ path, isFollowed: !isItself, content: 'stat' }];
  // A link's own directory is where a relative path in it begins.
  if (isLink)
    looks.push({ path: resolve(dirname(path), src), isFollowed: wanted === 'link', content: 'stat' });
  const [found, source] = await lookAt(ctx, looks);
  if (found === undefined) throw new Error('a look gives a finding');
  const changes = await changesOf(ctx, given, found, source);
  if (isLink && changes.some(({ what }) => what === path)) await linkable(ctx, given, found, source);
  return { changes: await ownable(ctx, given, changes), result: fileResult(path, found) };
}

const LINK = `
fail() { printf '%s\\n' "$*" >&2; exit 1; }
kind=$1 path=$2 src=$3 force=$4
dir=\${path%/*}
cd -- "\${dir:-/}" 2>/dev/null || fail "there is no directory \${dir:-/}"
if [ "$force" != yes ]; then
  [ -e "$src" ] || fail "there is no $src to link to (force: true links all the same)"
  if [ -e "$path" ] && [ ! -L "$path" ]; then fail "$path is there and is no link (force: true replaces it)"; fi
fi
if [ -d "$path" ] && [ ! -L "$path" ]; then
  why=$(LC_ALL=C rmdir -- "$path" 2>&1) || fail "cannot replace the directory $path: \${why##*: }"
fi
flag=
[ "$kind" = link ] && flag=-s
new=\${dir}/.drillbook-link.$$
trap 'rm -f -- "$new"' EXIT
why=$(LC_ALL=C ln $flag -- "$src" "$new" 2>&1) || fail "cannot link $path: \${why##*: }"
[ -L "$path" ] && [ -d "$path" ] && rm -f -- "$path"
why=$(LC_ALL=C mv -f -- "$new" "$path" 2>&1) || fail "cannot put $path in place: \${why##*: }"`;

const TOUCH = `
fail() { printf '%s\\n' "$*" >&2; exit 1; }
dir=\${1%/*}
[ -d "\${dir:=/}" ] || fail "there is no directory $dir"
if [ -e "$1" ] && [ "$2" = preserve ]; then exit 0; fi
why=$(LC_ALL=C touch -- "$1" 2>&1) || fail "cannot touch $1: \${why##*: }"`;

const DRESS = `
recurse=
[ "$5" = yes ] && recurse=-R
fail() { printf '%s\\n' "$*" >&2; exit 1; }
if [ -n "$3$4" ]; then
  flags=$recurse
  [ -n "$recurse" ] && flags=-Rh
  why=$(LC_ALL=C chown $flags -- "$3\${4:+:$4}" "$1" 2>&1) || fail "cannot give $1 to $3\${4:+:$4}: \${why#*: }"
fi
if [ -n "$2" ]; then why=$(LC_ALL=C chmod $recurse -- "$2" "$1" 2>&1) || fail "cannot set the mode of $1: \${why##*: }"; fi`;

async function apply(ctx: Context, given: Given): Promise<Checked | undefined> {
  const { path } = given;
  switch (given.state) {
    case 'absent':
      await must(ctx, `cannot remove ${path}`, 'LC_ALL=C rm -rf -- "$1"', { args: [path] });
      return undefined;
    case 'link':
    case 'hard':
      await must(ctx, given.state === 'link' ? 'link' : 'hard link', LINK, {
        args: [given.state, path, given.src ?? '', given.force ? 'yes' : 'no'],
      });
      if (given.state === 'link') return undefined;
      break;
    case 'touch':
      await must(ctx, 'touch', TOUCH, { args: [path, given.modification_time] });
      break;
    case 'directory':
      await makeDirectories(ctx, [path], given);
      if (!given.recurse) return undefined;
      break;
    case 'file':
  }
  const mode = given.mode === undefined ? '' : chmodWord(given.mode);
  await must(ctx, given.state, DRESS, {
    args: [path, mode, given.owner ?? '', given.group ?? '', given.recurse ? 'yes' : 'no'],
  });
  return check(ctx, { ...given, modification_time: 'preserve' });
}

export default state({
  summary: 'Files, directories and links: that they are there or not, their mode and owner.',
  source: 'stat(1), chmod(1), chown(1), ln(1), inode(7)',
  params,
  shorthand: 'path',
  examples: `
- file: { path: /var/opt/scutech/dbackup3, state: directory, owner: root, group: root, mode: '0750' }
- file: { path: /etc/alternatives/my.cnf, state: link, src: /etc/mysql/mariadb.cnf }
- file: { path: /var/lib/dbackup3/old, state: absent }
`,
  returns: returnsOfFile,
  check,
  apply,
});
