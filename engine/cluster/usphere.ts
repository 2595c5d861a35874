import { z } from 'zod';
import { drbdSettings, unit } from './_drbd-settings.ts';
import type { Shape } from './_drbd-settings.ts';
import { drbdStack } from './_drbd-stack.ts';

/** `settings` of a cluster of stack `usphere`. */
export const settingsSchema = z.strictObject({
  ...drbdSettings,
  services: z
    .strictObject({
      database: unit.describe('Unit of the database: mysql'),
      web: unit.describe('Unit of the web service: tomcat'),
    })
    .describe('What the primary runs'),
  expected: z
    .strictObject({
      hosts: z.int().min(0).describe('Hosts that the platform is to manage'),
      virtual_machines: z.int().min(0).describe('Virtual machines on them'),
    })
    .describe('What the database is to have room for'),
  database_gb: z.number().positive().describe('Size of the database partition in GB'),
  sync_partition: z
    .strictObject({
      ...drbdSettings.drbd.pick({ resource: true, device: true, disks: true }).shape,
      port: drbdSettings.drbd.shape.port.unwrap().default(7790).describe('Port of its replication'),
      directory: z.string().startsWith('/').describe('Where it is mounted'),
      type: z.enum(['ext4', 'xfs']).default('ext4').describe('Its kind of file system'),
    })
    .optional()
    .describe('Local partition for templates, kept in step on both nodes: a second DRBD resource'),
});
type Settings = z.output<typeof settingsSchema>;

const shapeOf = ({ drbd, services, sync_partition: second }: Settings): Shape => ({
  promotable: `${drbd.resource}-clone`,
  units: [services.database, services.web],
  second: second?.resource,
});

export const { readStatus, roleGuard, bends, protection, watch } = drbdStack(settingsSchema, shapeOf);
