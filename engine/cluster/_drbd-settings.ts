import { z } from 'zod';
import { resourceName } from '../modules/drbd/_status.ts';

const perNode = z.record(z.string(), z.string());
const size = z.string().regex(/^\d+[kMG]?$/, 'a number of bytes: 512k, 1M');

/** The name of a systemd unit. */
export const unit = z.string().regex(/^[\w@.:-]+$/, 'the name of a systemd unit');

/** What pairs of DRBD and Pacemaker have in common in the `settings` of their cluster. */
export const drbdSettings = {
  drbd: z
    .strictObject({
      resource: resourceName,
      device: z
        .string()
        .regex(/^\/dev\/drbd\d+$/, '/dev/drbd and a number, as the kernel calls it')
        .describe('The device that DRBD makes'),
      disks: perNode.describe('Node → the disk under it, by a name that stays (/dev/disk/by-id/…)'),
      addresses: perNode.describe('Node → its address on the replication network'),
      port: z.int().min(1).max(65_535).default(7789).describe('Port of the replication'),
      secret: z.string().min(1).max(64).describe('What the nodes know each other by'),
      protocol: z.enum(['A', 'B', 'C']).default('C').describe('C: a write is done when both disks have it'),
      resync_rate: size.default('330M').describe('Speed of a resync, in bytes a second'),
      al_extents: z.int().min(67).max(65_534).default(517).describe('Extents of the activity log'),
      on_io_error: z
        .enum(['detach', 'pass_on', 'call-local-io-error'])
        .default('detach')
        .describe('What becomes of a disk that fails; detach: the node goes on by the disk of the other one'),
      disk_flushes: z
        .boolean()
        .default(true)
        .describe('Writes wait until the disk has them; false only where its cache outlives a power cut'),
      md_flushes: z.boolean().default(true).describe('The same for the metadata'),
      sndbuf_size: size.default('512k').describe('Send buffer'),
      max_buffers: z.int().min(32).max(131_072).default(8000).describe('Buffers of what is received'),
      max_epoch_size: z.int().min(1).max(20_000).default(8000).describe('Writes between two barriers'),
      unplug_watermark: z
        .int()
        .min(1)
        .max(131_072)
        .default(1024)
        .describe('Requests that wait before the disk is told to go on'),
      cram_hmac_alg: z.string().default('sha1').describe('Digest by which the nodes know each other'),
      verify_alg: z.string().default('crc32c').describe('Digest by which their data is compared'),
      rr_conflict: z
        .enum(['disconnect', 'retry-connect', 'violently', 'call-pri-lost'])
        .default('disconnect')
        .describe('Where a resync would go against the roles'),
      fencing: z
        .enum(['dont-care', 'resource-only', 'resource-and-stonith'])
        .default('dont-care')
        .describe(
          'A primary that loses its peer forbids by Pacemaker that it is promoted until it is in step again (resource-only), and waits with its writes until then (resource-and-stonith, with `fencing`)',
        ),
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
  fencing: z
    .strictObject({
      agent: z
        .string()
        .regex(/^fence_[\w-]+$/, 'the name of a fence agent: fence_ipmilan')
        .describe('What switches a node off'),
      options: z
        .record(z.string(), z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])))
        .transform((all) =>
          Object.fromEntries(
            // Whom it switches off; a name there is taken as it is.
            Object.entries(all).map(([node, own]) => [node, { pcmk_host_list: node, ...own }]),
          ),
        )
        .describe('Node → how the agent reaches what switches it off, as its manual page has it'),
    })
    .optional()
    .describe('A node that is lost is switched off before the other one serves (STONITH)'),
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
