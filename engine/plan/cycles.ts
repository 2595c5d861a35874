import { compile, eachTemplate } from '../parse/template.ts';
import type { Vars } from './plan.ts';

function needsOf(value: unknown, known: Vars): string[] {
  const needs: string[] = [];
  eachTemplate(value, [], (text) => {
    try {
      for (const { root } of compile(text).references) if (Object.hasOwn(known, root)) needs.push(root);
    } catch {
      // Told where names are checked, with its place.
    }
  });
  return needs;
}

/** The first circle of variables that need one another: `['a', 'b', 'a']`. */
export function cycleOf(vars: Vars): readonly string[] | undefined {
  const needs = new Map(
    Object.entries(vars).flatMap(([name, value]) => {
      const list = needsOf(value, vars);
      return list.length === 0 ? [] : [[name, list] as const];
    }),
  );
  const done = new Set<string>();
  const visit = (name: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(name)) return [...way.slice(way.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of needs.get(name) ?? []) {
      const found = visit(next, [...way, name]);
      if (found) return found;
    }
    done.add(name);
    return undefined;
  };
  for (const name of needs.keys()) {
    const found = visit(name, []);
    if (found) return found;
  }
  return undefined;
}
