const MASK = '‹secret›';

/** Knows the secret values of a run and takes them out of everything that leaves the engine. */
export class Redactor {
  /** As they were added. */
  readonly #known = new Set<string>();
  /** The same, and the other forms they may be written in. */
  readonly #values = new Set<string>();
  #pattern: RegExp | undefined;
  #heard: string[] = [];

  /** Values under 3 characters are not masked: they would garble every text without hiding anything. */
  add(value: unknown): void {
    if (typeof value === 'number') return this.add(String(value));
    if (typeof value !== 'string' || value.length < 3 || this.#known.has(value)) return;
    this.#known.add(value);
    this.#heard.push(value);
    for (const form of [
      value,
      JSON.stringify(value).slice(1, -1),
      encodeURIComponent(value),
      value.replaceAll("'", `'\\''`),
      value.replaceAll('\\', '\\\\').replaceAll("'", "''"),
      Buffer.from(value).toString('base64'),
    ]) {
      this.#values.add(form);
    }
    for (const line of value.split('\n')) if (line.trim().length >= 8) this.#values.add(line.trim());
    this.#pattern = undefined;
  }

  /** The secrets that were added since this was last asked. */
  heard(): readonly string[] {
    const heard = this.#heard;
    if (heard.length > 0) this.#heard = [];
    return heard;
  }

  text(text: string): string {
    if (this.#values.size === 0) return text;
    this.#pattern ??= new RegExp(
      [...this.#values]
        .sort((a, b) => b.length - a.length)
        .map(RegExp.escape)
        .join('|'),
      'g',
    );
    return text.replace(this.#pattern, MASK);
  }

  /** `value` with every string in it masked, keys too; itself where nothing had to be. */
  value<T>(value: T): T {
    if (this.#values.size === 0) return value;
    return this.#masked(value) as T;
  }

  #masked(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
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
