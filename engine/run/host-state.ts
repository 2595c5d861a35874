import type { Host } from '../core/host.ts';
import type { Result } from '../core/module.ts';

/** What a run knows of one host; grows as steps finish. */
export interface HostState {
  readonly host: Host;
  readonly registered: Map<string, Result>;
  /** Variables of the `set` module. */
  readonly set: Map<string, unknown>;
  facts: Result;
  /** Names of handlers waiting for the end of the play. */
  readonly notified: Set<string>;
  /** Some step would have changed it: under --check, what follows may look different then. */
  hasChanges: boolean;
}

export const hostState = (host: Host): HostState => ({
  host,
  registered: new Map(),
  set: new Map(),
  facts: {},
  notified: new Set(),
  hasChanges: false,
});
