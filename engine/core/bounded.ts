import { createContext, runInContext } from 'node:vm';
import { DrillbookError } from './error.ts';

/** A regular expression that needs longer goes back and forth for ever. */
const MOST_MS = 1000;

/**
 * What `work` gives, which may apply regular expressions of the operator's; throws `step.pattern` where they do not come
 * to an end.
 */
export function bounded<T>(work: () => T): T {
  try {
    return runInContext('work()', createContext({ work }), { timeout: MOST_MS }) as T;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cause;
    throw new DrillbookError('step.pattern', 'a regular expression that comes to no end on this text');
  }
}
