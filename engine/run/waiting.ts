import { durationText } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';

/** What a transport may take to end what it has begun on a host, before it is left to itself. */
const STOPPING_MS = 15_000;
/** As long as nobody notices that the engine looks at nothing else. */
const BREATH_MS = 20;
/** The longest that a timer of Node takes; more would make it fire at once. */
const MOST_MS = 2 ** 31 - 1;

const LEFT = Symbol('left to itself');

/**
 * Runs `work` with a signal that is aborted after `ms`; gives undefined when that was too late. Throws `step.left`
 * where it did not end even then, so that it may be under way still.
 */
export async function within<T>(
  ms: number | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const controller = new AbortController();
  if (ms === undefined) return work(controller.signal);
  const timers: NodeJS.Timeout[] = [];
  // Not everything that a module waits for heeds the signal; nothing may wait much longer than it was allowed to.
  const late = new Promise<typeof LEFT>((resolve) => {
    const stop = (): void => {
      controller.abort(new DrillbookError('step.timeout', `not done within ${durationText(ms)}`));
      timers.push(setTimeout(() => resolve(LEFT), STOPPING_MS));
    };
    timers.push(setTimeout(stop, Math.min(ms, MOST_MS)));
  });
  try {
    // Once it was told to stop, that is why it failed.
    const running = work(controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) throw error;
      return undefined;
    });
    const done = await Promise.race([running, late]);
    if (done !== LEFT) return controller.signal.aborted ? undefined : done;
    throw new DrillbookError('step.left', `not done within ${durationText(ms)}, nor ended when told to stop`);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

let breathedAt = 0;

/**
 * Lets signals, timers and the terminal have their turn now and then, among steps that wait for nothing outside the
 * engine.
 */
export async function breathe(): Promise<void> {
  if (performance.now() - breathedAt < BREATH_MS) return;
  await new Promise((resolve) => setImmediate(resolve));
  breathedAt = performance.now();
}

/** Waits for `work`, but no longer than `ms`; what became of it is of no account then. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  work.catch(() => undefined);
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves after `ms`, or early when the run is interrupted. */
export function pause(ms: number, interrupt: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (interrupt.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      interrupt.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, MOST_MS));
    interrupt.addEventListener('abort', done, { once: true });
  });
}
