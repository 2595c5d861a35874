import { stripVTControlCharacters } from 'node:util';
import { width } from './text.ts';

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
  let last = '';
  // After the window has become narrower a line drawn before takes several rows.
  const rowsOf = (line: string): number => Math.max(1, Math.ceil(width(line) / Math.max(1, paper.columns())));
  return {
    draw(lines, above = []) {
      const fitting = lines.slice(0, Math.max(0, paper.rows() - 1));
      const frame = fitting.join('\n');
      if (above.length === 0 && frame === last) return;
      const rows = Math.min(
        paper.rows() - 1,
        drawn.reduce((sum, line) => sum + rowsOf(line), 0),
      );
      const text = [...above, ...fitting].map((line) => line + LINE_END).join('');
      paper.write(`${BEGIN}${UP(rows)}${text}\x1b[0J${END}`);
      drawn = fitting.map(stripVTControlCharacters);
      last = frame;
    },
  };
}
