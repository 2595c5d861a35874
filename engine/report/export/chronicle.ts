import { isBad as isBadOutcome } from '../../core/event.ts';
import type { Counts, StepOutcome } from '../../core/event.ts';
import type { Change, Result } from '../../core/module.ts';

/** A stretch of a run, from its start or a resume until it ended, was interrupted, or died. Times are ISO-8601 UTC. */
export interface Session {
  readonly from: string;
  /** Of one that died: the last that is known of it. */
  until: string;
  readonly operator: string;
  /** `unknown`: it died, or goes on still. */
  end: 'finished' | 'interrupted' | 'unknown';
}

/** A failed attempt or a word of the module while a step was at work. */
export interface Word {
  readonly at: string;
  readonly message: string;
  /** Attempts spent. */
  readonly attempt: number | null;
  readonly percent: number | null;
}

/** A step on one host, once: one that was taken up again by a resume is there again. */
export interface StepResult {
  readonly host: string;
  readonly from: string;
  /** Null where it was under way when all that is known ends. */
  until: string | null;
  outcome: StepOutcome | null;
  durationMs: number;
  reason: string | null;
  isForgiven: boolean;
  changes: readonly Change[];
  result: Result;
  readonly words: Word[];
}

export interface StepStory {
  readonly id: string;
  readonly name: string;
  readonly module: string;
  /** Id of the play in which it first ran. */
  readonly play: string;
  readonly results: StepResult[];
}

/** The roles of a pair at one time, as far as the run looked. */
export interface RolesSeen {
  readonly at: string;
  readonly cluster: string;
  readonly roles: Readonly<Record<string, string>>;
}

/** All that a journal tells of a run; `report --format json` is exactly this (docs/contract.md). */
export interface Chronicle {
  readonly run: string;
  name: string;
  playbook: string;
  inventory: string;
  operator: string;
  isCheck: boolean;
  startedAt: string;
  /** The last that is known. */
  endedAt: string;
  /** `unfinished`: interrupted, killed, or under way still. */
  outcome: 'done' | 'failed' | 'in_doubt' | 'stopped' | 'unfinished';
  exitCode: number | null;
  reason: string | null;
  /** Where the journal is not as it was written; all else is from before that. */
  damage: string | null;
  options: Result;
  hosts: string[];
  /** Cluster → what guards it. */
  protection: Readonly<Record<string, string>>;
  counts: Record<string, Counts>;
  readonly sessions: Session[];
  readonly plays: {
    readonly id: string;
    readonly name: string;
    readonly at: string;
    readonly hosts: readonly string[];
  }[];
  readonly steps: StepStory[];
  readonly roles: RolesSeen[];
  readonly away: {
    readonly host: string;
    readonly from: string;
    until: string | null;
    readonly message: string;
  }[];
  readonly notified: {
    readonly at: string;
    readonly handler: string;
    readonly host: string;
    readonly by: string;
  }[];
  readonly confirmations: { readonly at: string; readonly question: string; readonly by: string }[];
  readonly obligations: {
    readonly obligation: string;
    readonly host: string;
    readonly message: string;
    readonly step: string;
    readonly openedAt: string;
    readonly isLasting: boolean;
    closedAt: string | null;
    closedBy: string | null;
  }[];
  /** Guards that stopped the run: invariants, roles, locks. */
  readonly guards: {
    readonly at: string;
    readonly guard: string;
    readonly message: string;
    readonly host: string | null;
  }[];
  readonly locks: {
    readonly at: string;
    readonly cluster: string;
    readonly what: 'taken' | 'released' | 'lost';
    readonly by: string | null;
  }[];
  readonly edits: {
    readonly at: string;
    readonly by: string;
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: Readonly<Record<string, readonly string[]>>;
    readonly moved: readonly string[];
    readonly others: readonly string[];
    readonly files: readonly string[];
  }[];
}

/** The results that count: of each step and host the last one. */
export function lastResults({ results }: StepStory): readonly StepResult[] {
  return [...new Map(results.map((result) => [result.host, result])).values()];
}

/** Also what has no outcome: it was under way when the journal ends. */
export const isBad = (outcome: StepOutcome | null): boolean => outcome === null || isBadOutcome(outcome);

/** Steps and hosts where the run went wrong, and nothing forgave it or made it good. */
export const failuresOf = ({ steps }: Chronicle): readonly { step: StepStory; result: StepResult }[] =>
  steps.flatMap((step) =>
    lastResults(step)
      .filter((result) => isBad(result.outcome) && !result.isForgiven)
      .map((result) => ({ step, result })),
  );
