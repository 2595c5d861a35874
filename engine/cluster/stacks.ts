// Placeholder of the lead until the adapter lands: replace the whole file.
import type { ClusterStatus } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';

export const settingsProblems = async (_cluster: Cluster): Promise<readonly DrillbookError[]> => [];

export const readStatus = async (_cluster: Cluster, _via: (host: string) => Context): Promise<ClusterStatus> => {
  throw new DrillbookError('bug', 'no adapter yet');
};
