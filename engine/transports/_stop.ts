import { DrillbookError } from '../core/error.ts';

/** Why a step was stopped from outside; the runner's own reason where it gave one. */
export function stopped(host: string, signal: AbortSignal): DrillbookError {
  if (signal.reason instanceof DrillbookError) return signal.reason;
  return new DrillbookError('step.timeout', `the command on ${host} was stopped: its time was up`, {
    hint: 'it and all it had started were killed; raise `timeout` if it needs longer',
    cause: signal.reason,
  });
}

/** Waits for `work`, its failure or the time. */
export const within = (ms: number, work: Promise<unknown>): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void work
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(timer);
        resolve();
      });
  });
