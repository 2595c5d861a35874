import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { DrillbookError, Problems } from '../../core/error.ts';
import type { Happening, RunEvent } from '../../core/event.ts';
import type { Files } from '../../core/files.ts';
import type { Redactor } from '../../core/secret.ts';
import { stepsOf } from '../../plan/plan.ts';
import type { Opened } from '../../secrets/encrypted.ts';
import type { Plan, PlannedPlay, PlanNode, Step, Vars } from '../../plan/plan.ts';
import { candidatesOf, differences } from './differences.ts';
import type { Differences } from './differences.ts';
import { editLines } from './lines.ts';
import { standings } from './finished-steps.ts';
import type { Standing } from './finished-steps.ts';
import type { Frozen, FrozenStore } from './frozen.ts';
import type { Journal } from '../journal/journal.ts';
import { digestOf, isAsStamped, pinnedFiles } from './pinned.ts';
import type { Copy, Pinned } from './pinned.ts';
import { pinnedOf, pinStepFiles } from './step-files.ts';
import { refusals } from './refusals.ts';
import { editsAround } from './surroundings.ts';

/** What it takes to hold a run to the files it began with. */
export interface Pinning {
  readonly plan: Plan;
  /** What the plan was made from. */
  readonly files: Pinned;
  /** What was encrypted in them. */
  readonly opened: Opened;
  readonly frozen: FrozenStore;
  /** Makes the plan again from other files and inputs. */
  replan(files: Files, given: Vars): Promise<Plan>;
  readonly redactor: Redactor;
  readonly operator: string;
  readonly acceptChanges?: boolean | undefined;
  /** `files` are those of the run's own copy. */
  readonly isAsBegun?: boolean | undefined;
  /** Hears lines for the operator. */
  tell?(text: string): void;
}

/** The plan to go by, and what the journal is to have of it. */
export interface Held {
  readonly plan: Plan;
  readonly accepted: Extract<Happening, { event: 'changes_accepted' }> | undefined;
}

/** Which of its frozen copies a run goes by. */
export function copyNumber(past: Iterable<RunEvent>): number {
  let number = 1;
  for (const { event } of past) if (event === 'changes_accepted') number++;
  return number;
}

/** File → what tells its content from another, for the journal. */
export const recordOf = ({ files }: Copy): Readonly<Record<string, string>> =>
  Object.fromEntries([...files].map(([path, file]) => [path, digestOf(file)]));

const stepsIn = (play: PlannedPlay): Step[] => [...stepsOf(play.nodes), ...play.handlers];

const outlineOf = (plan: Plan): string =>
  createHash('sha256')
    .update(JSON.stringify(plan.plays.flatMap(stepsIn).map(({ id, moduleName }) => [id, moduleName])))
    .digest('hex');

/** The plan with the ids that the journal knows its steps by. */
function withIds(plan: Plan, ids: Readonly<Record<string, string>>): Plan {
  if (Object.keys(ids).length === 0) return plan;
  const own = (step: Step): Step => {
    const id = ids[step.id] ?? step.id;
    return { ...step, id, ...(step.undo ? { undo: { ...step.undo, id: `${id}/undo` } } : {}) };
  };
  const map = (nodes: readonly PlanNode[]): PlanNode[] =>
    nodes.map((node) =>
      node.kind === 'step'
        ? own(node)
        : { ...node, block: map(node.block), rescue: map(node.rescue), always: map(node.always) },
    );
  const plays = plan.plays.map((play) => ({
    ...play,
    nodes: map(play.nodes),
    handlers: play.handlers.map(own),
  }));
  return { ...plan, plays };
}

const givenOf = ({ inputs }: Plan): Vars => ({ ...inputs.given, ...inputs.overrides });

const freeze = ({ plan, files, opened }: Pinning, renamed: Frozen['renamed']): Frozen => ({
  copy: files.copy,
  given: givenOf(plan),
  opened: opened.kept(),
  steps: outlineOf(plan),
  renamed,
});

/** Files that are not what they were, gone or new. */
function editedFiles(before: Copy, after: Copy): string[] {
  const [was, now] = [recordOf(before), recordOf(after)];
  return Object.keys({ ...was, ...now }).filter((path) => was[path] !== now[path]);
}

/** A step whose own id now belongs to a renamed one gets another. */
function idsOf({ renamed, added }: Differences): Record<string, string> {
  const ids = Object.fromEntries(renamed);
  const taken = new Set(renamed.values());
  for (const { step } of added) {
    let id = step.id;
    for (let n = 2; taken.has(id); n++) id = `${step.id}~${n}`;
    if (id !== step.id) ids[step.id] = id;
    taken.add(id);
  }
  return ids;
}

const HINT =
  '`--accept-changes` goes on with the files as they are now, `--as-begun` with those the run began with';

