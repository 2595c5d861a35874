import type { Counts, StepOutcome } from '../core/event.ts';
import type { Step } from '../plan/plan.ts';
import type { Tools } from './context.ts';
import type { History } from './journal/history.ts';
import type { HostState } from './host-state.ts';
import type { Journal } from './journal/journal.ts';

/** What to do with an action that was under way when the run was interrupted. */
export type OnInterrupt = 'rerun' | 'skip' | 'fail';

export interface RunnerOptions {
  readonly isCheck: boolean;
  readonly forks: number;
  readonly onInterrupt: OnInterrupt | undefined;
  /** `on_interrupt: ask`: asks the operator; undefined where nobody is there. */
  readonly decide?: ((question: string) => Promise<OnInterrupt>) | undefined;
  /** --step: asked before each step; false leaves it out. */
  readonly mayRun?: ((step: Step, hosts: readonly string[]) => Promise<boolean>) | undefined;
  /** Aborted by Ctrl-C: the step in flight ends, then the run. */
  readonly interrupt: AbortSignal;
}

/** Why a run ended before its last step. */
export interface Stop {
  readonly exitCode: 1 | 3 | 4 | 5;
  readonly reason: string;
}

export type States = readonly HostState[];

/** A run on its way: what the parts of the runner share. */
export interface Course {
  readonly journal: Journal;
  readonly history: History;
  readonly tools: Tools;
  readonly options: RunnerOptions;
  readonly counts: Record<string, Counts>;
  /** Blocks around the step in hand whose `rescue` will take care of a failure. */
  rescueDepth: number;
  stop: Stop | undefined;
}

export function count({ counts }: Course, host: string, outcome: StepOutcome): void {
  const own = (counts[host] ??= {});
  own[outcome] = (own[outcome] ?? 0) + 1;
}

/** How often a host came to a step and it was not skipped. */
export const triesOf = ({ counts }: Course): number =>
  Object.values(counts)
    .flatMap((own) => Object.entries(own))
    .reduce((sum, [outcome, times]) => (outcome === 'skipped' ? sum : sum + times), 0);

/** The first reason to stop stays the reason. */
export function stopBy(course: Course, exitCode: Stop['exitCode'], reason: string): void {
  course.stop ??= { exitCode, reason };
}

/** True when nothing further may begin. */
export function isStopped(course: Course): boolean {
  if (course.options.interrupt.aborted) stopBy(course, 3, 'interrupted');
  return course.stop !== undefined;
}
