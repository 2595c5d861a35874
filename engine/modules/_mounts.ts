import type { Context } from '../core/module.ts';
import { must } from './_sh.ts';

/** One line of /proc/self/mountinfo (proc(5)). */
export interface Mount {
  readonly device: string;
  readonly path: string;
  readonly options: readonly string[];
  readonly fstype: string;
  readonly source: string;
}

/** What is asked to be mounted, as the node knows it. */
interface Source {
  readonly kind: 'block' | 'file' | 'directory' | 'none';
  /** Where it is, through all links. */
  readonly real: string;
  /** `major:minor` of a block device. */
  readonly device: string;
  /** `device:inode`. */
  readonly identity: string;
  /** Kind of file system that blkid finds on it. */
  readonly fstype: string;
}

export interface Seen {
  /** The path without links. */
  readonly real: string;
  readonly kind: 'absent' | 'directory' | 'other';
  readonly identity: string;
  /** Names of some that are in it. */
  readonly holds: readonly string[];
  readonly source: Source;
  /** Mounts at the path, the one on top last. */
  readonly at: readonly Mount[];
  /** Where something is mounted below it. */
  readonly below: readonly string[];
  /** Loop devices: `/dev/loop0` → its file. */
  readonly loops: ReadonlyMap<string, string>;
}

// A file system whose server is gone would not answer: nothing is asked of what is only to be unmounted.
const LOOK = `LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
path=$1 source=$2
real=$(readlink -f -- "$path") && [ -n "$real" ] || real=$path
printf 'real\\t%s\\n' "$real"
if [ -n "$source" ]; then
  kind=absent
  if [ -d "$real" ]; then kind=directory; elif [ -e "$real" ] || [ -L "$real" ]; then kind=other; fi
  printf 'kind\\t%s\\t%s\\n' "$kind" "$(stat -L -c '%d:%i' -- "$real" 2>/dev/null)"
  [ "$kind" != directory ] || ls -A -- "$real" | head -n 4 | while IFS= read -r name; do printf 'holds\\t%s\\n' "$name"; done
  case $source in
  UUID=*|LABEL=*|PARTUUID=*|PARTLABEL=*) at=$(findfs "$source" 2>/dev/null || blkid -l -o device -t "$source" 2>/dev/null) ;;
  *) at=$source ;;
  esac
  at=$(readlink -f -- "$at" 2>/dev/null)
  kind=none device= fstype=
  if [ -b "$at" ]; then
    kind=block device=$(stat -c '%t %T' -- "$at")
    device=$((0x\${device% *})):$((0x\${device#* }))
    fstype=$(blkid -p -s TYPE -o value "$at" 2>/dev/null)
  elif [ -f "$at" ]; then kind=file
  elif [ -d "$at" ]; then kind=directory; fi
  printf 'source\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$kind" "$device" "$(stat -c '%d:%i' -- "$at" 2>/dev/null)" "$fstype" "$at"
  for loop in /sys/block/loop*/loop/backing_file; do
    [ ! -r "$loop" ] || { loop=\${loop%/loop/*} && printf 'loop\\t/dev/%s\\t%s\\n' "\${loop##*/}" "$(cat "$loop/loop/backing_file")"; }
  done
fi
while IFS= read -r line; do printf 'mount\\t%s\\n' "$line"; done </proc/self/mountinfo
exit 0`;

/** fstab(5) and the kernel write blanks as \040. */
export const unescaped = (text: string): string =>
  Buffer.from(
    Buffer.from(text)
      .toString('latin1')
      .replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  ).toString();

/** The same the other way. */
export const escaped = (text: string): string =>
  text.replaceAll(/[\\\s#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);

function parseMount(line: string): Mount {
  const [own = '', other = ''] = line.split(' - ');
  const [, , device = '', , path = '', options = ''] = own.split(' ');
  const [fstype = '', source = '', shared = ''] = other.split(' ');
  // A file system may be read-only though its mount is not.
  const all = shared.split(',').includes('ro') ? ['ro', ...options.split(',')] : options.split(',');
  return {
    device,
    path: unescaped(path),
    options: all.includes('ro') ? all.filter((one, i) => one !== 'rw' && all.indexOf(one) === i) : all,
    fstype,
    source: unescaped(source),
  };
}

/** What is at a path of the node, and what `source` is there, in one exchange; of the source only where one is given. */
export async function lookAtMount(ctx: Context, path: string, source = ''): Promise<Seen> {
  const said = await must(ctx, `what is mounted at ${path} cannot be told`, LOOK, {
    args: [path, source],
    isLook: true,
  });
  const lines = said.split('\n').map((line) => line.split('\t'));
  const of = (word: string): string[][] => lines.filter(([key]) => key === word).map(([, ...rest]) => rest);
  const real = of('real')[0]?.join('\t') ?? path;
  const [kind = 'absent', identity = ''] = of('kind')[0] ?? [];
  const [what = 'none', device = '', id = '', fstype = '', ...where] = of('source')[0] ?? [];
  const mounts = of('mount').map((fields) => parseMount(fields.join('\t')));
  return {
    real,
    kind: kind as Seen['kind'],
    identity,
    holds: of('holds').map((fields) => fields.join('\t')),
    source: { kind: what as Source['kind'], device, identity: id, fstype, real: where.join('\t') },
    at: mounts.filter((mount) => mount.path === real),
    below: mounts
      .map((mount) => mount.path)
      .filter((inner) => inner.startsWith(`${real.replace(/\/$/, '')}/`)),
    loops: new Map(of('loop').map(([name = '', ...file]) => [name, file.join('\t')])),
  };
}
