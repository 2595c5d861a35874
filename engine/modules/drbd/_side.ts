import { Unreachable } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { BLOCK_DEVICE } from '../_block-device.ts';
import { lastWords } from '../_sh.ts';
import type { Generations } from './_generations.ts';
import { parseGenerations } from './_generations.ts';
import type { Resource } from './_status.ts';
import { parseEvents } from './_status.ts';

/** What one node of a pair says of a resource; JSON. */
export interface Side {
  readonly name: string;
  /** Why nothing is known of it; left out where something is. */
  readonly silence?: string | undefined;
  /** Undefined where the resource is down. */
  readonly resource?: Resource | undefined;
  /** Volume by volume; none where one of them does not tell its own. */
  readonly generations: readonly Generations[];
  /** What its device is in use for. */
  readonly uses: readonly string[];
  readonly hasVip: boolean;
  /** Seconds ago by the node's own clock; undefined where the file system does not tell. */
  readonly writtenAgo?: number | undefined;
  readonly mountedAgo?: number | undefined;
  /**
   * What it does by itself after a split, by how many of the nodes are primary then: what its kernel goes by while it looks
   * for its peer. Left out is `disconnect`, which asks the operator.
   */
  readonly policies?: Readonly<Record<string, string>> | undefined;
  /** What the kernel said of splits and roles: a hint, no proof. */
  readonly log: readonly string[];
}

/** Of `$resource`, as its kernel has them: those of the file, with what they inherit. */
export const POLICIES = `drbdsetup show "$resource" 2>/dev/null | sed -n 's/^[[:blank:]]*after-sb-\\([012]\\)pri[[:blank:]]*\\([a-z0-9-]*\\);.*/policy \\1 \\2/p'`;

/**
 * `$1` resource, `$2` virtual address or nothing. The first 4 KiB of a disk go past the page cache, which knows nothing
 * of what DRBD writes under it.
 */
const READ = `${BLOCK_DEVICE}
resource=$1
devices=$(drbdadm sh-dev "$resource") && disks=$(drbdadm sh-ll-dev "$resource") || exit
echo "now $(date +%s)"
if [ -n "$2" ] && ip -o addr show | grep -qF " $2/"; then echo vip; fi
volume=0
for device in $devices; do
  echo "gi $(drbdadm get-gi "$resource/$volume" 2>/dev/null)"
  device=$(readlink -f "$device")
  [ ! -b "$device" ] || uses "$device"
  volume=$((volume + 1))
done
for disk in $disks; do
  echo "superblock $(dd if="$disk" bs=4096 count=1 iflag=direct 2>/dev/null | od -An -v -tu1 | tr -s '\\n ' ' ')"
done
${POLICIES}
dmesg --time-format iso 2>/dev/null | grep -F "drbd $resource" |
  grep -E 'Split-Brain|Unrelated data|I shall become Sync|uuid_compare|role\\( ' | tail -n 6 | sed 's/^/log /'
[ ! -e /proc/drbd ] || drbdsetup events2 --now --statistics
`;

/** When ext2–4 say that they were mounted and written last (s_mtime, s_wtime of their superblock), in seconds. */
function timesOf(bytes: readonly number[]): { mounted: number; written: number } | undefined {
  const at = (offset: number): number => bytes[1024 + offset] ?? 0;
  const seconds = (low: number, high: number): number =>
    at(low) + at(low + 1) * 2 ** 8 + at(low + 2) * 2 ** 16 + at(low + 3) * 2 ** 24 + at(high) * 2 ** 32;
  if (at(0x38) !== 0x53 || at(0x39) !== 0xef) return undefined;
  return { mounted: seconds(0x2c, 0x275), written: seconds(0x30, 0x274) };
}

export function parseSide(name: string, text: string, resource: string): Side {
  const lines = text.split('\n').map((line) => line.trim());
  // An empty line counts: those of several volumes would else be taken for each other's.
  const generations = lines.flatMap((line) => (/^gi\b/.test(line) ? [parseGenerations(line.slice(3))] : []));
  const told = (word: string): string[] =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  const now = Number(told('now')[0]);
  const times = told('superblock').flatMap((line) => timesOf(line.trim().split(' ').map(Number)) ?? []);
  const ago = (seconds: number | undefined): number | undefined =>
    seconds === undefined || seconds === 0 ? undefined : Math.max(0, now - seconds);
  return {
    name,
    resource: parseEvents(text).find((one) => one.name === resource),
    generations: generations.every((one) => one !== undefined) ? generations : [],
    uses: told('use'),
    hasVip: lines.includes('vip'),
    writtenAgo: ago(times[0]?.written),
    mountedAgo: ago(times[0]?.mounted),
    policies: Object.fromEntries(told('policy').map((line) => line.split(' '))) as Record<string, string>,
    log: told('log'),
  };
}

/** One exchange; a node that does not answer is a side of which nothing is known. */
export async function readSide(ctx: Context, resource: string, vip: string): Promise<Side> {
  const { name } = ctx.host;
  const silent = (silence: string): Side => ({
    name,
    silence,
    generations: [],
    uses: [],
    hasVip: false,
    log: [],
  });
  try {
    const said = await ctx.sh(READ, { args: [resource, vip], isLook: true });
    return said.code === 0 ? parseSide(name, said.stdout, resource) : silent(lastWords(said));
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return silent(error.message);
  }
}
