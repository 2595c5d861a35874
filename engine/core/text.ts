/** Why a text can neither be an argument nor be written as UTF-8; undefined of one that can. */
export function textProblem(text: string): string | undefined {
  if (text.includes('\0')) return 'holds a NUL character, which nothing on a node can take';
  if (!text.isWellFormed()) return 'holds half a character (a lone surrogate), which is no text';
  return undefined;
}

/** The same of every text in a value, with where it stands. */
export function textProblems(
  value: unknown,
  path: readonly (string | number)[] = [],
): readonly { readonly path: readonly (string | number)[]; readonly why: string }[] {
  if (typeof value === 'string') {
    const why = textProblem(value);
    return why === undefined ? [] : [{ path, why }];
  }
  if (Array.isArray(value)) return value.flatMap((one, i) => textProblems(one, [...path, i]));
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, one]) => {
    const why = textProblem(key);
    return [
      ...(why === undefined ? [] : [{ path, why: `has a name that ${why}` }]),
      ...textProblems(one, [...path, key]),
    ];
  });
}

const SHOWN = 400;

/** A text as it may stand in a sentence: of a very long one its beginning and its end. */
export const shortened = (text: string): string =>
  text.length <= 3 * SHOWN
    ? text
    : `${text.slice(0, SHOWN).toWellFormed()}… (${text.length - 2 * SHOWN} characters) …${text.slice(-SHOWN).toWellFormed()}`;
