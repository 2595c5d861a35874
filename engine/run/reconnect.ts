import { durationText } from '../core/duration.ts';
import { Unreachable } from '../core/error.ts';
import type { Host } from '../core/host.ts';
import type { Connections } from './connections.ts';
import { pause } from './waiting.ts';

/** How long a host that was reached before may be away. */
export const RECONNECT_MS = 5 * 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;

/** The connection is gone, or the host: both may come back. A key or password that is refused does not. */
export const isAway = (error: unknown): error is Unreachable =>
  error instanceof Unreachable && (error.code === 'host.lost' || error.code === 'host.unreachable');

/** How waiting for a host ended; `error` is why it is away still. */
export type Back =
  { readonly kind: 'back' | 'interrupted' } | { readonly kind: 'away'; readonly error: Unreachable };

/** Tries to reach a host again until it answers, its time is up, or the run is interrupted. */
export async function comeBack(
  host: Host,
  lost: Unreachable,
  connections: Connections,
  tell: (message: string) => void,
  interrupt: AbortSignal,
): Promise<Back> {
  const end = performance.now() + (host.connection.reconnectTimeoutMs ?? RECONNECT_MS);
  let error = lost;
  for (let wait = 0; ; wait = Math.min(Math.max(wait * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)) {
    await pause(wait, interrupt);
    if (interrupt.aborted) return { kind: 'interrupted' };
    const leftMs = Math.round((end - performance.now()) / 1000) * 1000;
    if (leftMs <= 0) return { kind: 'away', error };
    tell(`${error.message}; connecting again, for ${durationText(leftMs)} at most`);
    try {
      await connections.get(host);
      return { kind: 'back' };
    } catch (failure) {
      if (!(failure instanceof Unreachable)) throw failure;
      error = failure;
      if (!isAway(failure)) return { kind: 'away', error };
    }
  }
}
