import { createHash, randomBytes } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import type { Change, Context } from '../core/module.ts';
import { lastLine, linesOf } from './_sh.ts';
import { modeAfter, modeText, zMode } from './_mode.ts';

/** Texts up to here are shown as a diff. */
const DIFF_BYTES = 256 * 1024;

/** A path on the node. */
export const zPath = z.string().regex(/^\//, { error: 'must be an absolute path' });

export const zOwner = z
  .union([z.string().min(1), z.number().int()])
  .transform(String)
  .optional();

/** What is at a path of the node. */
export interface Found {
  readonly kind: 'file' | 'directory' | 'link' | 'absent' | 'other';
  readonly mode: number;
  readonly user: string;
  readonly group: string;
  readonly uid: string;
  readonly gid: string;
  readonly size: number;
  /** `device:inode`. */
  readonly identity: string;
  readonly digest: string;
  /** Only where it was asked for. */
  readonly content: Buffer | undefined;
  readonly target: string | undefined;
  /** Why nothing can be put there now, in words. */
  readonly obstacle: string | undefined;
}

export interface Look {
  readonly path: string;
  /** Follow a link at the path itself. */
  readonly isFollowed?: boolean | undefined;
  /** `stat`: not even the digest; `none`: the digest; `diff`: the text where it differs from `wanted` and is small; `whole`. */
  readonly content?: 'stat' | 'none' | 'diff' | 'whole' | undefined;
  readonly wanted?: Uint8Array | undefined;
}

/** POSIX cksum, for nodes without sha256sum. */
function cksum(bytes: Uint8Array): string {
  let crc = 0;
  const feed = (byte: number): void => {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  };
  for (const byte of bytes) feed(byte);
  for (let length = bytes.length; length > 0; length = Math.floor(length / 256)) feed(length & 255);
  return `cksum:${~crc >>> 0}:${bytes.length}`;
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Whether `digest`, as a node gave it, is that of `bytes`. */
const isDigestOf = (digest: string, bytes: Uint8Array): boolean =>
  digest === (digest.startsWith('cksum:') ? cksum(bytes) : sha256(bytes));

/** Four lines: stat (or why not) and whether its directory lets anything be put there; digest; content; target of a link; the last two in base64. */
export const LOOK = `
encode() {
  if command -v base64 >/dev/null 2>&1; then base64 | tr -d '\\n'; else printf hex:; od -An -v -tx1 | tr -d ' \\n'; fi
}
sum() {
  if command -v sha256sum >/dev/null 2>&1; then set -- $(sha256sum <"$1"); digest=sha256:$1
  else set -- $(cksum <"$1"); digest=cksum:$1:$2; fi
}
room() {
  at=$1 room=
  if [ "$2" = yes ] && [ -L "$at" ]; then at=$(readlink -f -- "$at") || { room=missing; return; }; fi
  at=\${at%/*}
  if ! [ -d "\${at:=/}" ]; then room=missing; elif ! [ -w "$at" ]; then room=closed; fi
}
look() {
  room "$1" "$2"
  follow=
  [ "$2" = yes ] && follow=-L
  if ! seen=$(LC_ALL=C stat $follow -c '%f\t%U\t%G\t%u\t%g\t%s\t%d:%i' -- "$1" 2>&1); then
    printf 'none\\t%s\\t%s\\n-\\n-\\n-\\n' "\${seen##*: }" "$room"
    return
  fi
  printf '%s\\t%s\\n' "$seen" "$room"
  digest=- link=no
  if [ -z "$follow" ] && [ -L "$1" ]; then link=yes
  elif [ -f "$1" ] && [ "$4" != stat ]; then
    if [ -r "$1" ]; then sum "$1"; else digest=denied; fi
  fi
  printf '%s\\n' "$digest"
  if [ "$link" = yes ]; then printf -- '-\\n'; readlink -- "$1" | encode
  elif [ "$digest" = - ] || [ "$digest" = denied ] || [ "$4" = none ]; then printf -- '-\\n-'
  elif [ "$4" = whole ] || { [ "$digest" != "$3" ] && [ "$(wc -c <"$1")" -le ${DIFF_BYTES} ]; }; then
    encode <"$1"
    printf '\\n-'
  else printf -- '-\\n-'; fi
  echo
}
`;

const decode = (text: string): Buffer =>
  text.startsWith('hex:') ? Buffer.from(text.slice(4), 'hex') : Buffer.from(text, 'base64');

const KINDS: Readonly<Record<number, Found['kind']>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'link',
};

const ABSENT: Found = {
  kind: 'absent',
  mode: 0,
  user: '',
  group: '',
  uid: '',
  gid: '',
  size: 0,
  identity: '',
  digest: '',
  content: undefined,
  target: undefined,
  obstacle: undefined,
};

function obstacleAt(path: string, room: string): string | undefined {
  const dir = path.replace(/\/[^/]*$/, '') || '/';
  if (room === 'missing') return `there is no directory ${dir}`;
  return room === 'closed' ? `cannot write in ${dir}: Permission denied or read-only` : undefined;
}

/** Reads what `look` printed for `path`. Throws where the node may not look. */
export function parseLook(
  path: string,
  [seen = '', digest = '', content = '-', target = '-']: readonly string[],
): Found {
  const [raw = '', user = '', group = '', uid = '', gid = '', size = '', identity = '', room = ''] =
    seen.split('\t');
  if (raw === 'none') {
    if (/No such file|Not a directory/.test(user)) return { ...ABSENT, obstacle: obstacleAt(path, group) };
    throw new StepFailed(`cannot look at ${path}: ${user}`);
  }
  if (digest === 'denied') throw new StepFailed(`cannot read ${path}: Permission denied`);
  const bits = Number.parseInt(raw, 16);
  if (Number.isNaN(bits)) throw new StepFailed(`cannot look at ${path}: the node's stat says "${seen}"`);
  const kind = KINDS[bits & 0o170000] ?? 'other';
  return {
    kind,
    mode: bits & 0o7777,
    user,
    group,
    uid,
    gid,
    size: Number(size),
    identity,
    digest,
    // An empty file's content is an empty line.
    content: content === '-' ? undefined : decode(content),
    target: target === '-' ? undefined : decode(target).toString().replace(/\n$/, ''),
    obstacle: obstacleAt(path, room),
  };
}

/** Looks at all the paths in one exchange. */
export async function lookAt(ctx: Context, looks: readonly Look[]): Promise<readonly Found[]> {
  const script = `${LOOK}
while [ $# -gt 0 ]; do look "$1" "$2" "$3" "$4"; shift 4; done`;
  const args = looks.flatMap(({ path, isFollowed, content = 'none', wanted }) => [
    path,
    isFollowed === true ? 'yes' : 'no',
    wanted === undefined ? '' : sha256(wanted),
    content,
  ]);
  const said = await ctx.sh(script, { args });
  const lines = said.stdout.split('\n');
  if (said.code !== 0 || lines.length < looks.length * 4) {
    throw new StepFailed(
      `cannot look at ${looks[0]?.path ?? 'the files'}: ${lastLine(said.stderr) || `exit code ${said.code}`}`,
    );
  }
  return looks.map(({ path }, i) => parseLook(path, lines.slice(i * 4, i * 4 + 4)));
}

/** What a file shall be; what is left out stays as it is. */
export interface Wanted {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode?: string | undefined;
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
  readonly isFollowed?: boolean | undefined;
  readonly isBackedUp?: boolean | undefined;
  /** Its directory is made before it. */
  readonly isRoomMade?: boolean | undefined;
  /** Words of the program that judges the new file; `%s` in them is its path. */
  readonly validate?: readonly string[] | undefined;
}

const isText = (bytes: Uint8Array): boolean => !bytes.includes(0) && isUtf8(bytes);
const shown = (bytes: Uint8Array | undefined): string | undefined =>
  bytes !== undefined && bytes.length <= DIFF_BYTES && isText(bytes)
    ? Buffer.from(bytes).toString()
    : undefined;

const sizeText = (bytes: number): string =>
  bytes < 10_240 ? `${bytes} B` : `${Math.round(bytes / 1024)} KiB`;

function contentChange(path: string, found: Found, content: Uint8Array): Change {
  const after = shown(content);
  const what = `content of ${path}`;
  if (found.kind !== 'file') {
    return after === undefined
      ? { what, after: `(${sizeText(content.length)}, not shown)` }
      : { what, after };
  }
  const before = shown(found.content);
  if (before !== undefined && after !== undefined) return { what, before, after };
  const kind =
    (found.content !== undefined && !isText(found.content)) || !isText(content)
      ? 'binary'
      : 'too long for a diff';
  return {
    what,
    before: `(${sizeText(found.size)}, ${kind})`,
    after: `(${sizeText(content.length)}, ${kind})`,
  };
}

/** Where mode, owner and group differ. */
export function attributeChanges(
  { path, mode, owner, group }: Pick<Wanted, 'path' | 'mode' | 'owner' | 'group'>,
  found: Found,
): Change[] {
  const changes: Change[] = [];
  if (mode !== undefined) {
    const after = modeAfter(mode, found.mode, found.kind === 'directory');
    if (after !== found.mode)
      changes.push({ what: `mode of ${path}`, before: modeText(found.mode), after: modeText(after) });
  }
  if (owner !== undefined && owner !== found.user && owner !== found.uid) {
    changes.push({ what: `owner of ${path}`, before: found.user, after: owner });
  }
  if (group !== undefined && group !== found.group && group !== found.gid) {
    changes.push({ what: `group of ${path}`, before: found.group, after: group });
  }
  return changes;
}

export const isSameContent = (found: Found, content: Uint8Array): boolean =>
  found.kind === 'file' && isDigestOf(found.digest, content);

/** All that differs; throws where a directory or device is in the way. */
export function fileChanges(wanted: Wanted, found: Found): Change[] {
  const { path, content } = wanted;
  if (found.kind === 'directory')
    throw new StepFailed(
      `${path} is a directory, not a file`,
      {},
      { hint: 'end `dest` with / to copy into it' },
    );
  if (found.kind === 'other') throw new StepFailed(`${path} is a device, pipe or socket, not a file`);
  if (found.obstacle !== undefined && wanted.isRoomMade !== true && !isSameContent(found, content))
    throw new StepFailed(found.obstacle);
  if (found.kind !== 'file') {
    const changes = [contentChange(path, found, content)];
    if (found.kind === 'link')
      changes.unshift({ what: `kind of ${path}`, before: `link to ${found.target}`, after: 'file' });
    return changes;
  }
  const attributes = attributeChanges(wanted, found);
  return isSameContent(found, content) ? attributes : [contentChange(path, found, content), ...attributes];
}

// The new file is whole, judged and has its owner and mode before its rename makes it the one that is read.
const PLACE = `${LOOK}
fail() { printf '%s\\n' "$*" >&2; exit 1; }
path=$1 follow=$2 mode=$3 owner=$4 group=$5 stamp=$6 sha=$7 bytes=$8 was=$9
shift 9
token=$1
shift
if [ "$follow" = yes ] && [ -L "$path" ]; then
  real=$(readlink -f -- "$path") || fail "cannot follow the link $path"
else real=$path; fi
dir=\${real%/*}
[ -d "\${dir:=/}" ] || fail "there is no directory $dir"
old=
if [ -f "$real" ] && [ ! -L "$real" ]; then
  if [ -n "$was" ]; then sum "$real"; [ "$digest" = "$was" ] || fail "$path was changed by someone else in this moment"; fi
  old=$(stat -c '%a %u %g' -- "$real")
  rest=\${old#* }
  : "\${mode:=\${old%% *}}" "\${owner:=\${rest% *}}" "\${group:=\${rest#* }}"
elif [ -d "$real" ] && [ ! -L "$real" ]; then fail "$path is a directory, not a file"
elif [ "$was" = absent ] && [ -e "$real" ] && [ ! -L "$real" ]; then fail "$path was made by someone else in this moment"
fi
: "\${mode:=$(printf '%o' $((0666 & ~0$(umask))))}"
umask 077
tmp=\${dir%/}/.drillbook.$token
# noclobber: the file is made by us (O_EXCL), or the name is taken and nothing is touched.
why=$({ LC_ALL=C; set -C; : >"$tmp"; } 2>&1) || fail "cannot write in $dir: \${why##*: }"
trap 'rm -f -- "$tmp"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
why=$(LC_ALL=C cat 2>&1 >"$tmp") || fail "cannot write $path: \${why##*: }"
# Without it a power failure can leave an empty file under the new name. It runs beside what comes before the rename.
sync "$tmp" >/dev/null 2>&1 &
syncing=$!
sum "$tmp"
case $digest in
sha256:*) [ "$digest" = "$sha" ] ;;
*) [ "\${digest##*:}" = "$bytes" ] ;;
esac || fail "cannot write $path: it did not arrive whole"
if [ -n "$owner$group" ]; then
  why=$(LC_ALL=C chown -- "$owner\${group:+:$group}" "$tmp" 2>&1) || fail "cannot give $path to $owner\${group:+:$group}: \${why#*: }"
fi
why=$(LC_ALL=C chmod -- "$mode" "$tmp" 2>&1) || fail "cannot set the mode of $path: \${why##*: }"
if [ $# -gt 0 ]; then
  left=$#
  while [ "$left" -gt 0 ]; do
    word=$1
    shift
    case $word in *%s*) word=\${word%%\\%s*}$tmp\${word#*\\%s} ;; esac
    set -- "$@" "$word"
    left=$((left - 1))
  done
  why=$("$@" 2>&1 </dev/null) || { printf '%s\\n' "$why" >&2; exit 65; }
fi
if [ -n "$old" ] && [ -n "$stamp" ]; then
  why=$(LC_ALL=C cp -p -- "$real" "$real.$stamp~" 2>&1) || { rm -f -- "$real.$stamp~"; fail "cannot keep a backup of $path: \${why##*: }"; }
  backup=$real.$stamp~
fi
wait "$syncing" || :
# mv would go through a link to a directory.
if [ -L "$real" ] && [ -d "$real" ]; then rm -f -- "$real"; fi
why=$(LC_ALL=C mv -f -- "$tmp" "$real" 2>&1) || fail "cannot put $path in place: \${why##*: }"
trap - EXIT
if command -v restorecon >/dev/null 2>&1; then restorecon -- "$real" >/dev/null 2>&1 || :; fi
kept=$digest
look "$real" no - stat | { read -r line; printf '%s\\n%s\\n-\\n-\\n' "$line" "$kept"; }
printf '%s' "\${backup-}"`;

const ADJUST = `${LOOK}
fail() { printf '%s\\n' "$*" >&2; exit 1; }
path=$1 mode=$2 owner=$3 group=$4
if [ -n "$owner$group" ]; then
  why=$(LC_ALL=C chown -- "$owner\${group:+:$group}" "$path" 2>&1) || fail "cannot give $path to $owner\${group:+:$group}: \${why#*: }"
fi
if [ -n "$mode" ]; then
  why=$(LC_ALL=C chmod -- "$mode" "$path" 2>&1) || fail "cannot set the mode of $path: \${why##*: }"
fi
look "$path" yes - none`;

/** `20261121-042500`, in UTC: sorts by time, and holds nothing a shell minds. */
const stamp = (): string =>
  new Date()
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replaceAll(/[-:]/g, '')
    .replace('T', '-');

export interface Placed {
  readonly found: Found;
  readonly backup: string | undefined;
}

/** Makes the file what is wanted, in one exchange, and looks again; on any failure the old file is untouched. */
export async function place(ctx: Context, wanted: Wanted, found: Found): Promise<Placed> {
  const { path, content, mode, owner = '', group = '', validate = [] } = wanted;
  const bits =
    mode === undefined ? '' : modeText(modeAfter(mode, found.kind === 'file' ? found.mode : 0o644, false));
  const isOnlyAdjusted = isSameContent(found, content);
  const said = isOnlyAdjusted
    ? await ctx.sh(ADJUST, { args: [path, bits, owner, group] })
    : await ctx.sh(PLACE, {
        args: [
          path,
          wanted.isFollowed === true ? 'yes' : 'no',
          bits,
          owner,
          group,
          wanted.isBackedUp === true ? stamp() : '',
          sha256(content),
          String(content.length),
          found.kind === 'file' ? found.digest : found.kind,
          randomBytes(9).toString('base64url'),
          ...validate,
        ],
        stdin: content,
      });
  if (said.code === 65) {
    // The last line is often only that it gave up.
    const cause = linesOf(said.stderr.trim()).slice(-3).join(' · ') || 'without saying why';
    const program = validate.join(' ');
    throw new StepFailed(
      `\`${program.length > 60 ? `${program.slice(0, 59)}…` : program}\` refused the new ${path}: ${cause}`,
      { path, stderr: said.stderr, stderr_lines: linesOf(said.stderr) },
      { hint: 'the old file is untouched' },
    );
  }
  if (said.code !== 0) {
    throw new StepFailed(lastLine(said.stderr) || `cannot write ${path}: exit code ${said.code}`, {
      path,
      stderr: said.stderr,
    });
  }
  const lines = said.stdout.split('\n');
  return { found: parseLook(path, lines), backup: lines.slice(4).join('\n') || undefined };
}

/** What is known of a file, for `register`. */
export const fileResult = (path: string, found: Found, backup?: string): Record<string, unknown> => ({
  path,
  dest: path,
  state: found.kind,
  ...(found.kind === 'absent'
    ? {}
    : {
        mode: modeText(found.mode),
        owner: found.user,
        group: found.group,
        uid: Number(found.uid),
        gid: Number(found.gid),
        size: found.size,
      }),
  ...(found.digest.startsWith('sha256:') ? { checksum: found.digest.slice('sha256:'.length) } : {}),
  ...(backup === undefined ? {} : { backup_file: backup }),
});

/** What `fileResult` gives; of what is not there, path and state alone. */
export const returnsOfFile = {
  path: z.string().meta({ isLasting: true }).describe('path on the node'),
  dest: z.string().meta({ isLasting: true }).describe('the same'),
  state: z.enum(['file', 'directory', 'link', 'absent', 'other']).describe('what is there'),
  mode: z.string().optional().describe("access rights, as '0644'"),
  owner: z.string().optional().describe('name of the owner'),
  group: z.string().optional().describe('name of the group'),
  uid: z.int().optional().describe('number of the owner'),
  gid: z.int().optional().describe('number of the group'),
  size: z.int().optional().describe('in bytes'),
  checksum: z.string().optional().describe('SHA-256 of the content of a file'),
  backup_file: z.string().optional().describe('where the old file was kept, when `backup` asked for it'),
};

export const fileParams = {
  mode: zMode
    .optional()
    .describe(
      "Access rights: '0644' (in quotes) or 'u=rw,g=r,o='. Default: as it is; 0666 less umask for a new file.",
    ),
  owner: zOwner.describe('User who shall own it: name or number (default: as it is).'),
  group: zOwner.describe('Group that shall own it: name or number (default: as it is).'),
  backup: z.boolean().default(false).describe('Keep the old file as PATH.TIME~ (default false).'),
  validate: z
    .string()
    .refine((text) => text.includes('%s'), { error: 'must hold %s, which becomes the path of the new file' })
    .optional()
    .describe(
      'Program of the node that judges the new file before it is swapped in; %s is its path. Words as in `command`.',
    ),
};
