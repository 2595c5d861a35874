import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import type { Checked, Context } from '../core/module.ts';
import { state } from '../core/module.ts';
import { BLOCK_DEVICE, contentsOf, refuseFull } from './_block-device.ts';
import { linesOf, succeeded } from './_sh.ts';

const params = z.strictObject({
  device: z.string().startsWith('/dev/').describe('Block device'),
  type: z.enum(['ext4', 'xfs']).default('ext4').describe('Kind of file system'),
  label: z.string().min(1).max(12).optional().describe('Name of a new file system'),
  overwrite: z
    .boolean()
    .default(false)
    .describe(
      'Also where the device holds something else, which is lost then; asks the operator. Never where it is in use',
    ),
});
type Params = z.output<typeof params>;

const LOOK = `${BLOCK_DEVICE}
path=$(readlink -f "$1")
[ -b "$path" ] || { echo "$1 is no block device" >&2; exit 1; }
printf 'type %s\\n' "$(blkid -p -s TYPE -o value "$path" 2>/dev/null)"
uses "$path" && holds "$path"
`;

async function check(ctx: Context, { device, type, overwrite }: Params): Promise<Checked> {
  const said = await ctx.sh(LOOK, { args: [device], isLook: true });
  const lines = linesOf(succeeded(`What is on ${device} cannot be told`, said));
  const now = lines[0]?.slice('type '.length).trim() ?? '';
  if (now === type) return { changes: [], result: { type } };
  refuseFull(device, contentsOf(lines), overwrite);
  return {
    changes: [{ what: `file system on ${device}`, before: now || 'none', after: type }],
    result: { type },
  };
}

export default state({
  summary: 'A block device has a file system; what is on a device is never written over by accident',
  source: 'mkfs.ext4(8), mkfs.xfs(8), blkid(8)',
  params,
  shorthand: 'device',
  examples: `
- name: File system of the database
  filesystem: { device: /dev/drbd3, type: ext4 }
`,
  returns: { type: z.string().describe('Kind of the file system') },
  destroys: ({ device, overwrite }) => (overwrite ? `what is on ${device}` : undefined),
  check,
  async apply(ctx, params, found) {
    const { device, type, label, overwrite } = params;
    if (found.changes.length === 0) return undefined;
    const force = type === 'xfs' ? ['-f'] : ['-F'];
    const args = ['-q', ...(overwrite ? force : []), ...(label === undefined ? [] : ['-L', label]), device];
    const said = await ctx.job(
      'command -v "$1" >/dev/null || { echo "$1 is not installed" >&2; exit 127; }; "$@"',
      {
        args: [`mkfs.${type}`, ...args],
      },
    );
    if (said.code === 127)
      throw new StepFailed(`mkfs.${type} is not installed`, {}, { hint: 'package e2fsprogs or xfsprogs' });
    succeeded(`No file system was made on ${device}`, said);
    return undefined;
  },
});
