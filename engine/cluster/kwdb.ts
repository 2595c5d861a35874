import { z } from 'zod';
import type { BoundRole, ClusterStatus } from '../core/cluster.ts';
import type { Cluster, Guard } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { readPair } from './_drbd-pair.ts';
import { drbdSettings, unit } from './_drbd-settings.ts';
import type { Shape } from './_drbd-settings.ts';
import { drbdGuard } from './_drbd-witnesses.ts';

export { drbdBends as bends } from './_drbd-pair.ts';
export { protectionBefore as protection } from './_drbd-problems.ts';

/** `settings` of a cluster of stack `kwdb`. */
export const settingsSchema = z.strictObject({
  ...drbdSettings,
  service: unit.describe('Unit of the database'),
});
type Settings = z.output<typeof settingsSchema>;

const shapeOf = ({ service }: Settings): Shape => ({ promotable: 'KaiwuData-clone', units: [service] });

export function readStatus(cluster: Cluster, contextOf: (node: string) => Context): Promise<ClusterStatus> {
  const [first] = cluster.nodes;
  const rendered = first === undefined ? undefined : contextOf(first).cluster?.settings;
  const settings = settingsSchema.parse(rendered ?? cluster.settings);
  return readPair(cluster, settings, shapeOf(settings), contextOf);
}

export function roleGuard(cluster: Cluster, node: string, wanted: BoundRole): Guard {
  const settings = settingsSchema.parse(cluster.settings);
  return drbdGuard(settings, shapeOf(settings), node, wanted);
}
