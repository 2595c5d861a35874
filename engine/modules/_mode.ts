import { z } from 'zod';

const OCTAL = /^(?:0o?)?[0-7]{3,4}$/;
const CLAUSE = /^[ugoa]*(?:[-+=][rwxXst]*)+$/;

const isMode = (text: string): boolean =>
  OCTAL.test(text) || (text !== '' && text.split(',').every((clause) => CLAUSE.test(clause)));

/** Access rights as in chmod. A number is refused: YAML reads 0644 as 644, which is not what was meant. */
export const zMode = z
  .string({
    error: (issue) =>
      typeof issue.input === 'number'
        ? `${issue.input} is a number: put the mode in quotes, as '0644'; YAML 1.2 reads 0644 as 644`
        : undefined,
  })
  .refine(isMode, { error: "no mode: write '0644' or 'u=rw,g=r,o='" });

const SHIFT = { u: 6, g: 3, o: 0 } as const;

function applyClause(mode: number, clause: string, isDirectory: boolean): number {
  const who = /^[ugoa]*/.exec(clause)?.[0] ?? '';
  const classes =
    who === '' || who.includes('a') ? (['u', 'g', 'o'] as const) : ([...who] as ('u' | 'g' | 'o')[]);
  let result = mode;
  for (const [, sign, rights = ''] of clause.slice(who.length).matchAll(/([-+=])([rwxXst]*)/g)) {
    const canRun = rights.includes('x') || (rights.includes('X') && (isDirectory || (result & 0o111) !== 0));
    const bits = (rights.includes('r') ? 4 : 0) | (rights.includes('w') ? 2 : 0) | (canRun ? 1 : 0);
    let set = 0;
    let clear = 0;
    for (const name of classes) {
      set |= bits << SHIFT[name];
      clear |= 7 << SHIFT[name];
      if (name === 'u' && rights.includes('s')) set |= 0o4000;
      if (name === 'g' && rights.includes('s')) set |= 0o2000;
      // chmod leaves set-id bits of a directory alone unless they are named.
      if (!isDirectory && name !== 'o') clear |= name === 'u' ? 0o4000 : 0o2000;
    }
    if (rights.includes('t')) set |= 0o1000;
    if (sign === '+') result |= set;
    else if (sign === '-') result &= ~set;
    else result = (result & ~clear) | set;
  }
  return result;
}

/** The mode that `wanted` makes of `current` (its lowest 12 bits). */
export function modeAfter(wanted: string, current: number, isDirectory: boolean): number {
  if (OCTAL.test(wanted)) return Number.parseInt(wanted.replace(/^0o/, ''), 8);
  return wanted.split(',').reduce((mode, clause) => applyClause(mode, clause, isDirectory), current & 0o7777);
}

/** `0644`, as operators write it. */
export const modeText = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0');

/** For chmod: five digits, so that set-id bits of a directory go too; `a` where no one is named, so that umask has no say. */
export const chmodWord = (wanted: string): string =>
  OCTAL.test(wanted)
    ? wanted.replace(/^0o/, '').padStart(5, '0')
    : wanted
        .split(',')
        .map((clause) => clause.replace(/^(?=[-+=])/, 'a'))
        .join(',');
