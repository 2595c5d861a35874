import { availableParallelism } from 'node:os';
import { DrillbookError } from '../core/error.ts';
import type { Counts, StepOutcome } from '../core/event.ts';
import type { Result } from '../core/module.ts';
import { render, renderText } from '../parse/template.ts';
import { needsRoles, selectHosts } from '../plan/hosts.ts';
import { stepsOf } from '../plan/plan.ts';
import type { Plan, PlannedPlay, PlanNode, Step } from '../plan/plan.ts';
import { contextFor, overlay } from './context.ts';
import type { Circumstances, Tools } from './context.ts';
import { isSettled } from './history.ts';
import type { History } from './history.ts';
import type { HostState } from './host-state.ts';
import type { Journal } from './journal.ts';
import { hostNamed, scopeOf } from './scope.ts';
import type { Scope } from '../parse/template.ts';
import { attempts, failure, isBad, registeredOf } from './step.ts';
import type { Ended } from './step.ts';

export interface RunnerOptions {
  readonly isCheck: boolean;
  readonly forks: number;
  readonly onInterrupt: 'rerun' | 'skip' | 'fail' | undefined;
  /** --step: asked before each step; false leaves it out. */
  readonly mayRun?: ((step: Step) => Promise<boolean>) | undefined;
  /** Aborted by Ctrl-C: the step in flight ends, then the run. */
  readonly interrupt: AbortSignal;
}

/** Why a run ended before its last step. */
export interface Stop {
  readonly exitCode: 1 | 3 | 4 | 5;
  readonly reason: string;
}

export interface Finish {
  readonly stop: Stop | undefined;
  readonly counts: Readonly<Record<string, Counts>>;
  readonly hasFailed: boolean;
}

/** Checks the playbook's invariants; returns the sentence of the first that is broken. */
export type CheckInvariants = () => Promise<{ readonly name: string; readonly message: string } | undefined>;

type States = readonly HostState[];

/** Runs `work` on every item, at most `limit` at once. */
async function each<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}

/** `[1, "50%"]` of 4 hosts → batches of 1, 2 and 1; the last size goes on until all hosts are through. */
export function batchesOf<T>(hosts: readonly T[], serial: PlannedPlay['play']['keywords']['serial']): T[][] {
  if (serial === undefined) return [[...hosts]];
  const sizes = (Array.isArray(serial) ? serial : [serial]).map((size) => {
    const text = String(size);
    const number = text.endsWith('%')
      ? Math.floor((hosts.length * Number.parseFloat(text)) / 100)
      : Number(text);
    if (!Number.isFinite(number))
      throw new DrillbookError('plan.serial', `serial: \`${text}\` is neither a number nor a percentage`);
    return Math.max(1, Math.floor(number));
  });
  const batches: T[][] = [];
  for (let from = 0, i = 0; from < hosts.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)] ?? hosts.length;
    batches.push(hosts.slice(from, from + size));
    from += size;
  }
  return batches;
}

export interface Runner {
  run(plan: Plan): Promise<Finish>;
}

