import { StepFailed } from '../core/error.ts';

/**
 * Shell: `uses PATH` prints a line `use TEXT` for all that a block device is in use for, `holds PATH` a line `holds TEXT`
 * where anything is on it, known to blkid(8) or not; an error where it cannot be read. With other programs of these names
 * (busybox) what is in use or full would look free.
 */
export const BLOCK_DEVICE = `
case $(blkid -V 2>&1; command -v findmnt) in *util-linux*findmnt*) ;; *) echo 'blkid and findmnt of util-linux are needed' >&2; exit 1 ;; esac
uses() {
  findmnt -rno TARGET -S "$1" | sed 's/^/use it is mounted at /'
  if grep -q "^$1 " /proc/swaps; then echo 'use it is swap'; fi
  for holder in /sys/class/block/"\${1##*/}"/holders/*; do [ ! -e "$holder" ] || echo "use \${holder##*/} is on it"; done
}
holds() {
  for part in /sys/class/block/"\${1##*/}"/"\${1##*/}"*; do [ ! -e "$part" ] || echo "holds the partition \${part##*/}"; done
  signature=$(blkid -p -s TYPE -s PTTYPE -s LABEL -s UUID -o export "$1" 2>/dev/null | grep -v '^DEVNAME=' | tr '\\n' ' ')
  if [ -n "$signature" ]; then echo "holds $signature"; return; fi
  bytes=$(head -c 1048576 "$1" | tr -d '\\0' | wc -c)
  [ "$(dd if="$1" bs=512 count=1 2>/dev/null | wc -c)" = 512 ] || { echo "$1 cannot be read" >&2; return 1; }
  [ "$bytes" = 0 ] || echo 'holds something that has no signature'
}
`;

/** What is on a block device, and what it is in use for, in words. */
export interface Contents {
  readonly uses: readonly string[];
  readonly holds: readonly string[];
}

/** The texts of lines that begin with `use` or `holds`. */
export const contentsOf = (lines: readonly string[]): Contents => {
  const texts = (word: string): string[] =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1).trim());
  return { uses: texts('use'), holds: texts('holds') };
};

/** Fails where something would be written over what is wanted, or is not known to be unwanted. */
export function refuseFull(device: string, { uses, holds }: Contents, mayOverwrite: boolean): void {
  const [use] = uses;
  if (use !== undefined)
    throw new StepFailed(
      `${device} is in use: ${use}`,
      {},
      { hint: 'nothing was written; is it the right one?' },
    );
  if (holds.length > 0 && !mayOverwrite)
    throw new StepFailed(
      `${device} is not empty: it holds ${holds.join(', ')}`,
      {},
      {
        hint: 'nothing was written; is it the right one? `overwrite: true` destroys what is on it, after a confirmation',
      },
    );
}
