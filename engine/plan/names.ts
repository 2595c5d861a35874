import { DrillbookError } from '../core/error.ts';
import { nearest } from '../core/nearest.ts';
import { ansibleVariableHint } from '../parse/ansible.ts';
import { compileCondition } from '../parse/condition.ts';
import { compile, eachTemplate } from '../parse/template.ts';
import type { Reference } from '../parse/template.ts';
import type { Path, Source } from '../parse/yaml.ts';

/** What the engine itself puts into every scope, with the names inside it; `*` where anything may be. */
const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  host: ['name', 'address', 'groups'],
  peer: ['name', 'address', 'vars'],
  cluster: ['name', 'stack', 'nodes', 'settings', 'primary', 'standby'],
  run: ['id', 'operator', 'is_check'],
  facts: ['*'],
  hosts: ['*'],
  groups: ['*'],
};

/** Names that no variable may take: the engine would put its own over it. */
const RESERVED = [...Object.keys(BUILT_IN), 'inputs', 'item', 'index', 'failure'];

/** Errors of variables set under a name of the language's own. */
export function reservedProblems(
  names: Iterable<string>,
  source: Source,
  placed: (name: string) => Path,
): DrillbookError[] {
  return [...names]
    .filter((name) => RESERVED.includes(name))
    .map((name) =>
      source.error(
        'plan.reserved',
        placed(name),
        `\`${name}\` is a name of the language; a variable needs another`,
      ),
    );
}

/** Names that a step may use. */
export interface KnownNames {
  readonly variables: ReadonlySet<string>;
  readonly inputs: ReadonlySet<string>;
}

function problemOf(reference: Reference, known: KnownNames): { message: string; hint?: string } | undefined {
  const { root, rest } = reference;
  const near = (word: string, allowed: Iterable<string>, prefix = ''): { hint?: string } => {
    const found = nearest(word, allowed);
    return found === undefined ? {} : { hint: `did you mean \`${prefix}${found}\`?` };
  };
  if (root === 'inputs') {
    const [name] = rest;
    if (name === undefined || known.inputs.has(name) || reference.isOptional) return undefined;
    return { message: `unknown input \`${name}\``, ...near(name, known.inputs, 'inputs.') };
  }
  const inside = Object.hasOwn(BUILT_IN, root) ? BUILT_IN[root] : undefined;
  if (inside) {
    const [name] = rest;
    if (name === undefined || inside.includes('*') || inside.includes(name) || reference.isOptional)
      return undefined;
    return { message: `unknown variable \`${root}.${name}\``, ...near(name, inside, `${root}.`) };
  }
  if (known.variables.has(root) || reference.isOptional) return undefined;
  const hint = ansibleVariableHint(root);
  return {
    message: `unknown variable \`${root}\``,
    ...(hint !== undefined
      ? { hint }
      : known.inputs.has(root)
        ? { hint: `did you mean \`inputs.${root}\`?` }
        : near(root, [...known.variables, ...Object.keys(BUILT_IN), 'inputs'])),
  };
}

/** Errors of all names in the templates of `value` that nothing can have set by then. */
export function templateProblems(
  value: unknown,
  source: Source,
  path: Path,
  known: KnownNames,
): DrillbookError[] {
  const problems: DrillbookError[] = [];
  eachTemplate(value, path, (text, where) => {
    try {
      for (const reference of compile(text, String(where.at(-1) ?? 'template')).references) {
        const problem = problemOf(reference, known);
        if (problem) problems.push(source.error('plan.name', where, problem.message, problem.hint));
      }
    } catch (error) {
      if (!(error instanceof DrillbookError)) throw error;
      problems.push(source.error(error.code, where, error.message, error.hint));
    }
  });
  return problems;
}

/** The same for a CEL expression; `extra` are names that only this expression has, such as `item`. */
export function conditionProblems(
  text: string,
  source: Source,
  path: Path,
  known: KnownNames,
  extra: Iterable<string> = [],
): DrillbookError[] {
  const own = new Set(extra);
  try {
    return compileCondition(text).references.flatMap((reference) => {
      const problem = own.has(reference.root) ? undefined : problemOf(reference, known);
      return problem
        ? [source.error('plan.name', path, `${problem.message} in \`${text}\``, problem.hint)]
        : [];
    });
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    return [source.error(error.code, path, error.message, error.hint)];
  }
}
