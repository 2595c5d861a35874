import { bytesText } from '../../core/bytes.ts';
import { StepFailed } from '../../core/error.ts';
import type { Side } from './_side.ts';
import { resultOf } from './_status.ts';
import { serves } from './_verdict.ts';
import type { Divergence } from './divergence.ts';

export interface Wish {
  readonly victim: string;
  readonly at_most?: number | undefined;
  readonly overrule: boolean;
}

export interface Victim {
  readonly side: Side;
  readonly generation: string;
  /** Of its device. */
  readonly bytes: number;
  readonly loss: number;
  /** DRBD would not take it for the one that gives way: its disk is declared to be out of step. */
  readonly isForced: boolean;
}

/** The victim, or why it is none; `left` tells what was changed so far. */
export function refuseVictim(
  { sides, verdict }: Divergence,
  { victim, at_most: most, overrule }: Wish,
  left = 'nothing was changed',
): Victim {
  const refuse = (why: string, hint = left): never => {
    throw new StepFailed(why, { state: verdict.state, candidate: verdict.candidate }, { hint });
  };
  const side = sides.find(({ name }) => name === victim);
  const other = sides.find(({ name }) => name !== victim);
  if (side === undefined || other === undefined)
    return refuse(`${victim} is none of ${sides.map(({ name }) => name).join(' and ')}`);
  if (verdict.state === 'unrelated')
    return refuse(
      verdict.text,
      `${left}; no discarding joins them: one disk has to be made anew (drbd.metadata) and synced from the other`,
    );
  if (verdict.state === 'unknown') return refuse(verdict.text);
  if (side.resource === undefined || other.resource === undefined)
    return refuse(
      `${side.resource === undefined ? victim : other.name} has the resource down: ${verdict.text}`,
      `${left}; \`drbdadm new-resource\`, \`new-minor\`, \`attach\` bring it up there without connecting it`,
    );
  if (verdict.state !== 'split_brain')
    return refuse(
      `There is no split brain: ${verdict.text}`,
      `${left}; without a victim the nodes are only connected again`,
    );
  const [volume, ...others] = side.resource.volumes;
  if (volume === undefined || others.length > 0)
    return refuse(
      `The resource has ${side.resource.volumes.length} volumes on ${victim}, and only of one a copy is made`,
    );
  if (serves(side))
    return refuse(
      `${victim} serves: ${[...side.uses, ...(side.hasVip ? ['it has the virtual address'] : [])].join(', ')}`,
      `${left}; have Pacemaker promote ${other.name} first (crm_resource --ban --promoted of the clone on ${victim}, and --clear afterwards), or let ${other.name} give its data up`,
    );
  const { disk } = resultOf(other.resource);
  if (disk !== 'UpToDate') return refuse(`${other.name} has no whole data: its disk is ${disk}`);
  const loss = verdict.loss[victim] ?? 0;
  if (most !== undefined && loss > most)
    return refuse(
      `${victim} would lose ${bytesText(loss)}, more than the ${bytesText(most)} that were agreed to`,
    );
  const isAhead = verdict.relation === (side === sides[0] ? 'ahead' : 'behind');
  const isAlone = loss > 0 && verdict.loss[other.name] === 0;
  const why = isAhead
    ? `${victim} has the newer generation`
    : isAlone
      ? `${victim} alone has written`
      : verdict.candidate === other.name
        ? `it is ${other.name} that could be discarded`
        : undefined;
  if (why !== undefined && !overrule)
    return refuse(
      `The verdict speaks against discarding ${victim}: ${why}. ${verdict.text}`,
      `${left}; \`overrule: true\` discards it all the same`,
    );
  return {
    side,
    generation: side.generations[0]?.current ?? '',
    bytes: volume.sizeKb * 1024,
    loss,
    isForced: isAhead,
  };
}
