import { StepFailed } from '../core/error.ts';
import type { Edit } from './_edit.ts';
import { escaped, unescaped } from './_mounts.ts';

/** The six fields of a line (fstab(5)). */
export type Entry = readonly [
  source: string,
  path: string,
  fstype: string,
  options: string,
  dump: string,
  pass: string,
];

const bare = (path: string): string => (path === '/' ? path : path.replace(/\/+$/, ''));

function entryIn(line: string): Entry | undefined {
  if (/^\s*(#|$)/.test(line)) return undefined;
  const [source = '', path = '', fstype = '', options = 'defaults', dump = '0', pass = '0'] = line
    .trim()
    .split(/\s+/)
    .map(unescaped);
  return [source, bare(path), fstype, options, dump, pass];
}

/** The path has exactly this line in a file like /etc/fstab, or none. */
export const fstabWith =
  (path: string, wanted: Entry | undefined): Edit =>
  (lines, text) => {
    const found = lines.map(entryIn);
    const isOurs = (i: number): boolean => found[i]?.[1] === text(bare(path));
    if (wanted === undefined) return lines.filter((_, i) => !isOurs(i));
    const own = [...lines.keys()].filter(isOurs);
    const [at, another] = own;
    if (another !== undefined)
      throw new StepFailed(
        `${own.length} lines of the fstab speak of ${path}`,
        {},
        { hint: 'which of them is to be changed cannot be told: remove the others' },
      );
    const line = text(wanted.map(escaped).join(' '));
    if (at === undefined) return [...lines, line];
    const isSame = found[at]?.every((field, i) => field === text(i === 1 ? bare(path) : (wanted[i] ?? '')));
    return isSame === true ? lines : lines.with(at, line);
  };
