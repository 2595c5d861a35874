import type { Cluster, Host } from '../../core/host.ts';
import { databaseOf } from '../../modules/mysql/_settings.ts';
import type { FaultScripts } from '../lease.ts';
import type { FaultWords } from '../schema.ts';
import { kindOf } from '../schema.ts';
import { clockFault } from './clock.ts';
import { fullDisk, readOnly } from './disk.ts';
import { networksOf } from './_node.ts';
import { cutFault, slowFault } from './network.ts';
import { powerFault } from './power.ts';
import { conflictingRow, wrongPassword } from './replication.ts';
import { serviceFault } from './service.ts';

/** A fault as it is carried out. */
export interface Stroke {
  readonly scripts: FaultScripts;
  /** Begun and kept on the jump host, for the node cannot do it to itself. */
  readonly isFromHere: boolean;
}

/** How a fault is done to a host. `id`: letters, digits and underscores. Throws StepFailed where it cannot be done. */
export function strokeOf(id: string, fault: FaultWords, host: Host, cluster: Cluster): Stroke {
  const scripts = scriptsOf(id, fault, host, cluster);
  return { scripts, isFromHere: fault.power_off !== undefined };
}

function scriptsOf(id: string, fault: FaultWords, host: Host, cluster: Cluster): FaultScripts {
  const networks = networksOf(cluster, host.name);
  if (fault.service) return serviceFault(fault.service.name, fault.service.how);
  if (fault.database) return serviceFault(databaseOf(cluster).service, fault.database.how);
  if (fault.cut) return cutFault(id, networks, fault.cut);
  if (fault.slow) return slowFault(id, networks, fault.slow);
  if (fault.power_off) return powerFault(host);
  if (fault.full_disk) return fullDisk(fault.full_disk.directory);
  if (fault.read_only) return readOnly(fault.read_only.directory);
  if (fault.conflicting_row) return conflictingRow(databaseOf(cluster));
  if (fault.wrong_password) return wrongPassword(databaseOf(cluster));
  if (fault.clock)
    return clockFault(Math.round(fault.clock.by / 1000) * (fault.clock.direction === 'back' ? -1 : 1));
  throw new Error(`no way to do ${kindOf(fault).kind}`);
}
