import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DrillbookError } from '../core/error.ts';
import type { RunEvent } from '../core/event.ts';
import type { Plan, Vars } from '../plan/plan.ts';

type Texts = Readonly<Record<string, string>>;

/** File → SHA-256 of its content, so that a resume notices an edit. */
export function fingerprints(files: readonly string[]): Texts {
  return Object.fromEntries(
    files.map((file) => [file, createHash('sha256').update(readFileSync(file)).digest('hex')]),
  );
}

/** Throws `plan.edited` where a file of the plan, or what was given with -e, is not what it was when the run began. */
export function refuseEdits(events: readonly RunEvent[], { files, inputs }: Plan): void {
  const started = events.find((event) => event.event === 'run_started');
  const before = started?.options as { readonly files?: Texts; readonly inputs?: Vars } | undefined;
  if (!before?.files) return;
  const was = before.files;
  const now = fingerprints(files);
  const given = { ...inputs.given, ...inputs.overrides };
  const isOther = ([name, value]: [string, unknown]): boolean =>
    Object.hasOwn(given, name) && JSON.stringify(given[name]) !== JSON.stringify(value);
  const edited = [
    ...Object.keys({ ...was, ...now }).filter((file) => was[file] !== now[file]),
    ...Object.entries(before.inputs ?? {})
      .filter(isOther)
      .map(([name]) => `-e ${name}`),
  ];
  if (edited.length === 0) return;
  throw new DrillbookError('plan.edited', `edited since the run began: ${edited.join(', ')}`, {
    hint: 'resume with --accept-changes to go on with the files as they are now',
  });
}
