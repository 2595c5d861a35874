import { DrillbookError } from '../core/error.ts';
import { isMasked } from '../core/secret.ts';
import { render, renderText } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import { contextFor } from './context.ts';
import type { Circumstances } from './context.ts';
import { count, stopBy } from './course.ts';
import type { Course, OnInterrupt, States } from './course.ts';
import { isSettled } from './history.ts';
import type { Finished, Past } from './history.ts';
import type { HostState } from './host-state.ts';
import { asksItem, loop } from './loop.ts';
import { remember, revived } from './remember.ts';
import { hostNamed, scopeOf } from './scope.ts';
import { attempts, failure, isBad, registeredOf, shownReason } from './step.ts';
import type { Ended } from './step.ts';

/** An error thrown by the engine's own part of a step is the step's failure too. */
async function valued(work: () => Promise<Ended>): Promise<Ended> {
  try {
    return await work();
  } catch (error) {
    return failure(error);
  }
}

function finish(
  course: Course,
  step: Step,
  name: string,
  state: HostState,
  ended: Ended,
  startedAt: number,
  sharers: States,
): boolean {
  const { redactor } = course.tools;
  const isForgiven =
    isBad(ended.outcome) &&
    ended.outcome !== 'in_doubt' &&
    !ended.isGuard &&
    !ended.isInterrupted &&
    (step.isIgnored || course.rescueDepth > 0);
  const changes = step.isSecret ? ended.changes?.map(({ what }) => ({ what })) : ended.changes;
  const why = shownReason(step, ended);
  const reason = why === undefined ? undefined : redactor.text(why);
  course.journal.append({
    event: 'step_finished',
    step: step.id,
    name,
    module: step.moduleName,
    host: state.host.name,
    outcome: ended.outcome,
    durationMs: Math.round(performance.now() - startedAt),
    result: step.isSecret ? { is_hidden: true } : redactor.value(ended.result),
    ...(changes && changes.length > 0 ? { changes: redactor.value(changes) } : {}),
    ...(reason === undefined ? {} : { reason }),
    ...(isForgiven ? { isForgiven } : {}),
  });
  count(course, state.host.name, ended.outcome);
  if (ended.isInterrupted) stopBy(course, 3, 'interrupted');
  if (ended.isGuard) stopBy(course, 5, reason ?? 'stopped by a guard');
  if (ended.outcome === 'in_doubt') stopBy(course, 4, reason ?? 'a step’s outcome is unknown');
  try {
    remember(course, step, sharers, registeredOf(ended), ended.outcome, false);
  } catch (error) {
    // Only a template in `notify` can fail here, and the step itself has ended already.
    stopBy(course, 1, `${name}: ${(error as Error).message}`);
  }
  return isBad(ended.outcome) && !step.isIgnored;
}

function circumstances(
  course: Course,
  step: Step,
  scope: Scope,
  host: string,
): Omit<Circumstances, 'signal'> {
  const env = Object.fromEntries(
    step.environment
      .flatMap((layer) => Object.entries(layer))
      .map(([name, value]) => [name, String(render(value, scope, `environment.${name}`))]),
  );
  const become =
    typeof step.become === 'object' ? (render(step.become, scope, 'become') as Step['become']) : step.become;
  if (typeof become === 'object') course.tools.redactor.add(become.password);
  return {
    scope,
    become,
    env,
    file: step.source.file,
    progress: (message, percent) => {
      const shown = step.isSecret ? 'under way' : course.tools.redactor.text(message);
      course.journal.append({ event: 'step_progress', step: step.id, host, message: shown, percent });
    },
  };
}

async function once(course: Course, step: Step, state: HostState, scope: Scope): Promise<Ended> {
  const { tools, options } = course;
  const { module } = step;
  if (!module) throw new DrillbookError('bug', `step ${step.id} has no module`);
  const target =
    step.delegateTo === undefined ? state.host.name : String(render(step.delegateTo, scope, 'delegate_to'));
  const host = hostNamed(tools.world.plan.inventory, target);
  if (!host) throw new DrillbookError('step.delegate', `delegate_to: no host \`${target}\` in the inventory`);
  const own = circumstances(course, step, scope, state.host.name);
  return attempts(step, module, scope, {
    isCheck: step.checkMode ?? options.isCheck,
    isBlurred: state.hasChanges,
    contextWith: (signal) => contextFor(host, { ...own, signal }, tools),
    // What was looked up before may read otherwise after the change; and see mayHaveChanged.
    beforeChange: () => course.journal.commit(),
    onRetry: (attempt, retries, reason) => own.progress(`attempt ${attempt} of ${retries + 1}: ${reason}`),
    pause: (ms) => pause(ms, options.interrupt),
    isInterrupted: () => options.interrupt.aborted,
  });
}

