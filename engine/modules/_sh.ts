import { DrillbookError, StepFailed } from '../core/error.ts';
import type { ShOptions, ShResult } from '../core/host.ts';
import type { Context } from '../core/module.ts';

/** The last line with anything in it: where programs say why they gave up. */
export const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1)?.trim() ?? '';

/** The last line of standard error, else of standard output. */
export const lastWords = (said: Pick<ShResult, 'stdout' | 'stderr'>): string =>
  lastLine(said.stderr) || lastLine(said.stdout);

/** Output without its last newlines, as `$(…)` gives it. */
export const trimmed = (text: string): string => text.replace(/\n+$/, '');

export const linesOf = (text: string): string[] => (trimmed(text) === '' ? [] : trimmed(text).split('\n'));

/** Runs a script that must succeed; else the last line it said is the cause. */
export const must = async (
  ctx: Context,
  what: string,
  script: string,
  options?: ShOptions,
): Promise<string> => succeeded(what, await ctx.sh(script, options));

/** What a script said that must have succeeded. */
export function succeeded(what: string, said: ShResult): string {
  if (said.code === 0) return said.stdout;
  const cause = lastWords(said) || `exit code ${said.code}`;
  throw new StepFailed(`${what}: ${cause}`, { code: said.code, stdout: said.stdout, stderr: said.stderr });
}

/** Words of a command line: spaces part them, quotes and backslashes keep them together as in sh; nothing expands. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === quote) {
      quote = undefined;
    } else if (char === '\\' && quote !== "'") {
      const next = text.charAt(++i);
      if (next === '') throw unbalanced(text, 'ends in a backslash');
      // Between double quotes only these lose their backslash (POSIX 2.2.3).
      word = (word ?? '') + (quote === '"' && !'"\\$`'.includes(next) ? `\\${next}` : next);
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== undefined) throw unbalanced(text, `has no closing ${quote}`);
  if (word !== undefined) words.push(word);
  return words;
}

const unbalanced = (text: string, why: string): DrillbookError =>
  new DrillbookError(
    'step.words',
    `the command ${why}: ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`,
    {
      hint: 'quote it, or give the words as a list in `argv`',
    },
  );
