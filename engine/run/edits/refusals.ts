import { DrillbookError } from '../../core/error.ts';
import { needsRoles, selectHosts } from '../../plan/hosts.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Changed, Differences, Placed } from './differences.ts';
import { isManner } from './doing.ts';
import type { Standing } from './finished-steps.ts';

type Standings = ReadonlyMap<string, Standing>;

const HINT = 'give the step back what it had, go on with `--as-begun`, or begin a new run';

/** `has finished on a, b`. */
export function standingText({ finished, inFlight }: Standing): string {
  return [
    ...(finished.length > 0 ? [`has finished on ${finished.join(', ')}`] : []),
    ...(inFlight.length > 0 ? [`is under way on ${inFlight.join(', ')}`] : []),
  ].join(' and ');
}

const hostsOf = ({ finished, inFlight }: Standing): readonly string[] => [...finished, ...inFlight];

const refusal = ({ step }: Placed, message: string, hint = HINT): DrillbookError =>
  new DrillbookError('plan.finished', `step \`${step.name}\` (${step.id}) ${message}`, { at: step.at, hint });

/** What a finished step would have to be otherwise. */
function otherwise({ before, after, edits }: Changed, done: Standings): DrillbookError[] {
  const standing = done.get(before.step.id);
  if (!standing) return [];
  const concerned = hostsOf(standing);
  const hard = edits.filter(
    ({ what, hosts }) =>
      !isManner(what) && (hosts === undefined || hosts.some((host) => concerned.includes(host))),
  );
  if (hard.length === 0) return [];
  const what = hard.map((edit) => `\`${edit.what}\``).join(', ');
  return [refusal(after, `${standingText(standing)}, and would have to be another: ${what}`)];
}

/** Hosts on which a step has been, and which it would not come to any more. */
function gone(placed: Placed, standing: Standing, { inventory }: Plan): readonly string[] {
  const { hosts } = placed.play;
  const isLate = hosts.includes('{{') || needsRoles(hosts);
  const chosen = isLate ? [...inventory.hosts.keys()] : selectHosts(hosts, inventory);
  return hostsOf(standing).filter((host) => !chosen.includes(host));
}

/** The row of steps that matters: a handler comes when it is called, a rescue only where something fails. */
const rowOf = (placed: readonly Placed[], isDone: (placed: Placed) => boolean): readonly Placed[] => {
  const isCalled = ({ section }: Placed): boolean => section === 'handlers' || section.includes('rescue');
  const row = placed.filter((one) => isDone(one) || (one.step.isSelected && !isCalled(one)));
  return row.slice(0, row.findLastIndex(isDone) + 1);
};

/** The first step that would have had to come before one that has finished, and did not. */
function outOfRow({ before, after, removed, renamed }: Differences, done: Standings): DrillbookError[] {
  const idOf = ({ step }: Placed): string => renamed.get(step.id) ?? step.id;
  const lost = new Set(removed);
  const was = rowOf(before, ({ step }) => done.has(step.id)).filter((placed) => !lost.has(placed));
  const now = rowOf(after, (placed) => done.has(idOf(placed)));
  const at = now.findIndex((placed, i) => was[i]?.step.id !== idOf(placed));
  const first = now[at];
  if (!first) return [];
  const next = now.slice(at).find((placed) => done.has(idOf(placed)));
  if (!next || next === first)
    return [refusal(first, 'has finished, and stands elsewhere among the others now')];
  const message = `stands before \`${next.step.name}\`, which ${standingText(done.get(idOf(next)) ?? { finished: [], inFlight: [] })}`;
  return [refusal(first, message, 'put it behind what has finished, or go on with `--as-begun`')];
}

/** Why edits cannot be accepted: what has finished, or is under way, must be in the new plan as it was. */
export function refusals(found: Differences, done: Standings, plan: Plan): DrillbookError[] {
  const vanished = found.removed.flatMap((placed) => {
    const standing = done.get(placed.step.id);
    return standing ? [refusal(placed, `${standingText(standing)}, and is not there any more`)] : [];
  });
  const away = found.after.flatMap((placed) => {
    const standing = done.get(found.renamed.get(placed.step.id) ?? placed.step.id);
    const hosts = standing ? gone(placed, standing, plan) : [];
    return hosts.length > 0
      ? [refusal(placed, `has been on ${hosts.join(', ')}, and would not run there any more`)]
      : [];
  });
  const changed = found.changed.flatMap((one) => otherwise(one, done));
  return [...vanished, ...away, ...changed, ...outOfRow(found, done)];
}
