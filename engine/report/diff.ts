const CONTEXT = 3;
const MAX_CELLS = 4_000_000;
const MAX_LINES = 400;

type Edit = readonly [sign: ' ' | '-' | '+', line: string];

const linesOf = (text: string): readonly string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

/** Edits of the middle, by the longest common subsequence; too big a middle is replaced whole. */
function middleEdits(before: readonly string[], after: readonly string[]): Edit[] {
  const [n, m] = [before.length, after.length];
  const removed = before.map((line): Edit => ['-', line]);
  const added = after.map((line): Edit => ['+', line]);
  if (n === 0 || m === 0 || n * m > MAX_CELLS) return [...removed, ...added];
  const row = m + 1;
  const length = new Uint32Array((n + 1) * row);
  const at = (i: number, j: number): number => length[i * row + j] ?? 0;
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      length[i * row + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const edits: Edit[] = [];
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    const [old, young] = [before[i] ?? '', after[j] ?? ''];
    if (i < n && j < m && old === young) {
      edits.push([' ', old]);
      i++;
      j++;
    } else if (i < n && (j === m || at(i + 1, j) >= at(i, j + 1))) {
      edits.push(['-', old]);
      i++;
    } else {
      edits.push(['+', young]);
      j++;
    }
  }
  return edits;
}

function edits(before: string, after: string): readonly Edit[] {
  const [old, young] = [linesOf(before), linesOf(after)];
  let head = 0;
  while (head < old.length && head < young.length && old[head] === young[head]) head++;
  let tail = 0;
  const most = Math.min(old.length, young.length) - head;
  while (tail < most && old[old.length - 1 - tail] === young[young.length - 1 - tail]) tail++;
  const same = (line: string): Edit => [' ', line];
  return [
    ...old.slice(0, head).map(same),
    ...middleEdits(old.slice(head, old.length - tail), young.slice(head, young.length - tail)),
    ...old.slice(old.length - tail).map(same),
  ];
}

/** How many lines were added and removed. */
export function countLines(before: string, after: string): { added: number; removed: number } {
  let [added, removed] = [0, 0];
  for (const [sign] of edits(before, after)) {
    if (sign === '+') added++;
    if (sign === '-') removed++;
  }
  return { added, removed };
}

/** Stretches of `list` that show a change, with context; neighbours that touch are one. */
function hunks(list: readonly Edit[]): readonly (readonly [from: number, to: number])[] {
  const found: [number, number][] = [];
  list.forEach(([sign], index) => {
    if (sign === ' ') return;
    const from = Math.max(0, index - CONTEXT);
    const last = found.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.min(list.length, index + CONTEXT + 1);
    else found.push([from, Math.min(list.length, index + CONTEXT + 1)]);
  });
  return found;
}

const span = (start: number, count: number): string => {
  const first = count === 0 ? start : start + 1;
  return count === 1 ? `${first}` : `${first},${count}`;
};

/** A unified diff without file header, at most 400 lines long; empty when the texts are the same. */
export function lineDiff(before: string, after: string): readonly string[] {
  const list = edits(before, after);
  const lines: string[] = [];
  let [place, old, young] = [0, 0, 0];
  for (const [from, to] of hunks(list)) {
    // Between two hunks all lines are common, so both sides move alike.
    old += from - place;
    young += from - place;
    const part = list.slice(from, to);
    const oldCount = part.filter(([sign]) => sign !== '+').length;
    const youngCount = part.filter(([sign]) => sign !== '-').length;
    lines.push(`@@ -${span(old, oldCount)} +${span(young, youngCount)} @@`);
    for (const [sign, line] of part) lines.push(sign + line);
    [place, old, young] = [to, old + oldCount, young + youngCount];
  }
  if (before !== '' && after !== '' && before.endsWith('\n') !== after.endsWith('\n')) {
    lines.push(`\\ newline at the end of the file ${after.endsWith('\n') ? 'added' : 'removed'}`);
  }
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `@@ ${lines.length - MAX_LINES} more lines of diff @@`];
}
