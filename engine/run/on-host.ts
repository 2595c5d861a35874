import { DrillbookError } from '../core/error.ts';
import type { Result } from '../core/module.ts';
import { render, renderText } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import { count } from './course.ts';
import type { Course, OnInterrupt, States } from './course.ts';
import { doubtAbout } from './doubt.ts';
import { failure, registeredOf } from './ended.ts';
import type { Ended } from './ended.ts';
import { finish } from './finish.ts';
import { isSettled } from './journal/history.ts';
import type { Ending, Past } from './journal/history.ts';
import type { HostState } from './host-state.ts';
import { asksItem, loop } from './loop.ts';
import { once } from './once.ts';
import { remember, rememberFailure } from './remember.ts';
import { scopeOf } from './scope.ts';
import { newTries } from './journal/tries.ts';
import { untold } from './unforeseen.ts';

/** An error thrown by the engine's own part of a step is the step's failure too. */
async function valued(work: () => Promise<Ended>): Promise<Ended> {
  try {
    return await work();
  } catch (error) {
    return failure(error);
  }
}

/** How the step is not to run, where one of its conditions is false. */
function refused(step: Step, scope: Scope): Ended | undefined {
  const condition = step.when.find((one) => !one.test(scope));
  return condition && { outcome: 'skipped', result: {}, reason: `when: ${condition.text}` };
}

/** The items of a loop; of a mapping each key with its value. */
function itemsOf(step: Step, scope: Scope): readonly unknown[] {
  const items = render(step.keywords.loop, scope, 'loop');
  if (Array.isArray(items)) return items;
  if (items !== null && typeof items === 'object')
    return Object.entries(items).map(([key, value]: [string, unknown]) => ({ key, value }));
  const kind = items === null ? 'nothing' : typeof items;
  throw new DrillbookError('step.loop', `loop: a list or a mapping is wanted, this is ${kind}`);
}

/** What `results` holds of a loop that was skipped as a whole; its list need not exist then. */
function skippedItems(step: Step, scope: Scope, no: Ended): readonly Result[] {
  try {
    return itemsOf(step, scope).map((item) => ({ ...registeredOf(no), item }));
  } catch {
    return [];
  }
}

async function fresh(
  course: Course,
  step: Step,
  state: HostState,
  scope: Scope,
  name: string,
  past: Past | undefined,
  doubt: OnInterrupt | undefined,
): Promise<Ended> {
  const hasLoop = step.keywords.loop !== undefined;
  const isAskedEach = hasLoop && asksItem(step);
  const no = isAskedEach ? undefined : refused(step, scope);
  if (no) return hasLoop ? { ...no, result: { results: skippedItems(step, scope, no) } } : no;
  const { seq } = course.journal.append({
    event: 'step_started',
    step: step.id,
    name,
    module: step.moduleName,
    host: state.host.name,
    ...(step.isEarly === true ? { isEarly: true } : {}),
  });
  // The intent of an action is durable before it begins: a crash must not hide that it may have run.
  if (step.module?.kind === 'action' && !(step.checkMode ?? course.options.isCheck))
    await course.journal.commit();
  const isTaken = past && !past.finished && doubt !== 'rerun';
  const tries = isTaken ? past.tries : newTries(seq);
  const isOpen = isTaken === true && past.isOpen;
  if (!hasLoop) return once(course, step, state, scope, { tries, index: 0, isAgain: isOpen });
  const items = itemsOf(step, scope);
  const before = { items: past?.items ?? new Map(), tries, isOpen, isDoubtSkipped: doubt === 'skip' };
  return loop(course, step, state, items, before, (own, turn) =>
    valued(async () => (isAskedEach && refused(step, own)) || once(course, step, state, own, turn)),
  );
}

function nameOf(course: Course, step: Step, scope: Scope): string {
  try {
    return course.tools.redactor.text(renderText(step.name, scope, 'name'));
  } catch {
    return step.name; // A name may speak of an item that only the loop knows.
  }
}

