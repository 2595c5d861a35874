/** One line of ssh_config: a keyword in small letters and what stands behind it. */
export interface ConfigLine {
  readonly key: string;
  readonly words: readonly string[];
  /** The rest of the line as it stands, for commands. */
  readonly rest: string;
}

/** The words of a line: quotes of both kinds keep blanks, a backslash keeps quotes, itself and a blank; `#` ends it. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (let i = 0; i < text.length; i++) {
    if (/[ \t]/.test(text[i] ?? '')) continue;
    if (text[i] === '#') break;
    let word = '';
    let quote = '';
    for (; i < text.length; i++) {
      const char = text[i] ?? '';
      const next = text[i + 1] ?? '';
      if (char === '\\' && (/['"\\]/.test(next) || (quote === '' && next === ' '))) {
        word += next;
        i++;
      } else if (quote === '' && /[ \t]/.test(char)) break;
      else if (quote === '' && (char === '"' || char === "'")) quote = char;
      else if (quote !== '' && char === quote) quote = '';
      else word += char;
    }
    words.push(word);
  }
  return words;
}

/** Reads a line; undefined for a comment, an empty line, and what is no setting. */
export function configLine(text: string): ConfigLine | undefined {
  const [, key, rest = ''] =
    /^[ \t]*"?([A-Za-z][A-Za-z0-9]*)"?(?:[ \t]*=[ \t]*|[ \t]+|$)(.*?)[ \t\r\f]*$/.exec(text) ?? [];
  return key === undefined ? undefined : { key: key.toLowerCase(), words: wordsOf(rest), rest };
}
