import { DrillbookError } from '../core/error.ts';
import { nearest } from '../core/nearest.ts';
import { ansibleVariableHint } from '../parse/ansible.ts';
import { compileCondition } from '../parse/condition.ts';
import { follow, isMissing, missingText } from '../parse/known.ts';
import type { Known } from '../parse/known.ts';
import { compile, eachTemplate, offsetOfError } from '../parse/template.ts';
import type { Reference } from '../parse/template.ts';
import type { Path, Source } from '../parse/yaml.ts';

/** Names that no variable may take: the engine would put its own over it. */
const RESERVED = [
  'host',
  'peer',
  'cluster',
  'run',
  'facts',
  'hosts',
  'groups',
  'inputs',
  'item',
  'index',
  'failure',
];

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

/** Names that a step may use, and what is known of their values. */
export interface KnownNames {
  readonly variables: ReadonlyMap<string, Known>;
  /** What the engine itself puts into every scope. */
  readonly engine: ReadonlyMap<string, Known>;
  /** Registered and set somewhere in the playbook: name → place. */
  readonly later?: ReadonlyMap<string, string>;
  /** Variables that some hosts lack: name → those hosts. */
  readonly partial?: ReadonlyMap<string, readonly string[]>;
  /** Paths that a condition in force asks for with `has`: they are there, or nothing is done. */
  readonly asked?: readonly string[];
}

/** The same with names of its own over them. */
export function withNames(known: KnownNames, own: readonly (readonly [string, Known])[]): KnownNames {
  const partial = new Map(known.partial);
  for (const [name] of own) partial.delete(name);
  return { ...known, partial, variables: new Map([...known.variables, ...own]) };
}

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

function rootProblem(root: string, known: KnownNames): Problem | undefined {
  if (known.engine.has(root) || known.variables.has(root)) return undefined;
  const message = `unknown variable \`${root}\``;
  const later = known.later?.get(root);
  if (later !== undefined)
    return { code: 'plan.order', message: `\`${root}\` has no value yet`, hint: `it gets one at ${later}` };
  const inputs = known.engine.get('inputs');
  const isInput = typeof inputs === 'object' && 'fields' in inputs && inputs.fields.has(root);
  if (root === 'facts')
    return { code: 'plan.facts', message: 'no facts are gathered', hint: 'write `gather: true` at the play' };
  const hint = ansibleVariableHint(root) ?? (isInput ? `did you mean \`inputs.${root}\`?` : undefined);
  const near = (): string | undefined => nearest(root, [...known.variables.keys(), ...known.engine.keys()]);
  const word = hint === undefined ? near() : undefined;
  return { code: 'plan.name', message, hint: hint ?? (word && `did you mean \`${word}\`?`) };
}

const isBelow = (path: readonly string[], asked: readonly string[]): boolean =>
  asked.some((one) => `${path.join('.')}.`.startsWith(`${one}.`));

/** What is wrong with a name that a template reads. */
export function referenceProblem(
  { root, rest, isOptional }: Reference,
  known: KnownNames,
): Problem | undefined {
  // Inputs are declared: one that is not will never be there.
  if (isOptional && root !== 'inputs') return undefined;
  const unknown = rootProblem(root, known);
  if (unknown) return unknown;
  const lacking = known.partial?.get(root);
  if (lacking !== undefined)
    return { code: 'plan.host', message: `\`${root}\` has no value on ${lacking.join(', ')}` };
  const found = follow(known.engine.get(root) ?? known.variables.get(root) ?? 'any', rest);
  if (!isMissing(found) || isBelow([root, ...rest], known.asked ?? [])) return undefined;
  const on = [root, ...found.path].join('.');
  return { code: 'plan.field', message: missingText(on, found), hint: found.hint };
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
        const problem = referenceProblem(reference, known);
        const spot = { text, offset: reference.offset };
        if (problem) problems.push(source.error(problem.code, where, problem.message, problem.hint, spot));
      }
    } catch (error) {
      if (!(error instanceof DrillbookError)) throw error;
      const offset = offsetOfError(error, text);
      const spot = offset === undefined ? undefined : { text, offset };
      problems.push(source.error(error.code, where, error.message, error.hint, spot));
    }
  });
  return problems;
}

/** The same for a CEL expression, and what in it can never be right. */
export function conditionProblems(
  text: string,
  source: Source,
  path: Path,
  known: KnownNames,
  isValue = false,
): DrillbookError[] {
  try {
    const condition = compileCondition(text);
    const told = (code: string, offset: number, message: string, hint?: string): DrillbookError =>
      source.error(code, path, message, hint, { text, offset });
    const roots = condition.references.flatMap(({ root, offset, isOptional }) => {
      const problem = isOptional ? undefined : rootProblem(root, known);
      return problem ? [told(problem.code, offset, problem.message, problem.hint)] : [];
    });
    const knownOf = (root: string): Known => known.engine.get(root) ?? known.variables.get(root) ?? 'any';
    const mistakes = condition
      .mistakes(knownOf, isValue)
      .map(({ offset, message, hint }) => told('plan.field', offset, message, hint));
    return [...roots, ...mistakes];
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    const offset = (error.cause as { readonly node?: { readonly start?: number } } | undefined)?.node?.start;
    const spot = offset === undefined ? undefined : { text, offset };
    return [source.error(error.code, path, error.message, error.hint, spot)];
  }
}
