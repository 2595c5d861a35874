import { z } from 'zod';
import { resourceName } from '../modules/drbd/_status.ts';

const perNode = z.record(z.string(), z.string());

/** The name of a systemd unit. */
export const unit = z.string().regex(/^[\w@.:-]+$/, 'the name of a systemd unit');

/** What pairs of DRBD and Pacemaker have in common in the `settings` of their cluster. */
export const drbdSettings = {
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
        .default('ask')
        .describe(
          'After a split brain. ask: nothing is given up before the operator says so (drbd.split_brain); discard: as the document has it, DRBD gives up the side without writes, or the secondary, by itself and without a copy',
        ),
    })
    .describe('The replicated disk'),
  filesystem: z
    .strictObject({
      directory: z.string().startsWith('/').describe('Where it is mounted'),
      type: z.enum(['ext4', 'xfs']).describe('Its kind'),
    })
    .describe('File system on the device'),
  corosync: z
    .strictObject({
      links: z.array(perNode).min(1).max(8).describe('Networks between the nodes: node → its address there'),
      token: z.int().min(1000).default(3000).describe('Milliseconds of silence after which a node is lost'),
      password: z.string().optional().describe('Password of hacluster, by which pcs knows the nodes'),
    })
    .describe('The cluster of the nodes'),
  arbitration: z
    .union([
      z.literal('none'),
      z.strictObject({
        qnetd: z.strictObject({
          host: z.string().describe('Host of the inventory that gives its vote (corosync-qnetd)'),
          address: z.string().describe('Its address as the nodes see it'),
          algorithm: z.enum(['ffsplit', 'lms']).default('ffsplit').describe('Whom the vote goes to'),
        }),
      }),
      z.strictObject({
        ping: z.array(z.string()).min(1).describe('Addresses of which a node must see one to serve'),
      }),
    ])
    .describe('What decides when the nodes lose each other'),
  vip: z
    .strictObject({
      address: z.string().describe('The virtual address'),
      prefix: z.int().min(1).max(128).default(24).describe('Length of its network prefix'),
    })
    .describe('Virtual address'),
};

export type DrbdSettings = z.output<z.ZodObject<typeof drbdSettings>>;

/** What a pair of this kind is, beside its settings. */
export interface Shape {
  /** Id of the clone of DRBD in Pacemaker. */
  readonly promotable: string;
  /** Units that run where the primary is. */
  readonly units: readonly string[];
  /** Another resource of DRBD that goes where the primary is. */
  readonly second?: string | undefined;
}