/** How the step is not to run, where one of its conditions is false. */
function refused(step: Step, scope: Scope): Ended | undefined {
  const condition = step.when.find((one) => !one.test(scope));
  return condition && { outcome: 'skipped', result: {}, reason: `when: ${condition.text}` };
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
  if (no) return no;
  course.journal.append({
    event: 'step_started',
    step: step.id,
    name,
    module: step.moduleName,
    host: state.host.name,
  });
  // The intent of an action is durable before it begins: a crash must not hide that it may have run.
  if (step.module?.kind === 'action' && !(step.checkMode ?? course.options.isCheck))
    await course.journal.commit();
  if (!hasLoop) return once(course, step, state, scope);
  const items = render(step.keywords.loop, scope, 'loop');
  if (!Array.isArray(items)) {
    const kind = items === null ? 'nothing' : typeof items;
    throw new DrillbookError('step.loop', `loop: a list is wanted, this is ${kind}`);
  }
  const before = { items: past?.items ?? new Map(), isDoubtSkipped: doubt === 'skip' };
  return loop(course, step, state, items, before, (own) =>
    valued(async () => (isAskedEach && refused(step, own)) || once(course, step, state, own)),
  );
}

function nameOf(course: Course, step: Step, scope: Scope): string {
  try {
    return course.tools.redactor.text(renderText(step.name, scope, 'name'));
  } catch {
    return step.name; // A name may speak of an item that only the loop knows.
  }
}

/** What the journal has of a step is no use where a secret was taken out that later steps may read. */
function isWhole(step: Step, { result }: Finished): boolean {
  if (step.module?.kind === 'action') return true;
  const isRead = step.keywords.register !== undefined || step.moduleName === 'set';
  return !isRead || (result['is_hidden'] !== true && !isMasked(JSON.stringify(result)));
}

/** Takes a step that has ended from the journal. */
function replay(course: Course, step: Step, state: HostState, sharers: States, past: Finished): boolean {
  const { outcome, result, reason, isForgiven } = past;
  count(course, state.host.name, outcome);
  const registered = revived(registeredOf({ outcome, result, reason }), step.name);
  remember(course, step, sharers, registered, outcome, true);
  return isForgiven === true && !step.isIgnored;
}

/** Under --check, what needs the result of a step that has only pretended cannot be told. */
function foreseen(step: Step, state: HostState, ended: Ended, isCheck: boolean): Ended {
  if (!isCheck || ended.outcome !== 'failed') return ended;
  const text = JSON.stringify([
    step.params,
    step.vars,
    step.keywords,
    step.when.map((condition) => condition.text),
  ]);
  const isPretended = [...state.registered].some(
    ([name, result]) =>
      (result['is_foreseen'] === true || result['is_unforeseeable'] === true) &&
      new RegExp(`(?<![\\w.])${name}\\b`).test(text),
  );
  if (!isPretended) return ended;
  return {
    outcome: 'skipped',
    result: { is_unforeseeable: true },
    reason: `cannot be foreseen: ${ended.reason}`,
  };
}

/** A state that may have been reached before an interruption, its handlers and later steps not yet told. */
function mayHaveChanged({ module, keywords }: Step, past: Past | undefined): boolean {
  const isHeard = keywords.notify !== undefined || keywords.register !== undefined;
  if (module?.kind !== 'state' || !isHeard || !past) return false;
  return past.isOpen || (past.finished?.changes?.length ?? 0) > 0;
}

/** Undefined when Ctrl-C was the answer: the run stops, and other hosts end what they are at. */
async function decisionOn(course: Course, step: Step, question: string): Promise<OnInterrupt | undefined> {
  const { onInterrupt, decide } = course.options;
  const wanted = onInterrupt ?? step.keywords.on_interrupt ?? 'fail';
  if (wanted !== 'ask') return wanted;
  try {
    return (await decide?.(question)) ?? 'fail';
  } catch (error) {
    if (!(error instanceof DrillbookError) || !error.code.startsWith('interrupt.')) throw error;
    stopBy(course, 3, 'interrupted');
    return undefined;
  }
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
  const past = history.take(step.id, host);
  const done = past?.finished;
  if (done && isSettled(done) && isWhole(step, done)) return replay(course, step, state, sharers, done);
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

  let doubt: OnInterrupt | undefined;
  const isOpen = past !== undefined && (past.isOpen || done?.outcome === 'in_doubt');
  if (isOpen && step.module?.kind === 'action' && !(step.checkMode ?? options.isCheck)) {
    const question = `${name} was under way when the run was interrupted; whether it ran on ${host} is not known`;
    doubt = await decisionOn(course, step, question);
    if (doubt === undefined) return true;
    if (doubt === 'fail') {
      const reason = `${question} — look there, then resume with --on-interrupt rerun or skip`;
      return end({ outcome: 'in_doubt', result: {}, reason });
    }
    if (doubt === 'skip' && step.keywords.loop === undefined) {
      const reason = 'its outcome was unknown after an interruption; skipped as decided';
      return end({ outcome: 'skipped', result: {}, reason });
    }
  }
  const ended = foreseen(
    step,
    state,
    await valued(() => fresh(course, step, state, scope, name, past, doubt)),
    step.checkMode ?? options.isCheck,
  );
  if (ended.outcome === 'ok' && mayHaveChanged(step, past)) {
    const reason = 'in place; it may have been changed before the interruption';
    return end({ ...ended, outcome: 'changed', reason });
  }
  return end(ended);
}

/** The longest that a timer of Node takes; more would make it fire at once. */
const MOST_MS = 2 ** 31 - 1;

function pause(ms: number, interrupt: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (interrupt.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      interrupt.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, MOST_MS));
    interrupt.addEventListener('abort', done, { once: true });
  });
}
