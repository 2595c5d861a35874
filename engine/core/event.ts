import type { Change, Result } from './module.ts';

export type StepOutcome = 'ok' | 'changed' | 'skipped' | 'failed' | 'unreachable' | 'in_doubt' | 'not_run';

/** The step did not do on the host what it was to do, as far as is known. */
export const isBad = (outcome: StepOutcome): boolean =>
  outcome === 'failed' || outcome === 'unreachable' || outcome === 'in_doubt';

/** How many steps of a host ended in which way. */
export type Counts = Partial<Record<StepOutcome, number>>;

/** What a run says of itself, before the journal gives it `run`, `seq` and `at`. Secrets are masked already. */
export type Happening =
  | {
      readonly event: 'run_started';
      readonly playbook: string;
      readonly name: string;
      readonly inventory: string;
      readonly operator: string;
      readonly isCheck: boolean;
      readonly hosts: readonly string[];
      /** Cluster → what guards it when its nodes lose each other, and what that means then. */
      readonly protection?: Readonly<Record<string, string>> | undefined;
      readonly options: Result;
    }
  | {
      readonly event: 'play_started';
      readonly play: string;
      readonly name: string;
      readonly hosts: readonly string[];
    }
  | {
      readonly event: 'roles_found';
      readonly cluster: string;
      readonly roles: Readonly<Record<string, string>>;
    }
  | {
      /** A connection was made; `boot` is the kernel's identity of the host's boot, empty where it has none. */
      readonly event: 'host_connected';
      readonly host: string;
      readonly boot: string;
    }
  | {
      /** A host that was reached before does not answer; the run waits for it, `forMs` at most. */
      readonly event: 'host_away';
      readonly host: string;
      readonly message: string;
      readonly forMs: number;
    }
  | { readonly event: 'host_back'; readonly host: string; readonly awayMs: number }
  | {
      readonly event: 'step_started';
      readonly step: string;
      readonly name: string;
      readonly module: string;
      readonly host: string;
      /** An undo before its play came to its end: a resume does its task again. */
      readonly isEarly?: boolean | undefined;
    }
  | {
      /** What a step found out before it acted, for when it is taken up again. */
      readonly event: 'step_kept';
      readonly step: string;
      readonly host: string;
      /** Index in its loop. */
      readonly item: number;
      readonly name: string;
      readonly value: unknown;
    }
  | {
      /** A loop's item ended, an attempt failed and is tried again, or a module has something to say. */
      readonly event: 'step_progress';
      readonly step: string;
      readonly host: string;
      readonly message: string;
      readonly percent?: number | undefined;
      readonly item?: number | undefined;
      /** Attempts spent, this one included. */
      readonly attempt?: number | undefined;
      /** Whether it was done could not be found out, and it was decided to run it again. */
      readonly isRerun?: boolean | undefined;
      readonly outcome?: StepOutcome | undefined;
      readonly result?: Result | undefined;
    }
  | {
      readonly event: 'step_finished';
      readonly step: string;
      readonly name: string;
      readonly module: string;
      readonly host: string;
      readonly outcome: StepOutcome;
      readonly durationMs: number;
      readonly result: Result;
      /** What was changed (or, in check mode, would be). */
      readonly changes?: readonly Change[] | undefined;
      /** Why it was skipped or failed, in one sentence. */
      readonly reason?: string | undefined;
      /** The failure was ignored or rescued: it does not fail the run. */
      readonly isForgiven?: boolean | undefined;
    }
  | {
      readonly event: 'handler_notified';
      readonly handler: string;
      readonly host: string;
      readonly by: string;
    }
  | {
      readonly event: 'obligation_opened';
      /** `NAME@WHERE`: WHERE is a cluster or a host. */
      readonly obligation: string;
      readonly host: string;
      /** The pair of that host. */
      readonly cluster?: string | undefined;
      readonly message: string;
      /** The step that bends it, and the one that will undo it. */
      readonly step: string;
      readonly undo?: string | undefined;
      /** Meant to stay so: the task says `stays`. */
      readonly isLasting?: boolean | undefined;
    }
  | {
      readonly event: 'obligation_closed';
      readonly obligation: string;
      readonly host: string;
      /** A step's id, or who saw that it is put right. */
      readonly by: string;
      /** The step whose doing was undone before the play came to its end: a resume does it again. */
      readonly redo?: string | undefined;
    }
  | {
      /** Host → the token of the lock of its cluster, which the nodes check with every step. */
      readonly event: 'lock_taken';
      readonly cluster: string;
      readonly tokens: Readonly<Record<string, number>>;
    }
  | { readonly event: 'lock_released'; readonly cluster: string }
  | {
      /** `unlock`: somebody else gave the run up on these hosts. */
      readonly event: 'lock_lost';
      readonly cluster: string;
      readonly hosts: readonly string[];
      readonly by: string;
    }
  | { readonly event: 'invariant_broken'; readonly name: string; readonly message: string }
  | { readonly event: 'confirmation_given'; readonly question: string; readonly by: string }
  | { readonly event: 'run_interrupted'; readonly reason: string }
  | { readonly event: 'run_resumed'; readonly operator: string }
  | {
      /** The run goes on with edited files; steps by their ids, with what of each is not what it was. */
      readonly event: 'changes_accepted';
      readonly by: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly changed: Readonly<Record<string, readonly string[]>>;
      readonly moved: readonly string[];
      /** Beside the steps: plays, hosts, inputs. */
      readonly others: readonly string[];
      /** Path → SHA-256 (size and time of large ones); null for one that is gone. */
      readonly files: Readonly<Record<string, string | null>>;
    }
  | {
      readonly event: 'run_finished';
      readonly outcome: 'done' | 'failed' | 'in_doubt' | 'stopped';
      readonly exitCode: number;
      readonly durationMs: number;
      readonly counts: Readonly<Record<string, Counts>>;
      readonly reason?: string | undefined;
    };

/** One line of the journal. `seq` counts from 1 within the run; `at` is ISO-8601 UTC. */
export type RunEvent = Happening & { readonly run: string; readonly seq: number; readonly at: string };