export function runner(
  journal: Journal,
  history: History,
  tools: Tools,
  options: RunnerOptions,
  invariants: CheckInvariants,
): Runner {
  const { world, redactor } = tools;
  const counts: Record<string, Counts> = {};
  const failedHosts = new Set<string>();
  let stop: Stop | undefined;
  let hasFailed = false;
  /** Hosts for which some block around the step in hand will take care of a failure. */
  let rescueDepth = 0;

  const count = (host: string, outcome: StepOutcome): void => {
    const own = (counts[host] ??= {});
    own[outcome] = (own[outcome] ?? 0) + 1;
  };

  const stopBy = (exitCode: Stop['exitCode'], reason: string): void => {
    stop ??= { exitCode, reason };
  };

  function isInterrupted(): boolean {
    if (options.interrupt.aborted) stopBy(3, 'interrupted');
    return stop !== undefined;
  }

  /** What a finished step leaves behind for later ones; the same whether it ran now or is taken from the journal. */
  function remember(
    step: Step,
    states: States,
    result: Result,
    outcome: StepOutcome,
    isReplay: boolean,
  ): void {
    for (const state of states) {
      if (step.keywords.register !== undefined) state.registered.set(step.keywords.register, result);
      if (outcome === 'changed') state.hasChanges = true;
      if (isBad(outcome) || outcome === 'skipped') continue;
      if (step.moduleName === 'set') {
        for (const [name, value] of Object.entries((result['set'] as Result | undefined) ?? {}))
          state.set.set(name, value);
      }
      if (step.moduleName === 'facts')
        state.facts = { ...state.facts, ...(result['facts'] as Result | undefined) };
      if (outcome !== 'changed') continue;
      for (const handler of step.keywords.notify ?? []) {
        const name = handler.includes('{{')
          ? String(render(handler, scopeOf(state, step.vars, world), 'notify'))
          : handler;
        if (!isReplay && !state.notified.has(name)) {
          journal.append({ event: 'handler_notified', handler: name, host: state.host.name, by: step.id });
        }
        state.notified.add(name);
      }
    }
  }

  function finish(
    step: Step,
    name: string,
    state: HostState,
    ended: Ended,
    startedAt: number,
    sharers: States,
  ): boolean {
    const isForgiven =
      isBad(ended.outcome) &&
      ended.outcome !== 'in_doubt' &&
      !ended.isGuard &&
      (step.isIgnored || rescueDepth > 0);
    const shown = step.isSecret ? { is_hidden: true } : redactor.value(ended.result);
    const changes = step.isSecret ? ended.changes?.map(({ what }) => ({ what })) : ended.changes;
    journal.append({
      event: 'step_finished',
      step: step.id,
      name,
      module: step.moduleName,
      host: state.host.name,
      outcome: ended.outcome,
      durationMs: Math.round(performance.now() - startedAt),
      result: shown,
      ...(changes && changes.length > 0 ? { changes: redactor.value(changes) } : {}),
      ...(ended.reason === undefined ? {} : { reason: redactor.text(ended.reason) }),
      ...(isForgiven ? { isForgiven } : {}),
    });
    count(state.host.name, ended.outcome);
    remember(step, sharers, registeredOf(ended), ended.outcome, false);
    if (ended.isGuard) stopBy(5, ended.reason ?? 'stopped by a guard');
    if (ended.outcome === 'in_doubt') stopBy(4, ended.reason ?? 'a step’s outcome is unknown');
    return isBad(ended.outcome) && !step.isIgnored;
  }

  function circumstances(step: Step, scope: Scope, onHost: string): Omit<Circumstances, 'signal'> {
    const env = Object.fromEntries(
      step.environment
        .flatMap((layer) => Object.entries(layer))
        .map(([name, value]) => [name, String(render(value, scope, `environment.${name}`))]),
    );
    const become =
      typeof step.become === 'object'
        ? (render(step.become, scope, 'become') as Step['become'])
        : step.become;
    return {
      scope,
      become,
      env,
      file: step.source.file,
      progress: (message, percent) => {
        journal.append({
          event: 'step_progress',
          step: step.id,
          host: onHost,
          message: redactor.text(message),
          percent,
        });
      },
    };
  }

  async function once(step: Step, state: HostState, scope: Scope): Promise<Ended> {
    const { module } = step;
    if (!module) throw new DrillbookError('bug', `step ${step.id} has no module`);
    const target =
      step.delegateTo === undefined ? state.host.name : String(render(step.delegateTo, scope, 'delegate_to'));
    const host = hostNamed(world.plan.inventory, target);
    if (!host)
      throw new DrillbookError('step.delegate', `delegate_to: no host \`${target}\` in the inventory`);
    const own = circumstances(step, scope, state.host.name);
    return attempts(step, module, scope, {
      isCheck: step.checkMode ?? options.isCheck,
      isBlurred: state.hasChanges,
      contextWith: (signal) => contextFor(host, { ...own, signal }, tools),
      onRetry: (attempt, retries, reason) => own.progress(`attempt ${attempt} of ${retries + 1}: ${reason}`),
      pause: (ms) => pause(ms, options.interrupt),
      isInterrupted: () => options.interrupt.aborted,
    });
  }

  /** The false condition, or undefined when the step is to run. */
  function refusal(step: Step, scope: Scope): string | undefined {
    return step.when.find((condition) => !condition.test(scope))?.text;
  }

  async function loop(
    step: Step,
    state: HostState,
    scope: Scope,
    items: readonly unknown[],
    past: ReadonlyMap<number, { outcome?: StepOutcome | undefined; result?: Result | undefined }>,
  ): Promise<Ended> {
    const results: Result[] = [];
    const changes = [];
    let outcome: StepOutcome = items.length === 0 ? 'skipped' : 'ok';
    let reason: string | undefined = items.length === 0 ? 'the loop has no items' : undefined;
    let skipped = 0;
    for (const [index, item] of items.entries()) {
      const known = past.get(index);
      if (known?.outcome && !isBad(known.outcome)) {
        results.push(known.result ?? {});
        if (known.outcome === 'changed') outcome = outcome === 'ok' ? 'changed' : outcome;
        if (known.outcome === 'skipped') skipped++;
        continue;
      }
      const own = overlay(scope, { item, index });
      const label = step.keywords.label === undefined ? item : render(step.keywords.label, own, 'label');
      const text = step.isSecret
        ? `item ${index + 1}`
        : typeof label === 'object'
          ? JSON.stringify(label)
          : String(label);
      const ended = await valued(async () => {
        const refused = refusal(step, own);
        return refused === undefined
          ? once(step, state, own)
          : { outcome: 'skipped' as const, result: {}, reason: `when: ${refused}` };
      });
      const registered = { ...registeredOf(ended), item };
      results.push(registered);
      changes.push(
        ...(ended.changes ?? []).map((change) => ({ ...change, what: `${text}: ${change.what}` })),
      );
      journal.append({
        event: 'step_progress',
        step: step.id,
        host: state.host.name,
        message: redactor.text(ended.reason === undefined ? text : `${text}: ${ended.reason}`),
        item: index,
        outcome: ended.outcome,
        result: step.isSecret ? { is_hidden: true } : redactor.value(registered),
      });
      if (step.module?.kind === 'action') await journal.commit();
      if (ended.outcome === 'skipped') skipped++;
      if (ended.outcome === 'changed' && outcome === 'ok') outcome = 'changed';
      if (isBad(ended.outcome)) {
        reason ??= `${text}: ${ended.reason}`;
        outcome = ended.outcome;
        if (ended.isGuard || ended.outcome === 'unreachable')
          return { ...ended, result: { results }, changes, reason };
      }
    }
    if (items.length > 0 && skipped === items.length) outcome = 'skipped';
    return { outcome, result: { results }, changes, reason };
  }

  async function fresh(step: Step, state: HostState, past: Parameters<typeof loop>[4]): Promise<Ended> {
    const scope = scopeOf(state, step.vars, world);
    const usesItem = step.when.some((condition) =>
      condition.references.some(({ root }) => root === 'item' || root === 'index'),
    );
    const hasLoop = step.keywords.loop !== undefined;
    if (!hasLoop || !usesItem) {
      const refused = refusal(step, scope);
      if (refused !== undefined) return { outcome: 'skipped', result: {}, reason: `when: ${refused}` };
    }
    announce(step, state, scope);
    if (step.module?.kind === 'action' && !options.isCheck) await journal.commit();
    if (!hasLoop) return once(step, state, scope);
    const items = render(step.keywords.loop, scope, 'loop');
    if (!Array.isArray(items))
      throw new DrillbookError(
        'step.loop',
        `loop: a list is wanted, this is ${items === null ? 'nothing' : typeof items}`,
      );
    return loop(step, state, scope, items, past);
  }

  function announce(step: Step, state: HostState, scope: Scope): void {
    const name = nameOf(step, scope);
    journal.append({
      event: 'step_started',
      step: step.id,
      name,
      module: step.moduleName,
      host: state.host.name,
    });
  }

  function nameOf(step: Step, scope: Scope): string {
    try {
      return redactor.text(renderText(step.name, scope, 'name'));
    } catch {
      return step.name; // A name may speak of an item that only the loop knows.
    }
  }

  /** True when the step went wrong on this host and nothing forgives it here. */
  async function onHost(step: Step, state: HostState, sharers: States): Promise<boolean> {
    const past = history.take(step.id, state.host.name);
    const isDoubtful =
      past !== undefined &&
      (past.isOpen || past.finished?.outcome === 'in_doubt') &&
      step.module?.kind === 'action';
    if (past?.finished && isSettled(past.finished)) {
      const { outcome, result, reason, isForgiven } = past.finished;
      count(state.host.name, outcome);
      remember(step, sharers, registeredOf({ outcome, result, reason }), outcome, true);
      return isForgiven === true && !step.isIgnored;
    }
    if (past?.finished) history.diverge(state.host.name, past.finished.seq);
    const startedAt = performance.now();
    const name = nameOf(step, scopeOf(state, step.vars, world));
    if (isDoubtful && !options.isCheck) {
      const decision = options.onInterrupt ?? step.keywords.on_interrupt ?? 'fail';
      if (decision === 'skip') {
        const ended: Ended = {
          outcome: 'skipped',
          result: {},
          reason: 'its outcome was unknown after an interruption; skipped as decided',
        };
        return finish(step, name, state, ended, startedAt, sharers);
      }
      if (decision !== 'rerun') {
        const reason = `${name} was under way when the run was interrupted; whether it ran on ${state.host.name} is not known — look there, then resume with --on-interrupt rerun or skip`;
        return finish(step, name, state, { outcome: 'in_doubt', result: {}, reason }, startedAt, sharers);
      }
    }
    const ended = await valued(() => fresh(step, state, past?.items ?? new Map()));
    return finish(step, name, state, ended, startedAt, sharers);
  }

  async function checkInvariants(): Promise<void> {
    if (world.plan.invariants.length === 0 || stop) return;
    const broken = await invariants();
    if (!broken) return;
    journal.append({ event: 'invariant_broken', ...broken });
    stopBy(5, `invariant broken: ${broken.name}: ${broken.message}`);
  }

  async function runStep(play: PlannedPlay, step: Step, states: States): Promise<Set<HostState>> {
    const failed = new Set<HostState>();
    if (!step.isSelected || states.length === 0) return failed;
    if (step.moduleName === 'flush') return flush(play, states);
    if (options.mayRun && !(await options.mayRun(step))) return failed;
    const runners = step.isRunOnce ? states.slice(0, 1) : states;
    await each(runners, options.forks, async (state) => {
      if (await onHost(step, state, step.isRunOnce ? states : [state])) failed.add(state);
      await journal.commit();
    });
    await checkInvariants();
    return step.isRunOnce && failed.size > 0 ? new Set(states) : failed;
  }

  async function runBlock(
    play: PlannedPlay,
    node: Extract<PlanNode, { kind: 'block' }>,
    states: States,
  ): Promise<Set<HostState>> {
    const hasRescue = node.rescue.length > 0;
    if (hasRescue) rescueDepth++;
    let failed: Set<HostState>;
    try {
      failed = await runNodes(play, node.block, states);
    } finally {
      if (hasRescue) rescueDepth--;
    }
    if (hasRescue && failed.size > 0 && !stop) failed = await runNodes(play, node.rescue, [...failed]);
    if (node.always.length > 0 && !stop) {
      for (const state of await runNodes(play, node.always, states)) failed.add(state);
    }
    return failed;
  }

  const isFatal = (play: PlannedPlay, failed: number): boolean => {
    const { any_errors_fatal: isAny, max_failures: most } = play.play.keywords;
    return failed > 0 && (isAny === true || (most !== undefined && failed > most));
  };

  /** Runs the nodes in order; hosts that fail leave the row. Returns those that failed. */
  async function runNodes(
    play: PlannedPlay,
    nodes: readonly PlanNode[],
    states: States,
  ): Promise<Set<HostState>> {
    const failed = new Set<HostState>();
    let active = [...states];
    for (const node of nodes) {
      if (isInterrupted() || active.length === 0) break;
      const gone =
        node.kind === 'step' ? await runStep(play, node, active) : await runBlock(play, node, active);
      for (const state of gone) failed.add(state);
      if (isFatal(play, failed.size)) return new Set(states);
      active = active.filter((state) => !gone.has(state));
    }
    return failed;
  }

  /** Runs the notified handlers, each once for each host, in the order of their definition. */
  async function flush(play: PlannedPlay, states: States): Promise<Set<HostState>> {
    const failed = new Set<HostState>();
    for (const handler of play.handlers) {
      const waiting = states.filter((state) => state.notified.has(handler.name) && !failed.has(state));
      for (const state of waiting) state.notified.delete(handler.name);
      if (isInterrupted()) break;
      for (const state of await runStep(play, handler, waiting)) failed.add(state);
    }
    return failed;
  }

  function hostsOf(play: PlannedPlay): HostState[] {
    const { inventory, limit } = world.plan;
    const found = new Map<string, string[]>();
    for (const roles of world.roles.values()) {
      for (const [host, role] of Object.entries(roles)) found.set(role, [...(found.get(role) ?? []), host]);
    }
    for (const role of ['primary', 'standby', 'free']) if (!found.has(role)) found.set(role, []);
    const limited = limit === undefined ? undefined : new Set(selectHosts(limit, inventory, found));
    const first = world.states.get([...inventory.hosts.keys()][0] ?? '');
    const pattern =
      first && play.hosts.includes('{{')
        ? String(render(play.hosts, scopeOf(first, [world.plan.playbook.vars], world), 'hosts'))
        : play.hosts;
    const named = selectHosts(pattern, inventory, found);
    if (named.length === 0 && needsRoles(pattern)) {
      throw new DrillbookError('guard.role', `play \`${play.name}\`: no host is ${pattern} now`, {
        hint: 'see `drillbook status` for what each witness says',
      });
    }
    const names = named.filter((name) => limited?.has(name) ?? true);
    const rank = (name: string): number => {
      const role = [...world.roles.values()].map((roles) => roles[name]).find(Boolean) ?? '';
      return play.play.keywords.order === 'primary_first'
        ? Number(role !== 'primary')
        : Number(role === 'primary');
    };
    const order = play.play.keywords.order ?? 'inventory';
    const sorted = order === 'inventory' ? names : names.toSorted((a, b) => rank(a) - rank(b));
    return sorted.flatMap((name) => world.states.get(name) ?? []);
  }

  async function runPlay(play: PlannedPlay): Promise<void> {
    const states = hostsOf(play).filter((state) => !failedHosts.has(state.host.name));
    journal.append({
      event: 'play_started',
      play: play.id,
      name: play.name,
      hosts: states.map((state) => state.host.name),
    });
    let failures = 0;
    for (const batch of batchesOf(states, play.play.keywords.serial)) {
      const failed = await runNodes(play, play.nodes, batch);
      if (stop) return;
      const well = batch.filter((state) => !failed.has(state));
      for (const state of await flush(play, well)) failed.add(state);
      for (const state of failed) failedHosts.add(state.host.name);
      failures += failed.size;
      if (failed.size === batch.length && batch.length > 0) break;
      if (stop || isFatal(play, failures)) break;
    }
    hasFailed ||= failures > 0;
    // A play that stops the run leaves no host for the plays after it.
    if (isFatal(play, failures)) for (const state of world.states.values()) failedHosts.add(state.host.name);
  }

  return {
    async run(plan) {
      try {
        await checkInvariants();
        for (const play of plan.plays) {
          if (isInterrupted()) break;
          const isOver =
            hasFailed &&
            plan.inventory.hosts.size > 0 &&
            [...world.states.keys()].every((name) => failedHosts.has(name));
          if (isOver) break;
          if ([...stepsOf(play.nodes)].some((step) => step.isSelected)) await runPlay(play);
        }
        await checkInvariants();
      } catch (error) {
        if (!(error instanceof DrillbookError) || error.code.startsWith('journal.')) throw error;
        stopBy(
          error.code.startsWith('guard.') ? 5 : 1,
          `${error.message}${error.hint === undefined ? '' : ` — ${error.hint}`}`,
        );
      }
      return { stop, counts, hasFailed };
    },
  };
}

/** As many hosts side by side as help: more only queue at this machine's processors. */
export const DEFAULT_FORKS = Math.max(50, 16 * availableParallelism());

/** An error thrown by the engine's own part of a step is the step's failure too. */
async function valued(work: () => Promise<Ended>): Promise<Ended> {
  try {
    return await work();
  } catch (error) {
    return failure(error);
  }
}

function pause(ms: number, interrupt: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (interrupt.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      interrupt.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    interrupt.addEventListener('abort', done, { once: true });
  });
}
