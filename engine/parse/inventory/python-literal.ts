/** Thrown inside when a text is no literal. */
class NotLiteral extends Error {}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\n': '',
};
const NUMBER =
  /0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:(?:\d(?:_?\d)*)?\.\d(?:_?\d)*|\d(?:_?\d)*\.?)(?:[eE][+-]?\d(?:_?\d)*)?/y;
const WORDS = new Map<string, unknown>([
  ['True', true],
  ['False', false],
  ['None', null],
]);
const DEEPEST = 60;

/** Reads one literal after the other from a text. */
function reader(text: string) {
  let at = 0;
  const blank = (): void => {
    while (at < text.length && (/\s/.test(text[at] ?? '') || text[at] === '#')) {
      if (text[at] === '#') while (at < text.length && text[at] !== '\n') at++;
      else at++;
    }
  };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };

  function escaped(): string {
    const octal = take(/[0-7]{1,3}/y);
    if (octal !== undefined) return String.fromCodePoint(parseInt(octal, 8));
    const coded = take(/x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}/y);
    if (coded !== undefined) {
      const code = parseInt(coded.slice(1), 16);
      if (code > 0x10ffff) throw new NotLiteral();
      return String.fromCodePoint(code);
    }
    const char = text[at++] ?? '';
    if (char === 'x' || char === 'u' || char === 'U' || char === 'N') throw new NotLiteral();
    return ESCAPES[char] ?? `\\${char}`;
  }

  function quoted(): string | undefined {
    const opening = take(/(?:[rR][bB]?|[bB][rR]?|[uU])?(?:"""|'''|"|')/y);
    if (opening === undefined) return undefined;
    const quote = opening.replace(/^[a-zA-Z]+/, '');
    const isRaw = /^[a-zA-Z]*[rR]/.test(opening);
    let found = '';
    while (!text.startsWith(quote, at)) {
      const char = text[at++];
      if (char === undefined || (char === '\n' && quote.length === 1)) throw new NotLiteral();
      if (char !== '\\') found += char;
      else if (isRaw) found += `\\${text[at++] ?? ''}`;
      else found += escaped();
    }
    at += quote.length;
    return found;
  }

  function number(sign: 1 | -1): number {
    const found = take(NUMBER);
    if (found === undefined || /[\w.]/.test(text[at] ?? '')) throw new NotLiteral();
    const digits = found.replaceAll('_', '');
    if (/^0\d*[1-9]\d*$/.test(digits)) throw new NotLiteral(); // 007: Python wants 0o7.
    const value = sign * Number(digits);
    // What no number here can hold stays the text it is.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new NotLiteral();
    return value;
  }

  function list(closing: string, depth: number): { items: unknown[]; isOne: boolean } {
    const items: unknown[] = [];
    let hasComma = false;
    for (;;) {
      blank();
      if (text[at] === closing) break;
      items.push(value(depth));
      blank();
      hasComma = text[at] === ',';
      if (hasComma) at++;
      else if (text[at] !== closing) throw new NotLiteral();
    }
    at++;
    return { items, isOne: items.length === 1 && !hasComma };
  }

  function mapping(depth: number): unknown {
    const entries: [string, unknown][] = [];
    const items: unknown[] = [];
    for (;;) {
      blank();
      if (text[at] === '}') break;
      const key = value(depth);
      blank();
      if (text[at] === ':') {
        at++;
        entries.push([typeof key === 'string' ? key : JSON.stringify(key), value(depth)]);
        blank();
      } else items.push(key);
      if (text[at] === ',') at++;
      else if (text[at] !== '}') throw new NotLiteral();
    }
    at++;
    if (entries.length > 0 && items.length > 0) throw new NotLiteral();
    return items.length > 0 ? items : Object.fromEntries(entries);
  }

  function value(depth: number): unknown {
    if (depth > DEEPEST) throw new NotLiteral();
    blank();
    const char = text[at] ?? '';
    let string = quoted();
    if (string !== undefined) {
      for (;;) {
        blank();
        const more = quoted();
        if (more === undefined) return string;
        string += more;
      }
    }
    if (char === '[' || char === '(' || char === '{') at++;
    if (char === '[') return list(']', depth + 1).items;
    if (char === '{') return mapping(depth + 1);
    if (char === '(') {
      const { items, isOne } = list(')', depth + 1);
      return isOne ? items[0] : items;
    }
    if (char === '+' || char === '-') {
      at++;
      blank();
      return number(char === '-' ? -1 : 1);
    }
    const word = take(/[A-Za-z_]\w*/y);
    if (word === undefined) return number(1);
    if (!WORDS.has(word)) throw new NotLiteral();
    return WORDS.get(word);
  }

  return {
    whole(): unknown {
      const found = value(0);
      blank();
      // A tuple needs no brackets.
      if (text[at] === ',') {
        const items = [found];
        while (text[at] === ',') {
          at++;
          blank();
          if (at < text.length) items.push(value(0));
          blank();
        }
        if (at < text.length) throw new NotLiteral();
        return items;
      }
      if (at < text.length) throw new NotLiteral();
      return found;
    },
  };
}

/** A value of an INI inventory as Ansible takes it: a Python literal (`5`, `True`, `['a']`), or else the text itself. */
export function pythonValue(text: string): unknown {
  try {
    return reader(text).whole();
  } catch (error) {
    if (error instanceof NotLiteral) return text;
    throw error;
  }
}
