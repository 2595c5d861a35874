import type { StepOutcome } from '../core/event.ts';
import type { Host } from '../core/host.ts';
import type { Result } from '../core/module.ts';

/** What `rescue` hears of the step that failed. */
export interface Failure {
  readonly task: string;
  readonly module: string;
  readonly outcome: StepOutcome;
  readonly message: string;
  readonly result: Result;
}

/** What a run knows of one host; grows as steps finish. */
export interface HostState {
  readonly host: Host;
  readonly registered: Map<string, Result>;
  /** Variables of the `set` module. */
  readonly set: Map<string, unknown>;
  /** Under --check: variables that a step would have set, to what nobody knows; name → that step. */
  readonly unforeseen: Map<string, string>;
  facts: Result;
  /** Names of handlers, or words they listen to, since they were last flushed. */
  readonly notified: Set<string>;
  /** Ids of handlers waiting for the end of the play. */
  readonly waiting: Set<string>;
  /** The last step that failed here and was not ignored: what a `rescue` is for. */
  failure?: Failure;
  /** Some step would have changed it: under --check, what follows may look different then. */
  hasChanges: boolean;
}

export const hostState = (host: Host): HostState => ({
  host,
  registered: new Map(),
  set: new Map(),
  unforeseen: new Map(),
  facts: {},
  notified: new Set(),
  waiting: new Set(),
  hasChanges: false,
});
