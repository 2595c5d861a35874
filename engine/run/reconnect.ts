import { durationText } from '../core/duration.ts';
import { Unreachable } from '../core/error.ts';
import type { Host } from '../core/host.ts';
import type { Connections } from './connections.ts';
import type { Journal } from './journal/journal.ts';
import { pause } from './waiting.ts';

/** How long a host that was reached before may be away. */
export const RECONNECT_MS = 5 * 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;

/** The connection is gone, or the host: both may come back. A key or password that is refused does not. */
export const isAway = (error: unknown): error is Unreachable =>
  error instanceof Unreachable && (error.code === 'host.lost' || error.code === 'host.unreachable');

const secondsOf = (ms: number): number => Math.ceil(ms / 1000) * 1000;

interface Waiting {
  readonly connections: Connections;
  readonly journal: Journal;
  tell(message: string): void;
  readonly interrupt: AbortSignal;
}

/** How waiting for a host ended; `error` is why it is away still. */
export type Back =
  { readonly kind: 'back' | 'interrupted' } | { readonly kind: 'away'; readonly error: Unreachable };

/** Tries to reach a host again until it answers, its time is up, or the run is interrupted. */
export async function comeBack(
  host: Host,
  lost: Unreachable,
  { connections, journal, tell, interrupt }: Waiting,
): Promise<Back> {
  const startedAt = performance.now();
  const forMs = host.connection.reconnectTimeoutMs ?? RECONNECT_MS;
  journal.append({ event: 'host_away', host: host.name, message: lost.message, forMs });
  let error = lost;
  for (let wait = 0; ; wait = Math.min(Math.max(wait * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)) {
    await pause(wait, interrupt);
    if (interrupt.aborted) return { kind: 'interrupted' };
    const awayMs = Math.round(performance.now() - startedAt);
    if (awayMs >= forMs) return { kind: 'away', error };
    tell(`${error.message}; connecting again, for ${durationText(secondsOf(forMs - awayMs))} at most`);
    try {
      await connections.get(host);
      journal.append({
        event: 'host_back',
        host: host.name,
        awayMs: Math.round(performance.now() - startedAt),
      });
      return { kind: 'back' };
    } catch (failure) {
      if (!(failure instanceof Unreachable)) throw failure;
      error = failure;
      if (!isAway(failure)) return { kind: 'away', error };
    }
  }
}
