import { z } from 'zod';
import { bytesText } from '../../core/bytes.ts';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { linesOf, must } from '../_sh.ts';

export const zCompress = z
  .enum(['none', 'gzip', 'zstd'])
  .default('none')
  .describe(
    'none: a sparse image that mounts as it is (`mount -o loop,ro`); else smaller, and slower to get at',
  );
export type Compress = z.output<typeof zCompress>;

const ENDS: Readonly<Record<Compress, string>> = { none: '', gzip: '.gz', zstd: '.zst' };

/** A copy's own name tells whose data it is: no later one takes its place. */
export const copyName = (resource: string, node: string, generation: string, compress: Compress): string =>
  `${resource}-${node}-${generation}.img${ENDS[compress]}`;

/**
 * `$1` folder, `$2` resource, `$3` bytes of the device, `$4` none, gzip or zstd. Says what the copy may take and what there
 * is. What compressing takes is told by 64 pieces from all over the disk.
 */
const ROOM = `
folder=$1 bytes=$3 compress=$4
[ "$compress" = none ] || command -v "$compress" >/dev/null || { echo "$compress is not installed"; exit 1; } >&2
while [ ! -d "$folder" ]; do
  [ ! -e "$folder" ] || { echo "$folder is no directory" >&2; exit 1; }
  folder=$(dirname "$folder")
done
echo "kind $(stat -f -c %T "$folder")"
echo "free $(df -P -B1 "$folder" | tail -n 1 | tr -s ' ' | cut -d' ' -f4)"
if [ "$compress" = none ]; then echo "needs $bytes"; exit 0; fi
disk=$(drbdadm sh-ll-dev "$2") || exit
piece=65536 step=$((bytes / 64 / 65536)) i=0 sum=0
while [ $i -lt 64 ]; do
  size=$(dd if="$disk" iflag=direct bs=$piece skip=$((i * step)) count=1 2>/dev/null | "$compress" -c | wc -c)
  sum=$((sum + size)) i=$((i + 1))
done
echo "needs $((bytes / 64 / piece * sum * 5 / 4 + 1048576))"
`;

/** Refuses a folder that has no room for a copy, or would not keep it. */
export async function checkRoom(
  ctx: Context,
  {
    folder,
    resource,
    bytes,
    compress,
  }: Readonly<Record<'folder' | 'resource', string>> & {
    readonly bytes: number;
    readonly compress: Compress;
  },
): Promise<void> {
  const args = [folder, resource, String(bytes), compress];
  const said = await must(ctx, `No copy can be saved in ${folder}`, ROOM, { args, isLook: true });
  const told = new Map(linesOf(said).map((line) => line.split(' ') as [string, string]));
  const kind = told.get('kind') ?? '';
  const [free, needs] = [Number(told.get('free')), Number(told.get('needs'))];
  const hint = 'nothing was changed; give another folder with `save_to`';
  if (['tmpfs', 'ramfs'].includes(kind))
    throw new StepFailed(
      `${folder} on ${ctx.host.name} is in memory, and would be gone after a reboot`,
      {},
      { hint },
    );
  if (!(free >= needs))
    throw new StepFailed(
      `${folder} on ${ctx.host.name} has ${bytesText(free)} free, and the copy needs ${bytesText(needs)}`,
      { free, needs },
      { hint: compress === 'none' ? `${hint}, or \`compress\`` : hint },
    );
}

/**
 * Shell: \`copy DISK BYTES FILE COMPRESS\` copies a disk past the page cache, which knows nothing of what DRBD writes
 * under it, and reads the copy again from its disk: both checksums are one, or it fails. The name is given last.
 */
export const COPY = `
pack() { case $4 in
  none) dd of="$3" bs=1M iflag=fullblock conv=sparse status=none && truncate -s "$2" "$3" ;;
  *) "$4" -c >"$3" ;;
esac; }
unpack() { case $2 in none) cat "$1" ;; *) "$2" -dc "$1" ;; esac; }
sum() { sha256sum | cut -d' ' -f1; }
copy() {
  part="$3.part"
  mkfifo "$at/pipe" || return
  sum <"$at/pipe" >"$at/sum" &
  summing=$!
  while sleep 1; do
    printf 'copied %s\\n' "$(tr '\\r' '\\n' <"$at/told" 2>/dev/null | tail -n 1 | cut -d' ' -f1)"
  done &
  telling=$!
  { dd if="$1" iflag=direct,fullblock,count_bytes bs=1M count="$2" status=progress 2>"$at/told"
    echo $? >"$at/read"; } | tee "$at/pipe" | pack "$1" "$2" "$part" "$4"
  packed=$?
  wait $summing
  kill $telling
  [ $packed = 0 ] && [ "$(cat "$at/read")" = 0 ] || { tail -n 1 "$at/told" >&2; return 1; }
  sync "$part" || return
  # Off the page cache, so that what is read is what the disk has (dd(1), nocache).
  dd if="$part" iflag=nocache count=0 status=none
  [ "$(unpack "$part" "$4" | sum)" = "$(cat "$at/sum")" ] ||
    { echo 'the copy is not what was read' >&2; return 1; }
  stored=$(cat "$at/sum")
  [ "$4" = none ] || stored=$(sum <"$part")
  printf '%s  %s\\n' "$stored" "\${3##*/}" >"$3.sha256" && mv -f "$part" "$3" && sync "$3" "$3.sha256" "\${3%/*}"
}
# What is in a copy, and whether it mounts: its journal is left as it is.
try() {
  type=$(blkid -p -s TYPE -o value "$1" 2>/dev/null)
  case $type in
    ext*) options=noload ;;
    xfs) options=norecovery,nouuid ;;
    *) echo "holds \${type:-no file system}"; return ;;
  esac
  mkdir "$at/try"
  if mount -t "$type" -o "ro,loop,$options" "$1" "$at/try" && ls -A "$at/try" >/dev/null; then
    echo "holds $type"; echo mounts
  else echo "holds $type"; fi
  umount "$at/try" 2>/dev/null
}
`;
