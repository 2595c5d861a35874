import { availableParallelism } from 'node:os';
import { DrillbookError } from '../core/error.ts';
import type { Counts } from '../core/event.ts';
import { renderText } from '../parse/template.ts';
import { stepsOf } from '../plan/plan.ts';
import type { Plan, PlannedPlay, PlanNode, Step } from '../plan/plan.ts';
import { batchesOf, each } from './batches.ts';
import type { Tools } from './context.ts';
import { isStopped, stopBy, triesOf } from './course.ts';
import type { Course, RunnerOptions, States, Stop } from './course.ts';
import { isSettled } from './journal/history.ts';
import type { History } from './journal/history.ts';
import { finish } from './finish.ts';
import type { HostState } from './host-state.ts';
import { hostsOf } from './hosts.ts';
import type { BrokenInvariant } from './invariants.ts';
import type { Journal } from './journal/journal.ts';
import { onHost } from './on-host.ts';
import { scopeOf } from './scope.ts';
import { undoAll } from './obligations/undo.ts';

export interface Finish {
  readonly stop: Stop | undefined;
  readonly counts: Readonly<Record<string, Counts>>;
  readonly hasFailed: boolean;
}

export interface Runner {
  run(plan: Plan): Promise<Finish>;
}

/** As many hosts side by side as help: more only queue at this machine's processors. */
export const DEFAULT_FORKS = Math.max(50, 16 * availableParallelism());

/** True when one host's failure can take others out, so that they too leave the way the journal tells. */
const isShared = (play: PlannedPlay, step: Step): boolean =>
  step.isRunOnce || step.isFatal || play.play.keywords.max_failures !== undefined;

/** Facts alone are gathered only where the play has nothing else. */
function isWanted(play: PlannedPlay): boolean {
  const steps = [...stepsOf(play.nodes)];
  const own = steps.filter((step) => !step.isGathering);
  return (own.length > 0 ? own : steps).some((step) => step.isSelected);
}

const isFatal = (play: PlannedPlay, failed: number): boolean => {
  const { max_failures: most } = play.play.keywords;
  return failed > 0 && most !== undefined && failed > most;
};

