import { writeFileSync } from 'node:fs';
import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';

/** Endings of files that differ from the name of their format. */
const ENDINGS: Readonly<Record<string, string>> = { htm: 'html', xml: 'junit' };

/** Of the writers by format, the one that was asked for, or that the ending of the file to write names. */
export function writerOf<Writer>(
  writers: Readonly<Record<string, Writer>>,
  format: unknown,
  out: string | undefined,
): Writer {
  const ending = out?.split('.').at(-1) ?? '';
  const wanted = String(format ?? ENDINGS[ending] ?? ending);
  const writer = Object.hasOwn(writers, wanted) ? writers[wanted] : undefined;
  if (writer !== undefined) return writer;
  const known = Object.keys(writers);
  throw new DrillbookError('usage.option', `--format ${known.join(', ')} is wanted`, {
    hint: format === undefined ? 'or a file whose name ends so' : suggest(wanted, known),
  });
}

/** To the file, for the operator alone, or to standard output. */
export function writeOut(content: string | Buffer, out: string | undefined): void {
  if (out === undefined) {
    process.stdout.write(content);
    return;
  }
  try {
    writeFileSync(out, content, { mode: 0o600 });
  } catch (cause) {
    throw new DrillbookError('usage.out', `--out ${out} cannot be written: ${(cause as Error).message}`, {
      cause,
    });
  }
}