/** True for a step whose result is of use to later ones. */
const leavesSomething = ({ keywords, moduleName }: Step): boolean =>
  keywords.register !== undefined ||
  keywords.notify !== undefined ||
  moduleName === 'set' ||
  moduleName === 'facts';

/** Takes a step that has ended from the journal. */
function replay(course: Course, step: Step, state: HostState, sharers: States, past: Ending): boolean {
  const { outcome, isForgiven } = past;
  const isBadHere = isForgiven && !step.isIgnored;
  count(course, state.host.name, outcome);
  const whole = isBadHere || leavesSomething(step) ? course.history.whole(past) : undefined;
  const registered = registeredOf({ outcome, result: whole?.result ?? {}, reason: whole?.reason });
  remember(course, step, state, sharers, registered, outcome, true);
  if (isBadHere) rememberFailure(step, whole?.name ?? step.name, sharers, registered, outcome);
  return isBadHere;
}

/** A state that was changed, and failed all the same: its handlers and later steps were not told. */
function wasChanged({ module, keywords }: Step, past: Past | undefined): boolean {
  const isHeard = keywords.notify !== undefined || keywords.register !== undefined;
  return module?.kind === 'state' && isHeard && past?.finished?.hasChanges === true;
}

/** What was under way of an undo that has to run; times it ran to its end are of no more concern. */
export function undoUnderWay({ history }: Course, undo: Step, host: string): Past | undefined {
  while (isSettled(history.peek(undo.id, host)?.finished)) history.take(undo.id, host);
  const past = history.peek(undo.id, host);
  return past?.isOpen === true ? past : undefined;
}

/** True when the interruption came while a step was undone after a failure: that ends first, then it is done again. */
async function isUndone(course: Course, { undo }: Step, state: HostState): Promise<boolean> {
  const { name } = state.host;
  const isOpen = (): boolean =>
    course.tools.ledger.open().some((one) => one.undo === undo?.id && one.host === name);
  if (!undo || !isOpen() || undoUnderWay(course, undo, name)?.isEarly !== true) return false;
  await onHost(course, { ...undo, isEarly: true }, state, [state]);
  return !isOpen();
}

/** One step on one host. True when it went wrong and nothing forgives it here. */
export async function onHost(
  course: Course,
  step: Step,
  state: HostState,
  sharers: States,
): Promise<boolean> {
  const { history, options, tools } = course;
  const host = state.host.name;
  let past = history.take(step.id, host);
  const done = past?.finished;
  if (done && isSettled(done)) {
    const isBadHere = replay(course, step, state, sharers, done);
    if (!(await isUndone(course, step, state))) return isBadHere;
    past = undefined;
  }
  if (done && !isSettled(done)) history.diverge(host, done.seq);
  const startedAt = performance.now();
  const scope = scopeOf(state, step.vars, tools.world);
  const name = nameOf(course, step, scope);
  const end = (ended: Ended): boolean => {
    const isBadHere = finish(course, step, name, state, ended, startedAt, sharers);
    // What changed nothing may be looked at again after a crash. All else goes to the disk at once, together with the
    // start of the next step; who acts next waits for it, and hears what went wrong with it.
    const isHarmless = ended.outcome === 'ok' || ended.outcome === 'skipped';
    if (isHarmless && step.module?.kind !== 'action') course.journal.commitSoon();
    else course.journal.commit().catch(() => undefined);
    return isBadHere;
  };

  const doubt = await doubtAbout(course, step, host, name, past);
  if (doubt === 'interrupted') return true;
  if (doubt?.ended) return end(doubt.ended);
  const real = await valued(() => fresh(course, step, state, scope, name, past, doubt?.decision));
  const ended = (step.checkMode ?? options.isCheck) ? untold(real) : real;
  if (ended.outcome === 'ok' && wasChanged(step, past)) {
    const reason = 'in place; it was changed when the run failed here';
    return end({ ...ended, outcome: 'changed', reason });
  }
  return end(ended);
}
