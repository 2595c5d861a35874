import { z } from 'zod';
import type { ClusterProblem } from '../core/cluster.ts';
import type { Cluster } from '../core/host.ts';
import type { Guards } from './_drbd-read.ts';
import { drbdSettings } from './_drbd-settings.ts';
import type { DrbdSettings } from './_drbd-settings.ts';

/** What guards the pair when its nodes lose each other. */
function guardOf({ arbitration, fencing }: Pick<Guarding, 'arbitration' | 'fencing'>): string {
  if (fencing !== undefined) {
    const fenced = `fencing by ${fencing.agent}: a node that is lost is switched off before the other one serves`;
    return arbitration === 'none' ? fenced : `${fenced}; ${guardOf({ arbitration })}`;
  }
  if (arbitration === 'none')
    return 'none: when the link between the nodes breaks both serve, and their data goes apart (split brain)';
  if ('qnetd' in arbitration)
    return `quorum device on ${arbitration.qnetd.host}: when the nodes lose each other the one that has its vote serves, the other stops`;
  return `ping of ${arbitration.ping.join(', ')}: a node that sees none of them does not serve; where both see one and not each other, both serve (split brain)`;
}

const zGuarding = z.object({
  arbitration: drbdSettings.arbitration,
  fencing: drbdSettings.fencing,
  drbd: z.object({ after_split: drbdSettings.drbd.shape.after_split }).prefault({}),
});
type Guarding = z.output<typeof zGuarding>;

/** The same, and what becomes of the data then. */
export const protectionOf = (settings: Guarding): string =>
  settings.drbd.after_split === 'discard'
    ? `${guardOf(settings)}; after a split brain DRBD gives up one side by itself, without a copy (after_split: discard)`
    : guardOf(settings);

/** Agents of fencing that somebody else has set up. */
const othersFencing = ({ fencing }: DrbdSettings, guards: Guards | undefined): readonly string[] =>
  fencing === undefined && guards?.properties['stonith-enabled'] !== 'false' ? (guards?.fencing ?? []) : [];

/** The same, with what somebody else has set up. */
export function protectionWith(settings: DrbdSettings, guards: Guards | undefined): string {
  const agents = othersFencing(settings, guards);
  return agents.length > 0
    ? `fencing by ${agents.join(', ')}, which the inventory does not have; ${protectionOf(settings)}`
    : protectionOf(settings);
}

export const isUnguarded = (settings: DrbdSettings, guards: Guards | undefined): boolean =>
  settings.arbitration === 'none' &&
  settings.fencing === undefined &&
  othersFencing(settings, guards).length === 0;

/** The same before a host is known, with templates in it as they are written. */
export function protectionBefore({ settings }: Cluster): string {
  const { data } = zGuarding.safeParse(settings);
  return data === undefined ? 'told when it runs: `arbitration` is a template' : protectionOf(data);
}

/** Where Pacemaker does not have what the inventory says guards the pair. */
function differences(
  { arbitration, fencing }: DrbdSettings,
  { properties, fencing: devices, hasPing }: Guards,
): readonly string[] {
  const told: string[] = [];
  const doesFence = properties['stonith-enabled'] !== 'false';
  if (fencing && !(doesFence && devices.includes(fencing.agent)))
    told.push(`it does not fence by ${fencing.agent}`);
  if (!fencing && doesFence && devices.length === 0) told.push('it wants to fence, and by nothing');
  const has = arbitration === 'none' ? {} : arbitration;
  if ('ping' in has !== hasPing) told.push(hasPing ? 'it pings' : 'it does not ping');
  if ('qnetd' in has && properties['no-quorum-policy'] === 'ignore')
    told.push('a node without quorum goes on (no-quorum-policy=ignore)');
  return told;
}

/** What of Pacemaker's configuration is otherwise than the inventory has it, or was left by a hand or by DRBD. */
export function guardProblems(settings: DrbdSettings, guards: Guards): readonly ClusterProblem[] {
  const problems: ClusterProblem[] = [];
  const told = differences(settings, guards);
  if (told.length > 0)
    problems.push({
      code: 'guarded-otherwise',
      message: `Pacemaker is not as the inventory says that the pair is guarded: ${told.join('; ')}`,
      hint: 'build.yml, run once more, makes it so',
    });
  for (const id of guards.locations)
    if (/^cli-(ban|prefer)-/.test(id))
      problems.push({
        code: 'pinned',
        message: `a move by hand still holds: the constraint ${id}`,
        hint: 'crm_resource --clear --resource NAME, or pcs resource clear NAME',
      });
    else if (id.startsWith('drbd-fence-by-handler-'))
      problems.push({
        code: 'drbd.fenced',
        message: `DRBD lets one node alone be promoted, for the other was not in step: the constraint ${id}`,
        hint: 'it goes by itself when both are in step: the replication network, recover-link.yml',
      });
  return problems;
}
