import { blockSchema, playSchema, playbookSchema, taskSchema } from './playbook-schema.ts';

/** Where a keyword may stand. */
export type Level = 'playbook' | 'play' | 'block' | 'include' | 'task';

const has = ({ shape }: { readonly shape: object }, word: string): boolean => Object.hasOwn(shape, word);

/** The hint for a keyword of the language that stands at the wrong level; undefined for what is no keyword at all. */
export function elsewhereHint(word: string, level: Level): string | undefined {
  if (has(blockSchema, word)) return `\`${word}\` stands on a task, or on a block around several`;
  if (has(taskSchema, word)) {
    const why = level === 'include' ? ': a file is included once, when the plan is made' : '';
    return `\`${word}\` stands on a task${why}`;
  }
  if (has(playSchema, word)) return `\`${word}\` stands on a play`;
  return has(playbookSchema, word) ? `\`${word}\` stands at the top of the playbook` : undefined;
}
