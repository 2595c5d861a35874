import type { Chronicle } from './chronicle.ts';
import { rowsOf, type Row } from './rows.ts';

const COLUMNS = [
  ...['started', 'ended', 'host', 'play', 'step', 'name', 'module', 'outcome'],
  ...['isForgiven', 'seconds', 'attempts', 'reason', 'changes'],
] as const satisfies readonly (keyof Row)[] as readonly (keyof Row)[];

/**
 * A cell of text. Spreadsheets run what begins with one of these as a formula (owasp.org, CSV Injection); behind an
 * apostrophe it is text.
 */
function cell(value: Row[keyof Row]): string {
  if (typeof value !== 'string') return String(value ?? '');
  const text = /^[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** RFC 4180: a head, and a row for each step on each host. */
export const csvText = (chronicle: Chronicle): string =>
  [COLUMNS.join(','), ...rowsOf(chronicle).map((row) => COLUMNS.map((name) => cell(row[name])).join(','))]
    .map((line) => `${line}\r\n`)
    .join('');
