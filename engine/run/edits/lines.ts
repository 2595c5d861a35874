import { placeText } from '../../core/place.ts';
import type { Redactor } from '../../core/secret.ts';
import type { Differences, Edit, Placed } from './differences.ts';
import { isHidden } from './doing.ts';
import type { Standing } from './finished-steps.ts';
import { standingText } from './refusals.ts';

const MOST = 60;
const SECRET_NAME = /pass(?:word|phrase|wd)|secret/i;

/** What is a secret by its name, written into the playbook as it is. */
function withheld(this: unknown, key: string, value: unknown): unknown {
  const isAnswer = key === 'answer' && (this as { secret?: unknown }).secret === true;
  return typeof value === 'string' && (isAnswer || SECRET_NAME.test(key)) ? '‹secret›' : value;
}

/** A value on one line; of a long one the part where it begins to differ, cut after the secrets are out of it. */
function shown(value: unknown, other: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value, withheld) ?? 'nothing';
  const than = JSON.stringify(other, withheld) ?? '';
  if (text.length <= MOST) return text;
  let same = 0;
  while (same < text.length && text[same] === than[same]) same++;
  const from = Math.max(0, Math.min(same - 20, text.length - MOST));
  return `${from > 0 ? '…' : ''}${text.slice(from, from + MOST)}${from + MOST < text.length ? '…' : ''}`;
}

const isNeverShown = (what: string): boolean =>
  /^(?:connection|become) of /.test(what) || SECRET_NAME.test(what);

function editLine({ what, hosts, ...edit }: Edit, isUnseen: boolean, redactor: Redactor): string {
  const [before, after] = [redactor.value(edit.before), redactor.value(edit.after)];
  const where = hosts === undefined ? '' : ` on ${hosts.join(', ')}`;
  if (what.startsWith('file ')) {
    const how = before === undefined ? 'new' : after === undefined ? 'gone' : 'edited';
    return `${what}${where}: ${how}`;
  }
  if (isUnseen || isNeverShown(what)) return `${what}${where}: changed (not shown)`;
  return `${what}${where}: ${shown(before, after)} → ${shown(after, before)}`;
}

/** The differences for an operator, a line each. */
export function editLines(
  found: Differences,
  around: readonly Edit[],
  done: ReadonlyMap<string, Standing>,
  redactor: Redactor,
): readonly string[] {
  const nameOf = ({ step }: Placed): string => `${step.id} (${placeText(step.at)})`;
  const standing = (id: string): string => {
    const known = done.get(id);
    return known ? `, which ${standingText(known)}` : '';
  };
  const changed = found.changed.flatMap(({ before, after, edits }) => [
    `  changed: ${nameOf(after)}${standing(before.step.id)}`,
    ...edits.map((edit) => {
      const isUnseen = [before.step, after.step].some((step) => isHidden(step, edit.what));
      return `    ${editLine(edit, isUnseen, redactor)}`;
    }),
  ]);
  return [
    'edited since the run began:',
    ...found.added.map((placed) => `  added: ${nameOf(placed)}`),
    ...found.removed.map((placed) => `  removed: ${nameOf(placed)}${standing(placed.step.id)}`),
    ...changed,
    ...found.moved.map(
      (placed) =>
        `  moved: ${nameOf(placed)}${standing(found.renamed.get(placed.step.id) ?? placed.step.id)}`,
    ),
    ...around.map((edit) => `  ${editLine(edit, false, redactor)}`),
  ];
}
