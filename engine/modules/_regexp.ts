import { DrillbookError } from '../core/error.ts';

/** A JavaScript regular expression of a parameter; `(?i)` at its start is understood as in Python. */
export function regexp(text: string, name: string, always = ''): RegExp {
  const [, flags = '', body = text] = /^\(\?([ims]+)\)([\s\S]*)$/.exec(text) ?? [];
  try {
    const made = new RegExp(body, [...new Set(flags + always)].join(''));
    // One that is too large is told of when it is first used.
    made.test('');
    return made;
  } catch (cause) {
    const why = (cause as Error).message.replace(/^Invalid regular expression: /, '');
    throw new DrillbookError('step.regexp', `\`${name}\` is no regular expression: ${why}`, { cause });
  }
}
