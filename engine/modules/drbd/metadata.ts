import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { BLOCK_DEVICE, contentsOf, refuseFull } from '../_block-device.ts';
import type { Contents } from '../_block-device.ts';
import { linesOf, succeeded } from '../_sh.ts';
import { ATTACHED, refuseOther } from './_attached.ts';
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
 * For each volume of resource `$1` on this node: `disk DEVICE BYTES`, and what is attached in its place (`other`), `metadata`
 * where it has some, or that it is kept elsewhere (`elsewhere`), that it lies where the disk ended once (`grown`), what the disk is in
 * use for and what is on it. Of a disk that is attached it is there, whatever can be read of it; where the node went down with
 * it, it can be read and not be dumped. Up and diskless is no sign of it: its disk may be another one by now.
 */
const LOOK = `${BLOCK_DEVICE}${ATTACHED}
resource=$1
disks=$(drbdadm sh-ll-dev "$resource") && metas=$(drbdadm sh-md-dev "$resource") || exit
volume=0
for disk in $disks; do
  path=$(readlink -f "$disk")
  [ -b "$path" ] || { echo "$disk is no block device" >&2; exit 1; }
  printf 'disk %s %s\\n' "$disk" "$(blockdev --getsize64 "$path")"
  now=$(attached "$volume")
  meta=$(printf '%s\\n' "$metas" | sed -n "$((volume + 1))p")
  if [ -n "$now" ]; then isOne "$now" "$disk" && echo metadata || echo "other $now"
  elif drbdadm get-gi "$resource/$volume" >/dev/null 2>&1 </dev/null; then echo metadata
  elif ! isOne "$meta" "$disk"; then echo "elsewhere $meta"
  # Said of metadata that is found, whether or not its activity log is applied (drbdmeta.c, meta_dump_md).
  elif drbdadm dump-md "$resource/$volume" 2>&1 </dev/null | grep -qE 'last known position|^Found meta data'; then echo grown
  else uses "$path" && holds "$path" || exit; fi
  volume=$((volume + 1))
done
`;

interface Disk extends Contents {
  readonly path: string;
  readonly bytes: number;
  readonly hasMetadata: boolean;
  readonly other: string | undefined;
  readonly elsewhere: string | undefined;
  readonly hasGrown: boolean;
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
      const value = (word: string): string | undefined =>
        lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1);
      return {
        ...{ path, bytes: Number(bytes), hasMetadata: lines.includes('metadata') },
        ...{ other: value('other'), elsewhere: value('elsewhere'), hasGrown: lines.includes('grown') },
        ...contentsOf(lines),
      };
    });
}

/** Fails where metadata would be written over what is wanted, or where nobody has looked. */
function refuse({ resource, overwrite }: Params, disk: Disk): void {
  if (disk.other !== undefined) refuseOther(resource, disk.other, disk.path);
  if (disk.hasMetadata) return;
  if (disk.elsewhere !== undefined)
    throw new StepFailed(
      `The metadata of ${disk.path} is to be on ${disk.elsewhere}, which is not looked at`,
      {},
      { hint: 'nothing was written; only `meta-disk internal` is made here, another by drbdadm create-md' },
    );
  if (disk.hasGrown)
    throw new StepFailed(
      `${disk.path} has metadata, where it ended before it grew`,
      {},
      { hint: 'nothing was written; `drbdadm up` moves it to the end, and all data is kept' },
    );
  refuseFull(disk.path, disk, overwrite);
}

/** `$1` volume, `$2` device whose signatures go first, if any. */
const MAKE = `[ $# = 1 ] || wipefs -aq "$2" || exit
exec drbdadm create-md --force "$1"`;

async function check(ctx: Context, params: Params): Promise<Checked> {
  const disks = await look(ctx, params.resource);
  const bare = disks.filter((disk) => !disk.hasMetadata);
  for (const disk of disks) refuse(params, disk);
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
  async apply(ctx, params) {
    const { resource, overwrite } = params;
    const disks = await look(ctx, resource);
    for (const disk of disks) refuse(params, disk);
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
