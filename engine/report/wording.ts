import type { Counts, StepOutcome } from '../core/event.ts';
import type { Change, Result } from '../core/module.ts';
import { lineDiff, countLines } from './diff.ts';
import { harmless, oneLine, type Pen } from './text.ts';

const WORDS: Readonly<Record<StepOutcome, string>> = {
  ok: 'ok',
  changed: 'changed',
  skipped: 'skipped',
  failed: 'FAILED',
  unreachable: 'UNREACHABLE',
  in_doubt: 'IN DOUBT',
  not_run: 'not run',
};

const COLOURS = {
  ok: 'green',
  changed: 'yellow',
  skipped: 'cyan',
  failed: 'red',
  unreachable: 'red',
  in_doubt: 'magenta',
  not_run: 'gray',
} as const satisfies Readonly<Record<StepOutcome, string>>;

/** Every outcome, worst last. */
export const OUTCOMES = [
  'ok',
  'changed',
  'skipped',
  'not_run',
  'failed',
  'unreachable',
  'in_doubt',
] as const satisfies readonly StepOutcome[];

/** The longest outcome word: `would change`. */
export const WORD_COLUMNS = 12;

export interface Manner {
  readonly isCheck: boolean;
  readonly isForgiven?: boolean | undefined;
}

/** The word for an outcome; a forgiven failure is not shouted. */
export function outcomeWord(outcome: StepOutcome, { isCheck, isForgiven }: Manner): string {
  if (outcome === 'changed' && isCheck) return 'would change';
  return isForgiven === true ? WORDS[outcome].toLowerCase() : WORDS[outcome];
}

export const outcomeColour = (outcome: StepOutcome, isForgiven = false) =>
  isForgiven ? 'yellow' : COLOURS[outcome];

/** `7 ms`, `1.4 s`, `12 s`, `3 min 4 s`, `2 h 5 min`. */
export function durationText(ms: number): string {
  if (ms < 995) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const isShort = (text: string | undefined): boolean =>
  text === undefined || (!text.trimEnd().includes('\n') && text.length <= 72);

const quoted = (text: string | undefined): string =>
  text === undefined ? 'absent' : text.trim() === '' ? 'empty' : oneLine(text);

/** One line for one change: `mode of /etc/motd: 0600 → 0644`, `content of /etc/my.cnf: +3 -1 lines`. */
export function changeText({ what, before, after }: Change, pen: Pen): string {
  const name = oneLine(what);
  if (before === undefined && after === undefined) return name;
  if (isShort(before) && isShort(after)) return `${name}: ${quoted(before)} ${pen.arrow} ${quoted(after)}`;
  const { added, removed } = countLines(before ?? '', after ?? '');
  return `${name}: +${added} -${removed} ${added + removed === 1 ? 'line' : 'lines'}`;
}

/** The diff of a change between texts of several lines, coloured; empty for one that fits in its own line. */
export function changeDiff({ before, after }: Change, pen: Pen): readonly string[] {
  if (isShort(before) && isShort(after)) return [];
  return lineDiff(harmless(before ?? ''), harmless(after ?? '')).map((line) => {
    if (line.startsWith('+')) return pen.paint('green', line);
    if (line.startsWith('-')) return pen.paint('red', line);
    return line.startsWith('@') ? pen.paint('cyan', line) : line;
  });
}

/** `12 ok, 3 changed, 1 FAILED`, coloured; nought is left out, and failures that are all forgiven are not shouted. */
export const countsText = (counts: Counts, pen: Pen, { isCheck, isForgiven }: Manner): string =>
  OUTCOMES.flatMap((outcome) => {
    const count = counts[outcome] ?? 0;
    if (count === 0) return [];
    const isMild = isForgiven === true && (outcome === 'failed' || outcome === 'unreachable');
    const word = outcomeWord(outcome, { isCheck, isForgiven: isMild });
    return [pen.paint(outcomeColour(outcome, isMild), `${count} ${word}`)];
  }).join(', ') || 'nothing run';

const tail = (text: string, lines: number): readonly string[] =>
  harmless(text).trimEnd().split('\n').slice(-lines);

/** What a program said before it failed: the end of its standard error, else of its output. */
export function lastWords(result: Result, lines = 12): readonly string[] {
  for (const key of ['stderr', 'stdout', 'output']) {
    const text = result[key];
    if (typeof text === 'string' && text.trim() !== '') return tail(text, lines);
  }
  return [];
}

/** A result as `key: value` lines, for -v; long texts by their last lines. */
export const resultLines = (result: Result): readonly string[] =>
  Object.entries(result).flatMap(([key, value]) => {
    if (value === undefined || value === '') return [];
    if (typeof value !== 'string') return [`${key}: ${oneLine(JSON.stringify(value) ?? '')}`];
    const lines = tail(value, 20);
    return lines.length === 1
      ? [`${key}: ${lines[0] ?? ''}`]
      : [`${key}:`, ...lines.map((line) => `  ${line}`)];
  });

/** `CLUSTER: TEXT` of what guards each pair. */
export const protectionTexts = (protection: Readonly<Record<string, string>> | undefined): string[] =>
  Object.entries(protection ?? {}).map(([cluster, told]) => `${cluster}: ${told}`);
