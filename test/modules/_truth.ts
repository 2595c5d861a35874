import { expect } from 'vitest';
import type { Change } from '../../engine/core/module.ts';

/** What a node has, path by path, or name by name: what of it is compared, and what of it only shows that it was touched. */
export type Snapshot = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** Fields that tell a touch, and are no state that a module speaks of. */
const TOUCH = new Set(['mtime', 'ctime', 'inode']);

/** What became of each thing: `made`, `gone`, or which of its fields differ. */
export function differences(before: Snapshot, after: Snapshot): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, ReadonlySet<string>>();
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(name);
    const now = after.get(name);
    if (old === undefined) found.set(name, new Set(['made']));
    else if (now === undefined) found.set(name, new Set(['gone']));
    else {
      const fields = Object.keys({ ...old, ...now }).filter(
        (key) => !TOUCH.has(key) && old[key] !== now[key],
      );
      // What is of another kind is another thing.
      const own = fields.includes('kind') ? ['kind'] : fields;
      if (own.length > 0) found.set(name, new Set(own));
    }
  }
  return found;
}

const FILE = /^(content|mode|owner|group|kind) of (\/.*)$/s;

/** The same from what `check` told of files. */
export function toldOfFiles(changes: readonly Change[]): ReadonlyMap<string, ReadonlySet<string>> {
  const told = new Map<string, Set<string>>();
  const add = (path: string, field: string): void => {
    told.set(path, (told.get(path) ?? new Set()).add(field));
  };
  for (const { what, before, after } of changes) {
    const [, field = '', path = ''] = FILE.exec(what) ?? [];
    const [, many] = /^attributes of \d+ in (.*)$/s.exec(what) ?? [];
    if (many !== undefined) for (const one of before?.trimEnd().split('\n') ?? []) add(one, 'mode');
    else if (field === 'content' && before === undefined) add(path, 'made');
    else if (field !== '') add(path, field);
    else if (what.startsWith('times of ')) continue;
    else if (what.startsWith('directory ')) add(what.slice('directory '.length), 'made');
    else if (before === 'absent') add(what, 'made');
    else add(what, after === 'absent' ? 'gone' : 'kind');
  }
  for (const [path, fields] of told) {
    if (fields.has('kind')) told.set(path, new Set(['kind']));
    else if (fields.has('made')) told.set(path, new Set(['made']));
  }
  return told;
}

/** Nothing at all was touched. */
export function expectUntouched(before: Snapshot, after: Snapshot): void {
  expect(Object.fromEntries(after)).toEqual(Object.fromEntries(before));
}
