import { isMap } from '../parse/playbook.ts';
import type { Item, Playbook } from '../parse/playbook.ts';

/** Names that the playbook's plays, blocks and tasks give values to, by `vars` and by `set`: -e may give them another. */
export function ownNames({ plays }: Playbook): Set<string> {
  const names = new Set<string>();
  const hear = (vars: unknown): void => {
    if (isMap(vars)) for (const name of Object.keys(vars)) names.add(name);
  };
  const visit = (items: readonly Item[]): void => {
    for (const item of items) {
      hear(item.keywords.vars);
      if (item.kind === 'block') for (const part of [item.block, item.rescue, item.always]) visit(part);
      else if (item.module === 'set') hear(item.params);
    }
  };
  for (const play of plays) {
    hear(play.keywords.vars);
    visit(play.tasks);
    visit(play.handlers);
  }
  return names;
}
