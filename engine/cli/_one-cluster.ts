import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';

/** The cluster of that name; without one the only one there is. `lead` of the hint comes before the names. */
export function oneCluster(
  clusters: ReadonlyMap<string, Cluster>,
  name: string | undefined,
  lead = 'there are',
): Cluster {
  const [first] = clusters.values();
  const found = name === undefined && clusters.size === 1 ? first : clusters.get(name ?? '');
  if (found) return found;
  const hint = clusters.size === 0 ? 'the inventory has none' : `${lead}: ${[...clusters.keys()].join(', ')}`;
  throw new DrillbookError(
    'usage.cluster',
    name === undefined ? 'which cluster?' : `\`${name}\` is no cluster of the inventory`,
    { hint },
  );
}
