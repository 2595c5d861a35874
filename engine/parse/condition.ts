import { Environment } from '@marcbachmann/cel-js';
import { bounded } from '../core/bounded.ts';
import { DrillbookError } from '../core/error.ts';
import { conditionHint } from './ansible.ts';
import { isAst, MACROS, typeOf } from './condition-types.ts';
import type { Ast, Mistake } from './condition-types.ts';
import { inWords } from './known.ts';
import type { Known } from './known.ts';
import type { Reference, Scope } from './template.ts';

const environment = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });
// Results come from JSON, where every number is a double; an operator who writes `n + 1` means the number.
const arithmetic: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};
for (const [sign, compute] of Object.entries(arithmetic)) {
  environment.registerOperator(`double ${sign} int`, (a: number, b: bigint) => compute(a, Number(b)));
  environment.registerOperator(`int ${sign} double`, (a: bigint, b: number) => compute(Number(a), b));
}

export interface Condition {
  readonly text: string;
  readonly references: readonly Reference[];
  /** What can never be right in it, by what is known of the names; that it gives no truth value is one of them, unless any value will do. */
  mistakes(names: (root: string) => Known, isValue?: boolean): readonly Mistake[];
  evaluate(scope: Scope): unknown;
  /** Throws `step.condition` when the value is not a boolean. */
  test(scope: Scope): boolean;
}

/** Every variable an expression reads; variables of macros are its own. */
function referencesOf(ast: Ast): Reference[] {
  const found: Reference[] = [];
  const walk = (
    node: unknown,
    own: ReadonlySet<string>,
    rest: readonly string[],
    isOptional: boolean,
  ): void => {
    if (Array.isArray(node)) {
      for (const item of node) walk(item, own, [], isOptional);
      return;
    }
    if (!isAst(node)) return;
    const args = node.args as readonly unknown[];
    if (node.op === 'id') {
      const root = node.args as unknown as string;
      if (!own.has(root)) found.push({ root, rest, offset: node.start ?? 0, isOptional });
    } else if (node.op === '.' && typeof args[1] === 'string') {
      walk(args[0], own, [args[1], ...rest], isOptional);
    } else if (node.op === 'call') {
      walk(args[1], own, [], args[0] === 'has');
    } else if (node.op === 'rcall') {
      const [name, on, params] = args as [string, unknown, readonly unknown[]];
      walk(on, own, [], isOptional);
      const [variable] = params;
      const isMacro = MACROS.includes(name) && isAst(variable) && variable.op === 'id';
      if (isMacro) walk(params.slice(1), new Set([...own, variable.args as string]), [], isOptional);
      else walk(params, own, [], isOptional);
    } else {
      walk(args, own, [], isOptional);
    }
  };
  walk(ast, new Set(), [], false);
  return found;
}

/** Its texts are matched by JavaScript's expressions, which may go back and forth for ever. */
const HAS_PATTERN = /\bmatches\s*\(/;

const conditions = new Map<string, Condition>();
/** Its first line, in the words of this language. */
function firstLine(error: unknown): string {
  const [line = ''] = (error as Error).message.split('\n');
  if (/maxDepth|call stack/.test(line)) return 'nested too deeply';
  return /^Exceeded max/.test(line) ? 'too long' : line;
}

const MOST_SHOWN = 200;
const shown = (text: string): string =>
  `\`${text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text}\``;

/** Plain values only: CEL knows no integers of JavaScript's kind, and would choke on `undefined`. */
export function compileCondition(text: string): Condition {
  const known = conditions.get(text);
  if (known) return known;
  let program: ReturnType<Environment['parse']>;
  try {
    program = environment.parse(text);
  } catch (cause) {
    throw new DrillbookError('plan.condition', `not a CEL expression: ${firstLine(cause)}: ${shown(text)}`, {
      hint: conditionHint(text),
      cause,
    });
  }
  const checked = program.check();
  if (!checked.valid) {
    throw new DrillbookError('plan.condition', `${firstLine(checked.error)}: ${shown(text)}`, {
      cause: checked.error,
    });
  }
  const evaluate = (scope: Scope): unknown => {
    try {
      return plain(HAS_PATTERN.test(text) ? bounded(() => program(scope) as unknown) : program(scope));
    } catch (cause) {
      if (cause instanceof DrillbookError) throw cause;
      throw new DrillbookError('step.condition', `${firstLine(cause)}: ${shown(text)}`, { cause });
    }
  };
  const ast = program.ast as unknown as Ast;
  const condition: Condition = {
    text,
    references: referencesOf(ast),
    mistakes(names, isValue = false) {
      const { type, mistakes } = typeOf(ast, names);
      if (isValue || type === 'any' || type === 'boolean' || mistakes.length > 0) return mistakes;
      return [{ offset: 0, message: `gives ${inWords(type)}, not true or false` }];
    },
    evaluate,
    test(scope) {
      const value = evaluate(scope);
      if (typeof value === 'boolean') return value;
      throw new DrillbookError(
        'step.condition',
        `${shown(text)} is ${JSON.stringify(value)}, not true or false`,
      );
    },
  };
  conditions.set(text, condition);
  return condition;
}

/** CEL's big integers back to numbers. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  return value;
}
