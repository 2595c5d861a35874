import { expect, test } from 'vitest';
import { countLines, lineDiff } from '../../engine/report/diff.ts';

const numbered = (count: number, change: Readonly<Record<number, string>> = {}): string =>
  Array.from({ length: count }, (_, index) => `${change[index + 1] ?? `line ${index + 1}`}\n`).join('');

test('a change stands between three lines of context, with its place in both texts', () => {
  expect(lineDiff(numbered(20), numbered(20, { 10: 'new' }))).toEqual([
    '@@ -7,7 +7,7 @@',
    ' line 7',
    ' line 8',
    ' line 9',
    '-line 10',
    '+new',
    ' line 11',
    ' line 12',
    ' line 13',
  ]);
});

test('two changes far apart are two hunks, near ones are one', () => {
  const heads = (text: string): readonly string[] =>
    lineDiff(numbered(40), text).filter((line) => line.startsWith('@@'));
  expect(heads(numbered(40, { 5: 'x', 30: 'y\nz' }))).toEqual(['@@ -2,7 +2,7 @@', '@@ -27,7 +27,8 @@']);
  expect(heads(numbered(40, { 5: 'x', 10: 'y' }))).toEqual(['@@ -2,12 +2,12 @@']);
});

test('a new file is all added, an emptied one all removed, equal texts have no diff', () => {
  expect(lineDiff('', 'a\nb\n')).toEqual(['@@ -0,0 +1,2 @@', '+a', '+b']);
  expect(lineDiff('a\n', '')).toEqual(['@@ -1 +0,0 @@', '-a']);
  expect(lineDiff('a\nb', 'a\nb')).toEqual([]);
});

test('a newline that is only missing at the end is told', () => {
  expect(lineDiff('a\nb', 'a\nb\n')).toEqual(['\\ newline at the end of the file added']);
});

test('lines that moved are found by the longest common subsequence', () => {
  expect(countLines('a\nb\nc\nd\n', 'b\nc\nd\na\n')).toEqual({ added: 1, removed: 1 });
});

test('a diff of a huge text is bounded and says how much is left out', () => {
  const lines = lineDiff(numbered(5000), numbered(5000).replaceAll('line', 'row'));
  expect(lines).toHaveLength(401);
  expect(lines.at(-1)).toBe('@@ 9601 more lines of diff @@');
});
