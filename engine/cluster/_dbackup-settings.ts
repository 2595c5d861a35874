import { z } from 'zod';
import { zDurationText } from '../core/duration.ts';
import { databaseSettings } from '../modules/mysql/_settings.ts';

const unit = z.string().regex(/^[\w@.:-]+$/, 'the name of a systemd unit');

/** `settings` of a cluster of stack `dbackup`. */
export const settingsSchema = z.strictObject({
  database: databaseSettings.prefault({}).describe("The Catalog's server"),
  heartbeats: z
    .array(
      z.strictObject({
        addresses: z.record(z.string(), z.string()).describe('Node → its address on this network'),
        interfaces: z
          .record(z.string(), z.string())
          .optional()
          .describe("Node → its interface on this network (default: the first VIP's)"),
        interval: zDurationText.default('1s').describe('Time between two heartbeats'),
      }),
    )
    .min(1)
    .describe('Heartbeat networks; two or more are wanted'),
  vips: z
    .array(
      z.strictObject({
        address: z.string().describe('The virtual address'),
        prefix: z.int().min(1).max(128).default(24).describe('Length of its network prefix'),
        interfaces: z.record(z.string(), z.string()).describe('Node → the interface that takes it'),
      }),
    )
    .min(1)
    .describe('Virtual addresses'),
  virtual_router_id: z
    .int()
    .min(1)
    .max(255)
    .default(51)
    .describe("keepalived's number of the pair, unique in its network"),
  services: z
    .array(unit)
    .default(
      ['backupd', 'keepalived', 'agent', 'agent-mysql', 'nginx', 'infokist', 'licensed', 'stored'].map(
        (name) => `dbackup3-${name}`,
      ),
    )
    .describe('Units whose state is shown; what is not installed is left out'),
  install_dir: z
    .string()
    .startsWith('/')
    .default('/opt/scutech/dbackup3')
    .describe('Where the product is installed'),
});

export type Settings = z.output<typeof settingsSchema>;
