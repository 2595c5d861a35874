const MASK = '‹secret›';

/** True when a secret was taken out of `text`. */
export const isMasked = (text: string): boolean => text.includes(MASK);

/** Knows the secret values of a run and takes them out of everything that leaves the engine. */
export class Redactor {
  readonly #values = new Set<string>();
  #pattern: RegExp | undefined;

  /** Values under 3 characters are not masked: they would garble every text without hiding anything. */
  add(value: unknown): void {
    if (typeof value === 'number') return this.add(String(value));
    if (typeof value !== 'string' || value.length < 3) return;
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

  /** A copy of `value` with every string in it masked; keys too. */
  value<T>(value: T): T {
    if (this.#values.size === 0) return value;
    return this.#copy(value) as T;
  }

  #copy(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#copy(item));
    if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [this.text(key), this.#copy(item)]),
      );
    }
    return value;
  }
}
