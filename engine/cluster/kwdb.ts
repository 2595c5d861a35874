import { z } from 'zod';
import { drbdSettings, unit } from './_drbd-settings.ts';
import type { Shape } from './_drbd-settings.ts';
import { drbdStack } from './_drbd-stack.ts';

/** `settings` of a cluster of stack `kwdb`. */
export const settingsSchema = z.strictObject({
  ...drbdSettings,
  drbd: drbdSettings.drbd
    .extend({
      disk_flushes: drbdSettings.drbd.shape.disk_flushes.unwrap().default(false),
      md_flushes: drbdSettings.drbd.shape.md_flushes.unwrap().default(false),
    })
    .describe('The replicated disk; as the document has it, without flushes'),
  service: unit.describe('Unit of the database'),
});
type Settings = z.output<typeof settingsSchema>;

const shapeOf = ({ service }: Settings): Shape => ({ promotable: 'KaiwuData-clone', units: [service] });

export const { readStatus, roleGuard, bends, protection, watch } = drbdStack(settingsSchema, shapeOf);
