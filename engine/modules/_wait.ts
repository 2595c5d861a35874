import { setTimeout as pause } from 'node:timers/promises';

/** Looks again, a little less often each time, until the look says it is done or the time is over; the last look. */
export async function waitUntil<T>(
  signal: AbortSignal,
  limitMs: number,
  look: () => Promise<{ readonly value: T; readonly isDone: boolean }>,
): Promise<T> {
  const end = Date.now() + limitMs;
  for (let delay = 50; ; delay = Math.min(delay * 1.5, 1000)) {
    const { value, isDone } = await look();
    if (isDone || Date.now() >= end) return value;
    await pause(delay, undefined, { signal });
  }
}