/** What was too large to be kept must be on the disk as it was, where a step still needs it. */
function checkLarge(plan: Plan, files: Pinned, done: ReadonlyMap<string, Standing>): void {
  for (const [play, step] of plan.plays.flatMap((play) => stepsIn(play).map((one) => [play, one] as const))) {
    const finished = done.get(step.id)?.finished ?? [];
    if (candidatesOf(play, plan).every((host) => finished.includes(host))) continue;
    for (const { path, content } of pinnedOf(step, plan, files)) {
      if (typeof content !== 'object' || Buffer.isBuffer(content) || isAsStamped(path, content)) continue;
      throw new DrillbookError('plan.file', `${path} is not the file that the run began with`, {
        at: step.at,
        hint: 'it was too large to be kept; put it back, or see `--accept-changes`',
      });
    }
  }
}

function hasBegun(journal: Journal): boolean {
  for (const event of journal.past()) if ('step' in event) return true;
  return false;
}

const unlike = (run: string): DrillbookError =>
  new DrillbookError(
    'plan.engine',
    `this version of drillbook makes another plan of the files of run ${run}`,
    {
      hint: 'go on with the version it began with',
    },
  );

/**
 * Holds a run to what it began with: keeps its files at the start; at a resume tells what was edited since. Throws
 * `plan.edited` where that was not accepted, `plan.finished` where it cannot be; nothing is touched then. `number` is
 * that of the copy it goes by.
 */
export async function holdToFiles(pinning: Pinning, journal: Journal, number: number): Promise<Held> {
  const { run } = journal;
  const { plan, files, frozen, redactor } = pinning;
  pinStepFiles(plan, files);
  const before = journal.count > 0 ? frozen.open(number) : undefined;
  if (!before) {
    if (hasBegun(journal))
      throw new DrillbookError('journal.broken', `the files that run ${run} began with are missing`, {
        hint: `frozen-${number} in the folder of the run; put it back from a copy, or begin a new run`,
      });
    await frozen.keep(number, freeze(pinning, {}));
    return { plan, accepted: undefined };
  }
  if (pinning.isAsBegun === true) {
    if (outlineOf(plan) !== before.steps) throw unlike(run);
    checkLarge(plan, files, standings(journal.past()));
    return { plan: withIds(plan, before.renamed), accepted: undefined };
  }
  const given = givenOf(plan);
  const edited = editedFiles(before.copy, files.copy);
  const isGivenSame = Object.keys(given).every(
    (name) => JSON.stringify(given[name]) === JSON.stringify(before.given[name]),
  );
  if (edited.length === 0 && isGivenSame) {
    if (outlineOf(plan) !== before.steps) throw unlike(run);
    return { plan: withIds(plan, before.renamed), accepted: undefined };
  }
  const old = pinnedFiles(before.copy);
  pinning.opened.add(before.opened ?? {});
  const replanned = await pinning.replan(old, before.given);
  if (outlineOf(replanned) !== before.steps) throw unlike(run);
  const was = withIds(replanned, before.renamed);
  const found = differences({ plan: was, files: old }, { plan, files });
  const around = editsAround({ plan: was, given: before.given }, { plan, given });
  const ids = idsOf(found);
  const now = withIds(plan, ids);
  const names = edited.map((path) => basename(path)).join(', ');
  const isOther = [found.added, found.removed, found.changed, found.moved, around].some(
    (list) => list.length > 0,
  );
  if (!isOther) {
    pinning.tell?.(`edited since the run began, and no step does anything else: ${names}`);
    return { plan: now, accepted: undefined };
  }
  const done = standings(journal.past());
  pinning.tell?.(redactor.text(editLines(found, around, done, redactor).join('\n')));
  if (pinning.acceptChanges !== true) {
    const what = [...edited.map((path) => basename(path)), ...around.map(({ what }) => what)];
    const named = [...new Set(what)].join(', ');
    throw new DrillbookError('plan.edited', `edited since the run began: ${named}`, { hint: HINT });
  }
  const refused = refusals(found, done, plan);
  if (refused.length > 0) throw new Problems(refused);
  await frozen.keep(number + 1, freeze(pinning, ids));
  const edits = found.changed.map(({ before: { step }, edits }) => [step.id, edits.map(({ what }) => what)]);
  const record = recordOf(files.copy);
  return {
    plan: now,
    accepted: {
      event: 'changes_accepted',
      by: pinning.operator,
      added: found.added.map(({ step }) => ids[step.id] ?? step.id),
      removed: found.removed.map(({ step }) => step.id),
      changed: Object.fromEntries(edits) as Record<string, readonly string[]>,
      moved: found.moved.map(({ step }) => ids[step.id] ?? step.id),
      others: around.map(({ what }) => what),
      files: Object.fromEntries(edited.map((path) => [path, record[path] ?? null])),
    },
  };
}
