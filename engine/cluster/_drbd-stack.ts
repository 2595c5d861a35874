import type { z } from 'zod';
import type { Bend, BoundRole, ClusterStatus, Watch } from '../core/cluster.ts';
import type { Cluster, Guard } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { drbdBends, readPair } from './_drbd-pair.ts';
import { protectionBefore } from './_drbd-guards.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';
import { drbdWatch } from './_drbd-watch.ts';
import { drbdGuard } from './_drbd-witnesses.ts';

/** What a stack of DRBD and Pacemaker is beside the schema of its settings. */
export interface DrbdStack {
  readStatus(cluster: Cluster, contextOf: (node: string) => Context): Promise<ClusterStatus>;
  roleGuard(cluster: Cluster, node: string, wanted: BoundRole): Guard;
  bends(status: ClusterStatus): readonly Bend[];
  protection(cluster: Cluster): string;
  watch(cluster: Cluster): Watch;
}

export const drbdStack = <Settings extends DrbdSettings>(
  schema: z.ZodType<Settings>,
  shapeOf: (settings: Settings) => Shape,
): DrbdStack => ({
  readStatus(cluster, contextOf) {
    const [first] = cluster.nodes;
    const rendered = first === undefined ? undefined : contextOf(first).cluster?.settings;
    const settings = schema.parse(rendered ?? cluster.settings);
    return readPair(cluster, settings, shapeOf(settings), contextOf);
  },
  roleGuard(cluster, node, wanted) {
    const settings = schema.parse(cluster.settings);
    return drbdGuard(settings, shapeOf(settings), node, wanted);
  },
  bends: drbdBends,
  protection: protectionBefore,
  watch(cluster) {
    const settings = schema.parse(cluster.settings);
    return drbdWatch(settings, shapeOf(settings));
  },
});
