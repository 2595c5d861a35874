import type { Bend, ClusterStatus, NodeStatus } from '../core/cluster.ts';
import { recovered } from './model.ts';

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

/** What has to run on a member of the pair: keepalived on both, backupd where the primary is. */
function services({ name, online, role, services: units }: NodeStatus): readonly Bend[] {
  if (!online || (role !== 'primary' && role !== 'standby')) return [];
  return ['dbackup3-keepalived', 'dbackup3-backupd'].flatMap((unit) => {
    const isRunning = units[unit] === 'active';
    const isWanted = role === 'primary' || unit === 'dbackup3-keepalived';
    if (units[unit] === undefined || (!isRunning && !isWanted)) return [];
    return [bend(`service-stopped:${unit}`, name, !isRunning, `service ${unit} is stopped`)];
  });
}

/** What of the pair is bent, and what is seen not to be. */
export const bends = (status: ClusterStatus): readonly Bend[] => [
  ...failover(status),
  ...recovered(status),
  ...status.nodes.flatMap((node) => [...readOnly(node, status), ...services(node)]),
];
