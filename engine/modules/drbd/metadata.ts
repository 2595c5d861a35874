import { z } from 'zod';
import type { Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { BLOCK_DEVICE, contentsOf, refuseFull } from '../_block-device.ts';
import type { Contents } from '../_block-device.ts';
import { linesOf, succeeded } from '../_sh.ts';
import { resourceName } from './_status.ts';

const params = z.strictObject({
  resource: resourceName,
  overwrite: z
    .boolean()
    .default(false)
    .describe(
      'Also where the device holds data, which is lost then; asks the operator. Never where it is in use',
    ),
});
type Params = z.output<typeof params>;

/**
 * For each volume of resource `$1` on this node: `disk DEVICE BYTES`, `metadata` where it has some, what it is in use for
 * and what is on it. Of a resource that is up it is there, whatever can be read of it; where the node went down with it, it can be
 * read and not be dumped. Up and diskless is no sign of it: its disk may be another one by now.
 */
const LOOK = `${BLOCK_DEVICE}
resource=$1
disks=$(drbdadm sh-ll-dev "$resource") || exit
events=
[ ! -e /proc/drbd ] || events=$(drbdsetup events2 --now) || exit
seen() { printf '%s\n' "$events" | grep -q "^exists $1"; }
isThere() { seen "resource name:$resource " && ! seen "device name:$resource volume:$1 .*disk:Diskless"; }
volume=0
for disk in $disks; do
  path=$(readlink -f "$disk")
  [ -b "$path" ] || { echo "$disk is no block device" >&2; exit 1; }
  printf 'disk %s %s\\n' "$disk" "$(blockdev --getsize64 "$path")"
  if isThere "$volume" || drbdadm get-gi "$resource/$volume" >/dev/null 2>&1 </dev/null; then echo metadata
  else uses "$path" && holds "$path" || exit; fi
  volume=$((volume + 1))
done
`;

interface Disk extends Contents {
  readonly path: string;
  readonly bytes: number;
  readonly hasMetadata: boolean;
}

async function look(ctx: Context, resource: string): Promise<readonly Disk[]> {
  const said = await ctx.sh(LOOK, { args: [resource], isLook: true });
  const text = succeeded(`The disks of ${resource} cannot be looked at`, said);
  return text
    .split(/^disk /m)
    .slice(1)
    .map((part) => {
      const [head = '', ...lines] = linesOf(part);
      const [path = '', bytes] = head.split(' ');
      return { path, bytes: Number(bytes), hasMetadata: lines.includes('metadata'), ...contentsOf(lines) };
    });
}

/** `$1` volume, `$2` device whose signatures go first, if any. */
const MAKE = `[ $# = 1 ] || wipefs -aq "$2" || exit
exec drbdadm create-md --force "$1"`;

async function check(ctx: Context, params: Params): Promise<Checked> {
  const disks = await look(ctx, params.resource);
  const bare = disks.filter((disk) => !disk.hasMetadata);
  for (const disk of bare) refuseFull(disk.path, disk, params.overwrite);
  return {
    changes: bare.map(({ path }) => ({
      what: `metadata of ${params.resource} on ${path}`,
      before: 'none',
      after: 'new',
    })),
    result: { disks: disks.map(({ path, bytes }) => ({ path, bytes })) },
  };
}

export default state({
  summary:
    'The disks of a DRBD resource have metadata on this node; what is on a disk is never written over by accident',
  source: 'drbdadm(8), drbdmeta(8), blkid(8)',
  params,
  shorthand: 'resource',
  examples: `
- name: Metadata of DRBD
  drbd.metadata: drbd3
`,
  returns: {
    disks: z
      .array(z.object({ path: z.string(), bytes: z.number() }))
      .describe('Disks of the resource on this node, and their sizes in bytes'),
  },
  destroys: ({ resource, overwrite }) =>
    overwrite ? `what is on the disks of ${resource} that have no metadata of DRBD` : undefined,
  check,
  async apply(ctx, { resource, overwrite }) {
    const disks = await look(ctx, resource);
    for (const disk of disks) if (!disk.hasMetadata) refuseFull(disk.path, disk, overwrite);
    // Volume by volume: one that has metadata keeps it.
    for (const [volume, disk] of disks.entries()) {
      if (disk.hasMetadata) continue;
      // Whatever --force says, drbdmeta refuses a file system that metadata at the end of the device would cut off.
      const clear = overwrite && disk.holds.length > 0 ? [disk.path] : [];
      const said = await ctx.job(MAKE, { args: [`${resource}/${volume}`, ...clear] });
      succeeded(`No metadata was made on ${disk.path}`, said);
    }
    return undefined;
  },
});
