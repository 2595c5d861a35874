import type { FaultScripts } from '../lease.ts';

/**
 * `$1` a directory of the file system. Refused on the file system of `/` in a container, which is its machine's; the
 * last bytes go by small steps, and what others free meanwhile is taken too.
 */
const FILL = `dir=$1
[ -d "$dir" ] || { echo "$dir is no directory" >&2; exit 1; }
at=$(stat -f -c %T "$dir" 2>/dev/null)
case $at in overlayfs | overlay) echo "$dir is on the container's own overlay: filling it would fill the disk of its machine" >&2; exit 1 ;; esac
mount=$(df -P "$dir" | sed -n '2s/.*% //p')
if [ "$mount" = / ] && grep -qz '^container=' /proc/1/environ 2>/dev/null; then echo 'a container shares the disk of its machine' >&2; exit 1; fi
echo "$dir/.drillbook-\${AT##*/}" >"$AT/file"
read -r file <"$AT/file"
free=$(df -Pk "$dir" | awk 'NR == 2 { print $4 }')
fallocate -l "\${free}K" "$file" 2>/dev/null
for size in 1M 64K 4K 1K; do dd if=/dev/zero of="$file" bs="$size" oflag=append conv=notrunc 2>/dev/null; done
left=$(df -Pk "$dir" | awk 'NR == 2 { print $4 }')
[ "$left" -lt 1024 ] || { echo "$left KiB of $dir are free still" >&2; exit 1; }`;

const EMPTY = `[ -e "$AT/file" ] || exit 0
read -r file <"$AT/file" && rm -f "$file"`;

/** A file takes all that is left of a file system. */
export const fullDisk = (directory: string): FaultScripts => ({
  ...{ start: FILL, heal: EMPTY, args: [directory], isLasting: true },
});

const FREEZE = `dir=$1
[ -d "$dir" ] || { echo "$dir is no directory" >&2; exit 1; }
mount --bind "$dir" "$dir" && : >"$AT/bound" && mount -o remount,bind,ro "$dir"`;

const THAW = `[ -e "$AT/bound" ] || exit 0
{ umount "$1" || umount -l "$1"; } && rm -f "$AT/bound"`;

/** Laid over itself read-only: what is open already can be written on. */
export const readOnly = (directory: string): FaultScripts => ({
  start: FREEZE,
  heal: THAW,
  args: [directory],
});