/** Walks a plan: plays, blocks and handlers; what one step does on one host is on-host.ts. */
export function runner(
  journal: Journal,
  history: History,
  tools: Tools,
  options: RunnerOptions,
  invariants: () => Promise<BrokenInvariant | undefined>,
): Runner {
  const { world } = tools;
  const course: Course = {
    journal,
    history,
    tools,
    options,
    counts: {},
    rescueDepth: 0,
    stop: undefined,
  };
  const failedHosts = new Set<string>();
  let hasFailed = false;
  /** A play that lost all its hosts ends the run: what follows was meant to come after its success. */
  let isOver = false;

  async function checkInvariants(): Promise<void> {
    if (world.plan.invariants.length === 0 || course.stop) return;
    const broken = await invariants();
    if (!broken) return;
    const message = tools.redactor.text(broken.message);
    journal.append({ event: 'invariant_broken', name: broken.name, message });
    stopBy(course, 5, `invariant broken: ${broken.name}: ${message}`);
  }

  /** The host for all: the one that has run it already, where a resume brings back others before it. */
  function runOnceOn(step: Step, states: States): States {
    const known = states.find((state) => isSettled(history.peek(step.id, state.host.name)?.finished));
    return known ? [known] : states.slice(0, 1);
  }

  /** `--step`. What the operator says no to is skipped, and a resume leaves it so. */
  async function isWished(step: Step, states: States): Promise<boolean> {
    const names = states.map((state) => state.host.name);
    if (await options.mayRun?.(step, names)) return true;
    for (const state of states) {
      history.take(step.id, state.host.name);
      const reason = 'left out by the operator (--step)';
      finish(course, step, step.name, state, { outcome: 'skipped', result: {}, reason }, performance.now(), [
        state,
      ]);
    }
    await journal.commit();
    return false;
  }

  async function runStep(play: PlannedPlay, step: Step, states: States): Promise<Set<HostState>> {
    const failed = new Set<HostState>();
    if (!step.isSelected || states.length === 0) return failed;
    if (step.moduleName === 'flush') return flush(play, states);
    const ends = states.map((state) => history.peek(step.id, state.host.name)?.finished);
    if (options.mayRun && !ends.every(isSettled) && !(await isWished(step, states))) return failed;
    if (isShared(play, step) && ends.some((end) => end && !isSettled(end))) history.divergeAll(step.id);
    const [before, tries] = [journal.count, triesOf(course)];
    await each(step.isRunOnce ? runOnceOn(step, states) : states, options.forks, async (state) => {
      if (isStopped(course)) return;
      if (await onHost(course, step, state, step.isRunOnce ? states : [state])) failed.add(state);
    });
    // A step taken from the journal, or skipped, has done nothing now.
    if (journal.count > before && triesOf(course) > tries) await checkInvariants();
    return (step.isRunOnce || step.isFatal) && failed.size > 0 ? new Set(states) : failed;
  }

  async function runBlock(
    play: PlannedPlay,
    node: Extract<PlanNode, { kind: 'block' }>,
    states: States,
  ): Promise<Set<HostState>> {
    const hasRescue = node.rescue.length > 0;
    if (hasRescue) course.rescueDepth++;
    let failed: Set<HostState>;
    try {
      failed = await runNodes(play, node.block, states);
    } finally {
      if (hasRescue) course.rescueDepth--;
    }
    if (hasRescue && failed.size > 0 && !isStopped(course))
      failed = await runNodes(play, node.rescue, [...failed]);
    if (node.always.length > 0 && !isStopped(course)) {
      for (const state of await runNodes(play, node.always, states)) failed.add(state);
    }
    return failed;
  }

  /** Runs the nodes in order; hosts that fail leave the row. Returns those that failed. */
  async function runNodes(
    play: PlannedPlay,
    nodes: readonly PlanNode[],
    states: States,
  ): Promise<Set<HostState>> {
    const failed = new Set<HostState>();
    let active = [...states];
    for (const node of nodes) {
      if (isStopped(course) || active.length === 0) break;
      const gone =
        node.kind === 'step' ? await runStep(play, node, active) : await runBlock(play, node, active);
      for (const state of gone) failed.add(state);
      if (isFatal(play, failed.size)) return new Set(states);
      active = active.filter((state) => !gone.has(state));
    }
    return failed;
  }

  /** True where a word of `notify` means this handler: its name as written or rendered, or what it listens to. */
  function isMeant(handler: Step, word: string, state: HostState): boolean {
    if (word === handler.name || handler.keywords.listen?.includes(word)) return true;
    return (
      handler.name.includes('{{') &&
      word === renderText(handler.name, scopeOf(state, handler.vars, world), 'name')
    );
  }

  /** Hosts on which the handler is waited for; takes it off their lists. What was notified goes to all it means first. */
  function claim(play: PlannedPlay, handler: Step, states: States): HostState[] {
    for (const state of states) {
      for (const word of state.notified)
        for (const other of play.handlers) if (isMeant(other, word, state)) state.waiting.add(other.id);
      state.notified.clear();
    }
    return states.filter((state) => state.waiting.delete(handler.id));
  }

  /**
   * Runs the notified handlers, each once for each host, in the order of their definition; again from the top for
   * those that handlers notified. Plans with handlers that notify one another in a circle are refused.
   */
  async function flush(play: PlannedPlay, states: States): Promise<Set<HostState>> {
    const failed = new Set<HostState>();
    for (const _ of play.handlers) {
      let hasRun = false;
      for (const handler of play.handlers) {
        if (isStopped(course)) return failed;
        const waiting = claim(
          play,
          handler,
          states.filter((state) => !failed.has(state)),
        );
        hasRun ||= waiting.length > 0;
        for (const state of await runStep(play, handler, waiting)) failed.add(state);
      }
      if (!hasRun) break;
    }
    return failed;
  }

  /** An error outside any step ends the run; one of the engine or the journal goes on. */
  function stopAt(error: unknown): void {
    if (!(error instanceof DrillbookError) || error.code.startsWith('journal.')) throw error;
    if (error.code.startsWith('interrupt.')) stopBy(course, 3, 'interrupted');
    const hint = error.hint === undefined ? '' : ` — ${error.hint}`;
    stopBy(course, error.code.startsWith('guard.') ? 5 : 1, `${error.message}${hint}`);
  }

  async function runPlay(play: PlannedPlay): Promise<void> {
    const states = hostsOf(play, world).filter((state) => !failedHosts.has(state.host.name));
    journal.append({
      event: 'play_started',
      play: play.id,
      name: play.name,
      hosts: states.map((state) => state.host.name),
    });
    let failures = 0;
    for (const batch of batchesOf(states, play.play.keywords.serial)) {
      const failed = new Set<HostState>();
      try {
        for (const state of await runNodes(play, play.nodes, batch)) failed.add(state);
        const well = course.stop ? [] : batch.filter((state) => !failed.has(state));
        for (const state of await flush(play, well)) failed.add(state);
      } catch (error) {
        stopAt(error);
      }
      for (const state of await undoAll(course, play, batch, failed)) failed.add(state);
      if (course.stop) return;
      for (const state of failed) failedHosts.add(state.host.name);
      failures += failed.size;
      isOver = batch.length > 0 && (failed.size === batch.length || isFatal(play, failures));
      if (course.stop || isOver) break;
    }
    hasFailed ||= failures > 0;
  }

  return {
    async run(plan) {
      try {
        await checkInvariants();
        for (const play of plan.plays) {
          if (isOver || isStopped(course)) break;
          if (isWanted(play)) await runPlay(play);
        }
        await checkInvariants();
      } catch (error) {
        stopAt(error);
      }
      return { stop: course.stop, counts: course.counts, hasFailed };
    },
  };
}
