import type { BoundRole } from '../core/cluster.ts';
import type { Guard } from '../core/host.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';
import type { Voices } from './model.ts';
import { roleGuard } from './role-guard.ts';

/**
 * Who speaks for a node: DRBD's role, where Pacemaker has promoted it, who has the file system mounted, who has the
 * virtual address.
 */
export const VOICES: Voices = {
  drbd: { Primary: 'primary', Secondary: 'standby' },
  pacemaker: { 'promoted here': 'primary', 'promoted elsewhere': 'standby' },
  mount: { here: 'primary' },
  vip: { here: 'primary' },
};

/**
 * `$1` resource, `$2` device, `$3` directory, `$4` virtual address, `$5` the clone in Pacemaker. Sets what the witnesses of
 * this node say, whose name is in `node`.
 */
export const WITNESSES = `
drbd=$(drbdadm role "$1" 2>/dev/null)
case $drbd in Primary*) drbd=Primary ;; Secondary*) drbd=Secondary ;; *) drbd=down ;; esac
promoted=$(crm_resource --locate --resource "$5" 2>/dev/null | sed -nE 's/.*running on: ([^ ]+) (Promoted|Master) *$/\\1/p')
case $promoted in
  '') pacemaker='promoted nowhere' ;;
  "$node") pacemaker='promoted here' ;;
  *) pacemaker='promoted elsewhere' ;;
esac
mount='not here' vip='not here'
[ "$(findmnt -rno SOURCE "$3" 2>/dev/null)" != "$2" ] || mount=here
if ip -o addr show | grep -qF " $4/"; then vip=here; fi
`;

const SCRIPT = `${WITNESSES}
witness drbd "$drbd"
witness pacemaker "$pacemaker"
witness mount "$mount"
witness vip "$vip"
case $drbd/$pacemaker/$mount/$vip in 'down/promoted nowhere/not here/not here') free=1 ;; esac
`;

export const witnessArgs = ({ drbd, filesystem, vip }: DrbdSettings, { promotable }: Shape): string[] => [
  drbd.resource,
  drbd.device,
  filesystem.directory,
  vip.address,
  promotable,
];

export const drbdGuard = (settings: DrbdSettings, shape: Shape, node: string, wanted: BoundRole): Guard =>
  roleGuard(node, wanted, { voices: VOICES, script: SCRIPT, args: witnessArgs(settings, shape) });
