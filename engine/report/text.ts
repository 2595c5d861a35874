import { stripVTControlCharacters, styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** Colours and signs of one output. */
export interface Pen {
  paint(format: Format, text: string): string;
  readonly isUnicode: boolean;
  readonly arrow: string;
  readonly dot: string;
  readonly dash: string;
  readonly ellipsis: string;
}

/** True where the locale can show more than ASCII (POSIX: LC_ALL, then LC_CTYPE, then LANG). */
export const isUnicodeLocale = (env: NodeJS.ProcessEnv = process.env): boolean =>
  /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '');

export const pen = (isColor: boolean, isUnicode: boolean = isUnicodeLocale()): Pen => ({
  paint: (format, text) => (isColor ? styleText(format, text, { validateStream: false }) : text),
  isUnicode,
  arrow: isUnicode ? '→' : '->',
  dot: isUnicode ? '·' : '-',
  dash: isUnicode ? '—' : '--',
  ellipsis: isUnicode ? '…' : '...',
});

/** Text of a host made harmless for a terminal: no escape sequences, no control characters but newline and tab. */
export const harmless = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll('\r\n', '\n')
    .replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '?');

/** The same on one line. */
export const oneLine = (text: string): string => harmless(text).trim().replace(/\s+/g, ' ');

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
// Accents that stand over the letter before them, joiners, variation selectors.
const NONE = /\p{Mn}|\p{Me}|\p{Default_Ignorable_Code_Point}/u;

const columnsOf = (character: string): number => (NONE.test(character) ? 0 : WIDE.test(character) ? 2 : 1);

/** Columns that `text` takes on a terminal: Chinese characters take two. */
export function width(text: string): number {
  let columns = 0;
  for (const character of stripVTControlCharacters(text)) columns += columnsOf(character);
  return columns;
}

export const padEnd = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - width(text)));
export const padStart = (text: string, columns: number): string =>
  ' '.repeat(Math.max(0, columns - width(text))) + text;

/** `text` (without colours) cut to `columns`, its end marked. */
export function cut(text: string, columns: number, ellipsis = '…'): string {
  if (width(text) <= columns) return text;
  let kept = '';
  let room = columns - width(ellipsis);
  for (const character of text) {
    room -= columnsOf(character);
    if (room < 0) break;
    kept += character;
  }
  return kept + ellipsis;
}

/** A line with colours cut to `columns`; what it has opened is closed. */
export function fit(line: string, columns: number, ellipsis = '…'): string {
  if (width(line) <= columns) return line;
  let kept = '';
  let room = columns - width(ellipsis);
  let isCut = false;
  for (const [piece] of line.matchAll(/\x1b\[[\d;]*m|[^]/gu)) {
    // Colours beyond the cut are kept: the last of them ends what is open.
    if (piece.startsWith('\x1b')) kept += piece;
    else if (!isCut) {
      room -= columnsOf(piece);
      isCut = room < 0;
      kept += isCut ? (columns < width(ellipsis) ? '' : ellipsis) : piece;
    }
  }
  return kept;
}

/** Each line of `text` behind `margin`. */
export const indented = (text: string, margin: string): string => text.replace(/^(?=.)/gm, margin);
