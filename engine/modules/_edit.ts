import { isUtf8 } from 'node:buffer';
import { StepFailed } from '../core/error.ts';
import type { Checked, Context } from '../core/module.ts';
import { fileChanges, fileResult, lookAt, place } from './_file.ts';
import type { Found, Wanted } from './_file.ts';
import { ownable } from './_owner.ts';
import { regexp } from './_regexp.ts';
import { splitWords } from './_sh.ts';

interface Given {
  readonly path: string;
  readonly create: boolean;
  readonly backup: boolean;
  readonly mode?: string | undefined;
  readonly owner?: string | undefined;
  readonly group?: string | undefined;
  readonly validate?: string | undefined;
}

/** Makes the new lines of a file from the old ones; `text` puts a parameter into the file's encoding. */
export type Edit = (lines: readonly string[], text: (param: string) => string) => readonly string[];

const seen = new WeakMap<Checked, { readonly found: Found; readonly wanted: Wanted }>();

/** Bytes that are no UTF-8 are kept as they are: each becomes one character. */
function edited(old: Buffer, edit: Edit): Buffer {
  const isUnicode = isUtf8(old);
  const encoding = isUnicode ? 'utf8' : 'latin1';
  const text = old.toString(encoding);
  const newline = /\r\n/.test(text) && !/[^\r]\n/.test(text) ? '\r\n' : '\n';
  const lines = text.split(newline);
  const isEnded = lines.at(-1) === '';
  if (isEnded) lines.pop();
  const after = edit(lines, (param) => (isUnicode ? param : Buffer.from(param).toString('latin1')));
  const isSame = after.length === lines.length && after.every((line, i) => line === lines[i]);
  if (isSame) return old;
  return Buffer.from(after.map((line) => line + newline).join(''), encoding);
}

async function look(ctx: Context, given: Given, edit: Edit): Promise<{ found: Found; wanted: Wanted }> {
  const [found] = await lookAt(ctx, [{ path: given.path, isFollowed: true, content: 'whole' }]);
  if (found === undefined) throw new Error('a look gives a finding');
  const { path, mode, owner, group, validate } = given;
  const wanted: Wanted = {
    path,
    mode,
    owner,
    group,
    content: edited(found.content ?? Buffer.alloc(0), edit),
    isFollowed: true,
    isBackedUp: given.backup,
    validate: validate === undefined ? undefined : splitWords(validate),
  };
  return { found, wanted };
}

/** `isRemoval`: a file that is not there is as wanted. */
export async function checkEdit(
  ctx: Context,
  given: Given,
  edit: Edit,
  isRemoval: boolean,
): Promise<Checked> {
  const { found, wanted } = await look(ctx, given, edit);
  if (found.kind === 'absent' && !isRemoval && !given.create) {
    throw new StepFailed(`there is no ${given.path}`, {}, { hint: 'create: true makes it' });
  }
  const isAsWanted = found.kind === 'absent' && isRemoval;
  const checked = {
    changes: await ownable(ctx, given, isAsWanted ? [] : fileChanges(wanted, found)),
    result: fileResult(given.path, found),
  };
  seen.set(checked, { found, wanted });
  return checked;
}

export async function applyEdit(ctx: Context, given: Given, edit: Edit, checked: Checked): Promise<Checked> {
  const { found, wanted } = seen.get(checked) ?? (await look(ctx, given, edit));
  const placed = await place(ctx, wanted, found);
  return {
    changes: fileChanges(wanted, placed.found),
    result: fileResult(given.path, placed.found, placed.backup),
  };
}

/** Where a new line goes: before line n (from 0). */
export function insertionAt(
  lines: readonly string[],
  text: (param: string) => string,
  {
    insertafter,
    insertbefore,
  }: { readonly insertafter?: string | undefined; readonly insertbefore?: string | undefined },
): number {
  if (insertbefore === 'BOF') return 0;
  if (insertbefore !== undefined) {
    const at = lines.findLastIndex((line) => regexp(text(insertbefore), 'insertbefore').test(line));
    return at < 0 ? lines.length : at;
  }
  if (insertafter === undefined || insertafter === 'EOF') return lines.length;
  const at = lines.findLastIndex((line) => regexp(text(insertafter), 'insertafter').test(line));
  return at < 0 ? lines.length : at + 1;
}
