import { DrillbookError } from '../core/error.ts';
import { stepsOf } from './plan.ts';
import type { PlannedPlay, PlanNode, Step } from './plan.ts';
import { readsOf } from './reads.ts';
import type { Reading } from './reads.ts';

/** The steps that --tags, --skip-tags and --start-at leave out, in the order of the plan. */
export const leftOut = (plays: readonly PlannedPlay[]): readonly Step[] =>
  plays.flatMap((play) => [...stepsOf(play.nodes)].filter(({ isSelected }) => !isSelected));

const givesOf = ({ keywords, moduleName, params }: Step): readonly string[] => [
  ...(keywords.register === undefined ? [] : [keywords.register]),
  ...(moduleName === 'set' && params !== null && typeof params === 'object' ? Object.keys(params) : []),
];

/** Steps that run in any case, unlike those of a rescue. */
function* straight(nodes: readonly PlanNode[]): Generator<Step> {
  for (const node of nodes) {
    if (node.kind === 'step') yield node;
    else for (const part of [node.block, node.always]) yield* straight(part);
  }
}

/** Steps that run, and need what only steps leave behind which --start-at leaves out. */
export function missingProblems(
  plays: readonly PlannedPlay[],
  reading: Reading,
  overrides: ReadonlySet<string>,
): DrillbookError[] {
  const gone = new Map<string, Step>();
  for (const step of leftOut(plays)) for (const name of givesOf(step)) gone.set(name, step);
  const problems: DrillbookError[] = [];
  for (const play of plays) {
    for (const step of straight(play.nodes)) {
      if (!step.isSelected) continue;
      for (const { root, isOptional } of readsOf(step, play, reading)) {
        const giver = isOptional || overrides.has(root) ? undefined : gone.get(root);
        if (giver === undefined) continue;
        const message = `--start-at leaves out \`${giver.name}\`, and \`${step.name}\` needs \`${root}\` from it`;
        problems.push(
          new DrillbookError('plan.start-at', message, { at: step.at, hint: `start at ${giver.id}` }),
        );
      }
      for (const name of givesOf(step)) gone.delete(name);
    }
  }
  return problems;
}
