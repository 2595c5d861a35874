import type { Checked, Context } from '../core/module.ts';
import { fileChanges, fileResult, lookAt, place } from './_file.ts';
import type { Found, Wanted } from './_file.ts';
import { ownable } from './_owner.ts';

/** What the look found, kept for `apply`, so that it need not look again. */
const seen = new WeakMap<Checked, readonly Found[]>();

const resultOf = (
  wanted: readonly Wanted[],
  found: readonly Found[],
  backups: readonly (string | undefined)[],
) => {
  const each = wanted.flatMap((one, i) => {
    const at = found[i];
    return at === undefined ? [] : [fileResult(one.path, at, backups[i])];
  });
  return each.length === 1 ? (each[0] ?? {}) : { files: each };
};

/** Looks at all the files in one exchange; they are to have one owner. */
export async function checkFiles(ctx: Context, wanted: readonly Wanted[], isForced = true): Promise<Checked> {
  const found = await lookAt(
    ctx,
    wanted.map(({ path, isFollowed, content }) => ({
      path,
      isFollowed,
      content: 'diff' as const,
      wanted: content,
    })),
  );
  const changes = wanted.flatMap((one, i) => {
    const at = found[i];
    if (at === undefined || (!isForced && at.kind !== 'absent')) return [];
    return fileChanges(one, at);
  });
  const [first = {}] = wanted;
  const checked = { changes: await ownable(ctx, first, changes), result: resultOf(wanted, found, []) };
  seen.set(checked, found);
  return checked;
}

/** Puts every file in place that differs, one exchange each. */
export async function applyFiles(
  ctx: Context,
  wanted: readonly Wanted[],
  checked: Checked,
): Promise<Checked> {
  let found = seen.get(checked);
  if (found === undefined) {
    found = await lookAt(
      ctx,
      wanted.map(({ path, isFollowed }) => ({ path, isFollowed })),
    );
  }
  const after: Found[] = [];
  const backups: (string | undefined)[] = [];
  for (const [i, one] of wanted.entries()) {
    const before = found[i];
    if (before === undefined) continue;
    if (fileChanges(one, before).length === 0) {
      after.push(before);
      backups.push(undefined);
      continue;
    }
    const placed = await place(ctx, one, before);
    after.push(placed.found);
    backups.push(placed.backup);
  }
  return {
    changes: wanted.flatMap((one, i) => {
      const at = after[i];
      return at === undefined ? [] : fileChanges(one, at);
    }),
    result: resultOf(wanted, after, backups),
  };
}
