import { stripVTControlCharacters } from 'node:util';
import { fit, width } from './text.ts';

/** Where the region's text goes: the terminal itself, past whatever holds back other writers. */
export interface Paper {
  readonly columns: () => number;
  readonly rows: () => number;
  readonly write: (text: string) => void;
}

/** Lines at the bottom of a terminal that are drawn again in place; permanent lines go above them. */
export interface Region {
  /** Draws `lines`, after `above` has scrolled up for good; one write, so that nothing flickers. */
  draw(lines: readonly string[], above?: readonly string[]): void;
}

const UP = (rows: number): string => (rows > 0 ? `\r\x1b[${rows}A` : '\r');
const LINE_END = '\x1b[K\n';
// Synchronized output: terminals that know it show the frame at once, others pass it over.
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';

export function openRegion(paper: Paper): Region {
  let drawn: readonly string[] = [];
  let last: readonly string[] = [];
  let lastColumns = 0;
  // After the window has become narrower a line drawn before takes several rows.
  const rowsOf = (line: string): number => Math.max(1, Math.ceil(width(line) / Math.max(1, paper.columns())));
  return {
    draw(lines, above = []) {
      const columns = paper.columns();
      // A full line would leave the cursor on its last character, which erasing to the end of the line takes away.
      const fitting = lines.slice(0, Math.max(0, paper.rows() - 1)).map((line) => fit(line, columns - 1));
      const isInPlace = above.length === 0 && columns === lastColumns;
      const isSame = (line: string, i: number): boolean => isInPlace && line === last[i];
      if (isInPlace && fitting.length === last.length && fitting.every(isSame)) return;
      const rows = Math.min(
        paper.rows() - 1,
        drawn.reduce((sum, line) => sum + rowsOf(line), 0),
      );
      const scrolled = above.map((line) => line + LINE_END);
      // What stands there already is passed over: with many hosts most of a frame is.
      const text = [
        ...scrolled,
        ...fitting.map((line, i) => (isSame(line, i) ? '\n' : line + LINE_END)),
      ].join('');
      paper.write(`${BEGIN}${UP(rows)}${text}\x1b[0J${END}`);
      drawn = fitting.map(stripVTControlCharacters);
      last = fitting;
      lastColumns = columns;
    },
  };
}
