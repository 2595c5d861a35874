import { schemaProblems } from '../schema.ts';
import type { ClusterDraft, Draft, Part } from './draft.ts';
import type { Order } from './order.ts';
import { clusterVariableSchema } from './schema.ts';

/** The variable of a group that makes a cluster of its hosts. */
export const CLUSTER_VARIABLE = 'drillbook_cluster';

/** The clusters of an inventory: those of `clusters:`, and each group whose own variables hold `drillbook_cluster`. */
export function clustersOf(
  draft: Draft,
  order: Order,
  inFolders: (group: string) => readonly Part[],
): ReadonlyMap<string, ClusterDraft> {
  const clusters = new Map(draft.clusters);
  for (const [name, { parts }] of draft.groups) {
    const said = [...parts, ...inFolders(name)].findLast(
      ({ vars }) => vars?.values[CLUSTER_VARIABLE] !== undefined,
    );
    if (!said?.vars) continue;
    const { source, values } = said.vars;
    const path = [...said.vars.path, CLUSTER_VARIABLE];
    const wrong = (message: string, hint?: string): void =>
      void draft.problems.push(source.error('parse.inventory', path, message, hint));
    if (name === 'all' || name === 'ungrouped') {
      wrong(`\`${CLUSTER_VARIABLE}\` belongs to the group of the pair, whose name the cluster gets`);
      continue;
    }
    const parsed = clusterVariableSchema.safeParse(values[CLUSTER_VARIABLE]);
    const nodes = order.hostsOf(name);
    if (!parsed.success)
      draft.problems.push(...schemaProblems(parsed.error, source, path, clusterVariableSchema));
    else if (clusters.has(name)) wrong(`cluster \`${name}\` is there already`);
    else if (nodes.length < 2)
      wrong(
        `group \`${name}\` is a cluster of ${nodes.length === 0 ? 'no node' : 'one node'}`,
        'two hosts make a pair',
      );
    else {
      const { stack, settings = {} } = parsed.data;
      clusters.set(name, { stack, nodes, settings, source, path, nodePath: () => path });
    }
  }
  const owner = new Map<string, string>();
  for (const [name, { nodes, source, nodePath }] of clusters) {
    for (const [i, node] of nodes.entries()) {
      const other = owner.get(node);
      if (other !== undefined)
        draft.problems.push(
          source.error('parse.inventory', nodePath(i), `\`${node}\` is a node of \`${other}\` already`),
        );
      owner.set(node, name);
    }
  }
  return clusters;
}
