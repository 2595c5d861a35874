import type { BoundRole } from '../core/cluster.ts';
import type { Cluster, Guard } from '../core/host.ts';
import { settingsSchema } from './_kwdb-settings.ts';
import type { Voices } from './model.ts';
import { roleGuard } from './role-guard.ts';

/** Who speaks for a node: DRBD's role, who has the file system mounted, who has the virtual address. */
export const VOICES: Voices = {
  drbd: { Primary: 'primary', Secondary: 'standby' },
  mount: { here: 'primary' },
  vip: { here: 'primary' },
};

/** `$1` resource, `$2` device, `$3` directory, `$4` virtual address. Tells what speaks for itself here. */
const SCRIPT = `
role=$(drbdsetup role "$1" 2>/dev/null) || role=down
role=\${role%%/*}
[ "$role" != down ] || free=1
witness drbd "$role"
if [ "$(findmnt -rno SOURCE "$3" 2>/dev/null)" = "$2" ]; then witness mount here; free=; else witness mount 'not here'; fi
if ip -o addr show | grep -qF " $4/"; then witness vip here; free=; else witness vip 'not here'; fi
`;

export const kwdbGuard = (cluster: Cluster, node: string, wanted: BoundRole): Guard => {
  const { drbd, filesystem, vip } = settingsSchema.parse(cluster.settings);
  const args = [drbd.resource, drbd.device, filesystem.directory, vip.address];
  return roleGuard(node, wanted, { voices: VOICES, script: SCRIPT, args });
};
