/** A word of a line; the column counts from 1. */
export interface Word {
  readonly text: string;
  readonly column: number;
}

/**
 * The words of a line by the rules of Python's `shlex.split(line, comments=True)`, which Ansible reads host lines and
 * arguments of ssh by. Throws an Error with one sentence.
 */
export function shellWords(line: string, hasComments = true): Word[] {
  const words: Word[] = [];
  let text = '';
  let start = -1;
  let quote = '';
  const begin = (i: number): void => {
    if (start < 0) start = i;
  };
  const end = (): void => {
    if (start >= 0) words.push({ text, column: start + 1 });
    text = '';
    start = -1;
  };
  for (let i = 0; i < line.length; i++) {
    const char = line[i] ?? '';
    if (quote === "'") {
      if (char === quote) quote = '';
      else text += char;
    } else if (quote === '"') {
      const next = line[i + 1];
      if (char === quote) quote = '';
      else if (char === '\\' && (next === '"' || next === '\\')) text += line[++i] ?? '';
      else text += char;
    } else if (/\s/.test(char)) end();
    else if (char === '#' && hasComments) break;
    else if (char === '\\') {
      begin(i);
      if (++i >= line.length) throw new Error('nothing follows the last backslash');
      text += line[i] ?? '';
    } else {
      begin(i);
      if (char === '"' || char === "'") quote = char;
      else text += char;
    }
  }
  if (quote !== '') throw new Error(`a quote (${quote}) is not closed`);
  end();
  return words;
}
