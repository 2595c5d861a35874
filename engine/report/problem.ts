import { relative } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import type { Place } from '../core/place.ts';
import { harmless, pen, width, type Pen } from './text.ts';

export interface ProblemOptions {
  readonly isColor: boolean;
  readonly isUnicode?: boolean | undefined;
}

/** The path as the operator would type it: relative where that is not longer. */
function shortPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path !== '' && path.length < file.length ? path : file;
}

/** The source line with a caret under the column; tabs are kept so that both lines stand alike. */
function excerptLines(at: Place, excerpt: string, { paint }: Pen): readonly string[] {
  const number = String(at.line);
  const source = harmless(excerpt);
  const before = source.slice(0, at.column - 1);
  const gap = before.replace(/[^\t]/gu, (character) => ' '.repeat(width(character)));
  return [
    `  ${paint('gray', `${number} |`)} ${source}`,
    `  ${' '.repeat(number.length)} ${paint('gray', '|')} ${gap}${paint('red', '^')}`,
  ];
}

function causeLine(error: DrillbookError): readonly string[] {
  const { cause } = error;
  if (!(cause instanceof Error) || cause.message === '' || error.message.includes(cause.message)) return [];
  return [`  cause: ${harmless(cause.message)}`];
}

function oneProblem(error: DrillbookError, colours: Pen): string {
  const { paint } = colours;
  const place = error.at && { ...error.at, file: shortPath(error.at.file) };
  const isAdvice = error.code.startsWith('lint.');
  const where = place ? `${paint('bold', `${place.file}:${place.line}:${place.column}`)}: ` : '';
  return [
    `${where}${isAdvice ? paint('yellow', 'warning') : paint('red', 'error')}: ${harmless(error.message)}`,
    ...(place && error.excerpt !== undefined ? excerptLines(place, error.excerpt, colours) : []),
    ...causeLine(error),
    ...(error.hint === undefined ? [] : [`  ${paint('cyan', 'hint')}: ${harmless(error.hint)}`]),
  ].join('\n');
}

/** More of them nobody reads before mending the first. */
const MOST_TOLD = 100;

/** An error for a terminal: its place, one sentence, the source line with a caret, a hint; all of them when several. */
export function problemText(error: DrillbookError, { isColor, isUnicode }: ProblemOptions): string {
  const colours = pen(isColor, isUnicode);
  if (!(error instanceof Problems)) return oneProblem(error, colours);
  const { problems } = error;
  const texts = problems.slice(0, MOST_TOLD).map((problem) => problemText(problem, { isColor, isUnicode }));
  const more = problems.length > MOST_TOLD ? `, of which ${MOST_TOLD} are shown` : '';
  return problems.length === 1
    ? texts.join('')
    : [...texts, `${problems.length} problems${more}`].join('\n\n');
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : `thrown: ${String(error)}`;

function causesOf(error: unknown): readonly string[] {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? [] : [`caused by ${stackOf(cause)}`, ...causesOf(cause)];
}

/** Any thrown thing in words: what we foresaw as a problem, the rest as a bug of the engine with its stack. */
export function errorText(error: unknown, options: ProblemOptions): string {
  if (error instanceof DrillbookError) return problemText(error, options);
  const { paint } = pen(options.isColor, options.isUnicode);
  return [
    `${paint('red', 'a bug of the engine')}: please report it with this text`,
    ...[stackOf(error), ...causesOf(error)].map((stack) => harmless(stack).replace(/^/gm, '  ')),
  ].join('\n');
}
