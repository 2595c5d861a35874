import { z } from 'zod';
import { resourceName } from '../modules/drbd/_status.ts';

const unit = z.string().regex(/^[\w@.:-]+$/, 'the name of a systemd unit');
const perNode = z.record(z.string(), z.string());

/** `settings` of a cluster of stack `kwdb`. */
export const settingsSchema = z.strictObject({
  drbd: z
    .strictObject({
      resource: resourceName,
      device: z.string().startsWith('/dev/drbd').describe('The device that DRBD makes'),
      disks: perNode.describe('Node → the disk under it, by a name that stays (/dev/disk/by-id/…)'),
      addresses: perNode.describe('Node → its address on the replication network'),
      port: z.int().min(1).max(65_535).default(7789).describe('Port of the replication'),
      secret: z.string().min(1).max(64).describe('What the nodes know each other by'),
      protocol: z.enum(['A', 'B', 'C']).default('C').describe('C: a write is done when both disks have it'),
      resync_rate: z.string().default('330M').describe('Speed of a resync, in bytes a second'),
      al_extents: z.int().min(67).max(65_534).default(517).describe('Extents of the activity log'),
      after_split: z
        .enum(['discard', 'ask'])
        .default('discard')
        .describe(
          'discard: as the document has it, DRBD gives up the side without writes, or the secondary, without a copy; ask: never by itself (drbd.split_brain)',
        ),
    })
    .describe('The replicated disk'),
  filesystem: z
    .strictObject({
      directory: z.string().startsWith('/').describe('Where it is mounted'),
      type: z.enum(['ext4', 'xfs']).describe('Its kind'),
    })
    .describe('File system on the device'),
  service: unit.describe('Unit of the database'),
  vip: z
    .strictObject({
      address: z.string().describe('The virtual address'),
      prefix: z.int().min(1).max(128).default(24).describe('Length of its network prefix'),
    })
    .describe('Virtual address'),
});

export type Settings = z.output<typeof settingsSchema>;
