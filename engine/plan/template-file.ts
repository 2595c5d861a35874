import { DrillbookError } from '../core/error.ts';
import type { Files } from '../core/files.ts';
import type { Place } from '../core/place.ts';
import { compile, offsetOfError } from '../parse/template.ts';
import { referenceProblem } from './names.ts';
import type { KnownNames } from './names.ts';

/** Larger ones are checked where they are rendered. */
const MOST_BYTES = 1024 * 1024;

const SECRET_LINE = /secret|pass(word|phrase|wd)/i;

/** The text of a template file; undefined where it is none. */
export function templateText(path: string, files: Files): string | undefined {
  try {
    const bytes = files.read(path);
    return bytes.length > MOST_BYTES ? undefined : new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    // What else is wrong with it the step says itself.
    if ((cause as NodeJS.ErrnoException).code !== 'ENOTFILE') return undefined;
    throw new DrillbookError('plan.file', `file ${path} is a device or a pipe, not a file`);
  }
}

/** Errors of a template file: what does not parse, and names that nothing can have set by then. */
export function templateFileProblems(text: string, file: string, known: KnownNames): DrillbookError[] {
  const lines = text.split('\n');
  const told = (code: string, at: Place, message: string, hint?: string): DrillbookError => {
    const line = lines[at.line - 1] ?? '';
    const excerpt = line.length > 400 || SECRET_LINE.test(line) ? undefined : line.trimEnd();
    return new DrillbookError(code, message, { at, excerpt, hint });
  };
  const placeOf = (offset: number): Place => {
    const before = text.slice(0, offset).split('\n');
    return { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  };
  try {
    return compile(text).references.flatMap((reference) => {
      const problem = referenceProblem(reference, known);
      return problem ? [told(problem.code, placeOf(reference.offset), problem.message, problem.hint)] : [];
    });
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    return [told(error.code, placeOf(offsetOfError(error, text) ?? 0), error.message, error.hint)];
  }
}
