import type { Bend, ClusterStatus, NodeStatus } from '../core/cluster.ts';

const bend = (name: string, where: string, isBent: boolean, message: string): Bend => ({
  obligation: `${name}@${where}`,
  isBent,
  message,
});

/** Told only where the nodes agree; a pair that was dissolved has no failover to be off. */
function failover({ cluster, nodes, arbitration }: ClusterStatus): readonly Bend[] {
  const said = arbitration['failover'];
  const isFree = nodes.every(({ online, role }) => online && role === 'free');
  if (said !== 'enabled' && said !== 'disabled' && !isFree) return [];
  return [bend('failover-disabled', cluster, said === 'disabled', 'automatic failover is off')];
}

const isPrimary = ({ role, witnesses }: NodeStatus): boolean =>
  role === 'primary' || (witnesses['hactl'] ?? '').startsWith('primary');

/** A primary must take writes, and where none is known one of the two; a standby takes none, as it should. */
function readOnly(node: NodeStatus, { nodes }: ClusterStatus): readonly Bend[] {
  const said = node.witnesses['read_only'];
  if (said !== 'on' && said !== 'off') return [];
  const isAll = nodes.every(({ witnesses }) => witnesses['read_only'] === 'on');
  const mustWrite = isPrimary(node) || (isAll && !nodes.some(isPrimary) && node.role !== 'free');
  return [
    bend('read-only', node.name, said === 'on' && mustWrite, `the database of ${node.name} takes no writes`),
  ];
}

const service = (name: string, node: NodeStatus, isRunning: boolean): Bend =>
  bend(`${name}-stopped`, node.name, !isRunning, `${name} does not run on ${node.name}`);

/** What has to run on a member of the pair. */
function services(node: NodeStatus): readonly Bend[] {
  if (!node.online || (node.role !== 'primary' && node.role !== 'standby')) return [];
  const backupd = node.services['dbackup3-backupd'];
  return [
    service('keepalived', node, node.witnesses['keepalived'] === 'running'),
    ...(node.role === 'primary' && backupd !== undefined
      ? [service('backupd', node, backupd === 'active')]
      : []),
  ];
}

/** What of the pair is bent, and what is seen not to be. */
export const bends = (status: ClusterStatus): readonly Bend[] => [
  ...failover(status),
  ...status.nodes.flatMap((node) => [...readOnly(node, status), ...services(node)]),
];
