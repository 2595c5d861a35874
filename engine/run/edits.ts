import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DrillbookError } from '../core/error.ts';
import type { RunEvent } from '../core/event.ts';

/** File → SHA-256 of its content, so that a resume notices an edit. */
export function fingerprints(files: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    files.map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]),
  );
}

/** Throws `plan.edited` where a file of the plan is not what it was when the run began. */
export function refuseEdits(events: readonly RunEvent[], files: readonly string[]): void {
  const started = events.find((event) => event.event === 'run_started');
  const before = started?.options['files'] as Readonly<Record<string, string>> | undefined;
  if (!before) return;
  const now = fingerprints(files);
  const edited = Object.keys({ ...before, ...now }).filter((file) => before[file] !== now[file]);
  if (edited.length === 0) return;
  throw new DrillbookError('plan.edited', `edited since the run began: ${edited.join(', ')}`, {
    hint: 'resume with --accept-changes to go on with the files as they are now',
  });
}
