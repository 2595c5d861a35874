import { DrillbookError } from '../core/error.ts';
import { nearest, suggest } from '../core/nearest.ts';
import { stepsOf } from './plan.ts';
import type { PlanNode, PlannedPlay, Step } from './plan.ts';

/** What the command line asks of the plan. */
export interface Selection {
  readonly limit?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly skipTags?: readonly string[] | undefined;
  /** Step id, or name, from which to begin. */
  readonly startAt?: string | undefined;
}

/** True where --tags and --skip-tags let a step with these tags run. */
export function isTagged(tags: readonly string[], { tags: wanted, skipTags }: Selection): boolean {
  const isTold = tags.length > 0;
  // Ansible's words for whole kinds of tasks; `never` belongs to none of them.
  const kinds = tags.includes('never') ? [] : ['all', isTold ? 'tagged' : 'untagged'];
  const names = [...tags, ...kinds];
  if (skipTags?.some((tag) => names.includes(tag) && !(tag === 'all' && tags.includes('always'))))
    return false;
  if (!wanted || wanted.length === 0) return !tags.includes('never');
  return tags.includes('always') || wanted.some((tag) => names.includes(tag));
}

/** A tag that no step has selects nothing: an error with the nearest one, not a run that does nothing and says done. */
export function checkTags(plays: readonly PlannedPlay[], { tags = [], skipTags = [] }: Selection): void {
  const known = new Set(
    plays.flatMap(({ nodes, handlers }) => [...stepsOf(nodes), ...handlers].flatMap((step) => step.tags)),
  );
  for (const word of ['all', 'tagged', 'untagged', 'always', 'never']) known.add(word);
  for (const tag of [...tags, ...skipTags]) {
    if (known.has(tag)) continue;
    throw new DrillbookError('usage.tags', `no step of this playbook has the tag \`${tag}\``, {
      hint: suggest(tag, known),
    });
  }
}

/** By id, name, the end of an id, or either in other capitals; the first in the order of the plan. */
function indexOf(all: readonly Step[], wanted: string): number {
  const low = wanted.toLowerCase();
  const ways: readonly ((step: Step) => boolean)[] = [
    ({ id }) => id === wanted,
    ({ name }) => name === wanted,
    ({ id, name }) => id.toLowerCase() === low || name.toLowerCase() === low,
    ({ id }) => id.toLowerCase().endsWith(`/${low}`),
  ];
  return ways.map((way) => all.findIndex(way)).find((index) => index >= 0) ?? -1;
}

/** Leaves out every step before the one named; an unknown name is an error with the nearest right one. */
export function startAt(plays: readonly PlannedPlay[], wanted: string): PlannedPlay[] {
  const all = plays.flatMap((play) => [...stepsOf(play.nodes)]);
  const index = indexOf(all, wanted);
  if (index < 0) {
    const words = all.flatMap(({ id, name }) => [id, name, id.split('/').at(-1) ?? id]);
    const near =
      nearest(wanted, words) ?? words.find((word) => word.toLowerCase().includes(wanted.toLowerCase()));
    throw new DrillbookError('usage.start-at', `--start-at: no step \`${wanted}\` in this playbook`, {
      hint: near === undefined ? 'see `drillbook plan` for the steps' : `did you mean \`${near}\`?`,
    });
  }
  const before = new Set(all.slice(0, index).filter((step) => step.moduleName !== 'facts'));
  const map = (nodes: readonly PlanNode[]): PlanNode[] =>
    nodes.map((node) =>
      node.kind === 'step'
        ? {
            ...node,
            isSelected: node.isSelected && !before.has(node),
            ...(node.undo
              ? { undo: { ...node.undo, isSelected: node.undo.isSelected && !before.has(node) } }
              : {}),
          }
        : { ...node, block: map(node.block), rescue: map(node.rescue), always: map(node.always) },
    );
  return plays.map((play) => ({ ...play, nodes: map(play.nodes) }));
}
