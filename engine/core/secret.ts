const MASK = '‹secret›';

/** A secret as the journal keeps it; `word`: one that is masked only where it stands by itself. */
export type Heard = string | { readonly word: string };

/** Shorter values are not masked: they would garble every text without hiding anything. */
const LEAST = 3;
/** Shorter plain words and numbers that nobody marked as secret are masked only where they stand by themselves. */
const LEAST_WORD = 6;

/** What stands in files of variables and is nobody's secret, whoever wrote it there. */
const NO_SECRET = /^(?:true|false|yes|no|on|off|null|none|root|localhost|local|ssh|sudo|su|doas|\d{1,3})$/i;

const isShortWord = (value: string): boolean =>
  value.length < LEAST_WORD && /^(?:\p{L}+|\p{N}+)$/u.test(value);

/** Base64 as it shows inside the encoding of a longer text, where it begins one or two bytes later. */
function* insideBase64(value: string): Generator<string> {
  if (Buffer.byteLength(value) < 8) return;
  for (const before of ['x', 'xx']) {
    const text = Buffer.from(before + value).toString('base64');
    yield text.slice(4, text.endsWith('=') ? -4 : undefined);
  }
  const whole = Buffer.from(value).toString('base64');
  if (whole.endsWith('=')) yield whole.slice(0, -4);
}

const asJson = (value: string): string => JSON.stringify(value).slice(1, -1);

/** The ways in which what a run handles may write a text down. */
function* formsOf(value: string): Generator<string> {
  yield value;
  const json = asJson(value);
  yield json;
  yield asJson(json);
  // As programs do that write ASCII only.
  yield json.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  yield encodeURIComponent(value.toWellFormed());
  yield value.replaceAll("'", `'\\''`);
  yield value.replaceAll('\\', '\\\\').replaceAll("'", "''");
  yield value.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  const bytes = Buffer.from(value);
  yield bytes.toString('base64');
  yield bytes.toString('base64url');
  yield bytes.toString('hex');
  yield* insideBase64(value);
  for (const line of value.split('\n')) if (line.trim().length >= 8) yield line.trim();
}

const alternatives = (texts: Iterable<string>): string =>
  [...texts]
    .sort((a, b) => b.length - a.length)
    .map(RegExp.escape)
    .join('|');

/** Knows the secret values of a run and takes them out of everything that leaves the engine. */
export class Redactor {
  /** As they were added. */
  readonly #known = new Set<string>();
  /** Masked wherever they stand: the values, and the other forms they may be written in. */
  readonly #forms = new Set<string>();
  /** Masked where they stand by themselves. */
  readonly #words = new Set<string>();
  #pattern: RegExp | undefined;
  #heard: Heard[] = [];

  /**
   * Makes a value known. `isImplied`: nobody marked it, it only came out of an encrypted file, where all kinds of values
   * stand (docs/secrets.md has the rule).
   */
  add(value: unknown, isImplied = false): void {
    if (typeof value === 'number') return this.add(String(value), isImplied);
    if (typeof value !== 'string' || value.length < LEAST || this.#known.has(value)) return;
    if (isImplied && NO_SECRET.test(value)) return;
    this.#pattern = undefined;
    if (isImplied && isShortWord(value)) {
      if (this.#words.has(value)) return;
      this.#words.add(value);
      this.#heard.push({ word: value });
      return;
    }
    this.#known.add(value);
    this.#heard.push(value);
    for (const form of formsOf(value)) if (form.length >= LEAST) this.#forms.add(form);
  }

  /** Makes every value in it known, however deep. */
  addDeep(value: unknown): void {
    if (value !== null && typeof value === 'object')
      for (const own of Object.values(value)) this.addDeep(own);
    else this.add(value);
  }

  /** Makes known what `heard` told another process. */
  hear(secret: Heard): void {
    if (typeof secret === 'string') this.add(secret);
    else this.add(secret.word, true);
  }

  /** The secrets that were added since this was last asked. */
  heard(): readonly Heard[] {
    const heard = this.#heard;
    if (heard.length > 0) this.#heard = [];
    return heard;
  }

  #isEmpty(): boolean {
    return this.#forms.size === 0 && this.#words.size === 0;
  }

  #compile(): RegExp {
    const isNumber = (word: string): boolean => /^\p{N}/u.test(word);
    const words = [...this.#words].filter((word) => !isNumber(word));
    const numbers = [...this.#words].filter(isNumber);
    return new RegExp(
      [
        ...(this.#forms.size > 0 ? [alternatives(this.#forms)] : []),
        ...(words.length > 0 ? [`(?<![\\p{L}\\p{N}])(?:${alternatives(words)})(?![\\p{L}\\p{N}])`] : []),
        ...(numbers.length > 0 ? [`(?<!\\p{N})(?:${alternatives(numbers)})(?!\\p{N})`] : []),
      ].join('|'),
      'gu',
    );
  }

  text(text: string): string {
    if (this.#isEmpty()) return text;
    this.#pattern ??= this.#compile();
    return text.replace(this.#pattern, MASK);
  }

  /** `value` with every string in it masked, keys too; itself where nothing had to be. */
  value<T>(value: T): T {
    if (this.#isEmpty()) return value;
    return this.#masked(value) as T;
  }

  #isSecret(text: string): boolean {
    return this.#known.has(text) || this.#words.has(text);
  }

  #masked(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'number') return this.#isSecret(String(value)) ? MASK : value;
    if (Array.isArray(value)) {
      const copy = value.map((item) => this.#masked(item));
      return copy.every((item, index) => Object.is(item, value[index])) ? value : copy;
    }
    if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
      const entries = Object.entries(value);
      const copy = entries.map(([key, item]) => [this.text(key), this.#masked(item)] as const);
      const isSame = copy.every(
        ([key, item], i) => key === entries[i]?.[0] && Object.is(item, entries[i][1]),
      );
      return isSame ? value : Object.fromEntries(copy);
    }
    return value;
  }
}
