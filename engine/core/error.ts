import type { Place } from './place.ts';

export interface ErrorDetail {
  readonly hint?: string | undefined;
  readonly at?: Place | undefined;
  /** The source line at `at`, without its newline; left out where it could hold a secret. */
  readonly excerpt?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Every error that drillbook foresees. `code` is stable and its first word decides the exit code:
 * usage, parse, plan → 2; interrupt → 3; guard → 5; doubt → 4; host, step → 1.
 */
export class DrillbookError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly at: Place | undefined;
  readonly excerpt: string | undefined;

  constructor(code: string, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'DrillbookError';
    this.code = code;
    this.hint = detail.hint;
    this.at = detail.at;
    this.excerpt = detail.excerpt;
  }
}

/** Several errors found together, so that a file is mended in one go. */
export class Problems extends DrillbookError {
  readonly problems: readonly DrillbookError[];

  constructor(problems: readonly DrillbookError[]) {
    super(problems[0]?.code ?? 'parse.problems', `${problems.length} problems`);
    this.problems = problems;
  }
}

/** A host could not be reached or refused us; the step is `unreachable`, not `failed`. */
export class Unreachable extends DrillbookError {
  readonly host: string;

  constructor(host: string, code: string, message: string, detail: ErrorDetail = {}) {
    super(`host.${code}`, message, detail);
    this.name = 'Unreachable';
    this.host = host;
  }
}

/** What a module throws when its step failed; `result` is what is known all the same. */
export class StepFailed extends DrillbookError {
  readonly result: Readonly<Record<string, unknown>>;

  constructor(message: string, result: Readonly<Record<string, unknown>> = {}, detail: ErrorDetail = {}) {
    super('step.failed', message, detail);
    this.name = 'StepFailed';
    this.result = result;
  }
}
