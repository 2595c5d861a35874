import { needsRoles, selectHosts } from '../../plan/hosts.ts';
import type { Plan, PlannedPlay, PlanNode, Step } from '../../plan/plan.ts';
import { doingOf } from './doing.ts';
import type { Doing } from './doing.ts';
import type { Pinned } from './pinned.ts';
import { pinnedOf } from './step-files.ts';
import { usesOf } from './uses.ts';

/** A plan with the files it was made from. */
export interface Made {
  readonly plan: Plan;
  readonly files: Pinned;
}

/** One thing that is no longer what it was: a keyword, a parameter, a file, a variable. */
export interface Edit {
  readonly what: string;
  readonly before: unknown;
  readonly after: unknown;
  /** On which hosts; on all of them when left out. */
  readonly hosts?: readonly string[];
}

/** A step as a plan has it, with all that tells what it does. */
export interface Placed {
  readonly step: Step;
  readonly play: PlannedPlay;
  /** `rescue` and `always` around it, handlers. */
  readonly section: string;
  readonly doing: Doing;
  /** Host → label → value. */
  readonly uses: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
}

export interface Changed {
  readonly before: Placed;
  readonly after: Placed;
  readonly edits: readonly Edit[];
}

/** How a plan differs from what it was when the run began. */
export interface Differences {
  readonly added: readonly Placed[];
  readonly removed: readonly Placed[];
  readonly changed: readonly Changed[];
  /** Steps that stand elsewhere among the others. */
  readonly moved: readonly Placed[];
  /** Nothing but the name: id now → id before. */
  readonly renamed: ReadonlyMap<string, string>;
  readonly before: readonly Placed[];
  readonly after: readonly Placed[];
}

function* sectionsOf(nodes: readonly PlanNode[], around: string): Generator<readonly [Step, string]> {
  for (const node of nodes) {
    if (node.kind === 'step') yield [node, around];
    else {
      yield* sectionsOf(node.block, around);
      yield* sectionsOf(node.rescue, `${around}rescue `);
      yield* sectionsOf(node.always, `${around}always `);
    }
  }
}

/** The hosts a step may run on; where only the run can tell, any host. */
export function candidatesOf(play: PlannedPlay, { inventory }: Plan): readonly string[] {
  const isLate = play.hosts.includes('{{') || needsRoles(play.hosts);
  return isLate ? [...inventory.hosts.keys()] : selectHosts(play.hosts, inventory);
}

function placedSteps({ plan, files }: Made): Placed[] {
  return plan.plays.flatMap((play) => {
    const hosts = candidatesOf(play, plan).flatMap((name) => plan.inventory.hosts.get(name) ?? []);
    const steps = [
      ...sectionsOf(play.nodes, ''),
      ...play.handlers.map((step) => [step, 'handlers'] as const),
    ];
    return steps.map(([step, section]): Placed => {
      const contents = pinnedOf(step, plan, files).flatMap(({ content }) =>
        Buffer.isBuffer(content) ? [content.toString()] : [],
      );
      const uses = hosts.map((host) => [host.name, usesOf(step, host, plan, contents)] as const);
      return { step, play, section, doing: doingOf(step, plan, files), uses: new Map(uses) };
    });
  });
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const printOf = ({ section, doing, uses }: Placed): string =>
  JSON.stringify([section, [...doing].sort(), [...uses].map(([host, own]) => [host, [...own].sort()])]);

/** Every label of either side whose values differ. */
function editsBetween(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
): readonly Edit[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((what) => !same(before.get(what), after.get(what)))
    .map((what) => ({ what, before: before.get(what), after: after.get(what) }));
}

function editsOf(before: Placed, after: Placed): readonly Edit[] {
  const own = editsBetween(before.doing, after.doing);
  const section =
    before.section === after.section
      ? []
      : [{ what: 'place', before: before.section || 'tasks', after: after.section || 'tasks' }];
  const byLabel = new Map<string, Edit & { hosts: string[] }>();
  for (const [host, uses] of after.uses) {
    const old = before.uses.get(host);
    for (const edit of old ? editsBetween(old, uses) : []) {
      // What is read for the first time, or no longer, follows from another edit.
      if (!old?.has(edit.what) || !uses.has(edit.what)) continue;
      const key = JSON.stringify(edit);
      const known = byLabel.get(key) ?? { ...edit, hosts: [] };
      known.hosts.push(host);
      byLabel.set(key, known);
    }
  }
  return [...section, ...own, ...byLabel.values()];
}

/** Old step → new step: the same id and doing, then the same doing under another id (on other hosts), then the id alone. */
function matched(before: readonly Placed[], after: readonly Placed[]): Map<Placed, Placed> {
  const pairs = new Map<Placed, Placed>();
  const taken = new Set<Placed>();
  const prints = new Map([...before, ...after].map((placed) => [placed, printOf(placed)]));
  const pass = (keyOf: (placed: Placed) => string): void => {
    const open = new Map<string, Placed[]>();
    for (const one of after) {
      if (taken.has(one)) continue;
      const list = open.get(keyOf(one)) ?? [];
      list.push(one);
      open.set(keyOf(one), list);
    }
    for (const old of before) {
      if (pairs.has(old)) continue;
      const one = open.get(keyOf(old))?.shift();
      if (!one) continue;
      pairs.set(old, one);
      taken.add(one);
    }
  };
  pass((placed) => `${placed.step.id} ${prints.get(placed)}`);
  pass((placed) => prints.get(placed) ?? '');
  pass(({ step, section, doing }) => JSON.stringify([section, step.name, [...doing].sort()]));
  pass((placed) => placed.step.id);
  return pairs;
}

/** Steps that left their place in the row: those outside the longest part that kept its order. */
function movedAmong(order: readonly number[]): Set<number> {
  const best: number[] = [];
  const from: number[] = [];
  for (const [i, value] of order.entries()) {
    let at = 0;
    let high = best.length;
    while (at < high) {
      const middle = (at + high) >> 1;
      if ((order[best[middle] ?? 0] ?? 0) < value) at = middle + 1;
      else high = middle;
    }
    from[i] = at > 0 ? (best[at - 1] ?? -1) : -1;
    best[at] = i;
  }
  const kept = new Set<number>();
  for (let i = best.at(-1) ?? -1; i >= 0; i = from[i] ?? -1) kept.add(i);
  return new Set(order.keys().filter((i) => !kept.has(i)));
}

export function differences(was: Made, now: Made): Differences {
  const [before, after] = [placedSteps(was), placedSteps(now)];
  const pairs = matched(before, after);
  const news = new Set(pairs.values());
  const both = before.flatMap((old) => {
    const one = pairs.get(old);
    return one ? [[old, one] as const] : [];
  });
  const place = new Map(after.map((placed, i) => [placed, i]));
  const moved = movedAmong(both.map(([, one]) => place.get(one) ?? 0));
  return {
    before,
    after,
    added: after.filter((placed) => !news.has(placed)),
    removed: before.filter((placed) => !pairs.has(placed)),
    changed: both
      .map(([old, one]) => ({ before: old, after: one, edits: editsOf(old, one) }))
      .filter(({ edits }) => edits.length > 0),
    moved: both.filter((_, i) => moved.has(i)).map(([, one]) => one),
    renamed: new Map(
      both
        .filter(([old, one]) => old.step.id !== one.step.id)
        .map(([old, one]) => [one.step.id, old.step.id]),
    ),
  };
}
