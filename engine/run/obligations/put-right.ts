import type { Bend, ClusterStatus } from '../../core/cluster.ts';
import { DrillbookError } from '../../core/error.ts';
import type { Cluster } from '../../core/host.ts';
import type { Inventory } from '../../parse/inventory.ts';
import type { Journal } from '../journal/journal.ts';
import { closed } from './obligations.ts';
import type { Ledger, Obligation } from './obligations.ts';

/** What of a pair can be seen to be bent or not, read on its nodes; empty where nothing can be told. */
export type LookForBends = (cluster: Cluster) => Promise<readonly Bend[]>;

/** By the adapter of the stack; a pair that cannot be read tells nothing. */
export const lookBy =
  (read: (cluster: string) => Promise<ClusterStatus>): LookForBends =>
  async (cluster) => {
    const { bendsOf } = await import('../../cluster/stacks.ts');
    try {
      return await bendsOf(cluster, await read(cluster.name));
    } catch (error) {
      if (error instanceof DrillbookError) return [];
      throw error;
    }
  };

/** Closes what the nodes themselves show to be right again, whoever put it right. */
export async function closePutRight(
  journal: Journal,
  ledger: Ledger,
  { clusters }: Inventory,
  look: LookForBends,
): Promise<void> {
  const names = new Set(ledger.open().map(({ cluster }) => cluster));
  for (const cluster of [...clusters.values()].filter(({ name }) => names.has(name))) {
    const right = new Set(
      (await look(cluster)).filter(({ isBent }) => !isBent).map(({ obligation }) => obligation),
    );
    const isRight = ({ obligation }: Obligation): boolean => right.has(obligation);
    for (const one of ledger.open().filter(isRight)) journal.append(closed(one, 'seen on the nodes'));
  }
}
