import Handlebars from 'handlebars/dist/handlebars.js';
import { DrillbookError } from '../core/error.ts';
import { jinjaHint } from './ansible.ts';
import { suggest } from '../core/nearest.ts';
import { helpers } from './template-helpers.ts';

/** Names to values; a variable may be a getter that renders itself when it is asked for. */
export type Scope = Readonly<Record<string, unknown>>;

/** A name used in a template or condition: `inputs.version` is root `inputs`, rest `['version']`. */
export interface Reference {
  readonly root: string;
  readonly rest: readonly string[];
  /** Offset into the text. */
  readonly offset: number;
  /** The value may be missing: it is an argument of `default`, or tested by `if` or `has`. */
  readonly isOptional: boolean;
}

interface Compiled {
  readonly references: readonly Reference[];
  /** The path, when the text is nothing but one `{{path}}`: its value keeps its type. */
  readonly path: readonly string[] | undefined;
  readonly render: (scope: Scope) => string;
}

const engine = Handlebars.create();
for (const name of ['helperMissing', 'blockHelperMissing', 'log']) engine.unregisterHelper(name);
for (const [name, helper] of Object.entries(helpers))
  engine.registerHelper(name, helper as Handlebars.HelperDelegate);
type Source = readonly unknown[];
interface Compiler {
  appendToBuffer(source: unknown, location: unknown, explicit: unknown): unknown;
}
// Where no text stands before them the library adds values by `+`: two numbers side by side would become their sum.
// (Its guide, "Compiler API", has this method for others to put in the place of its own.)
const { JavaScriptCompiler: Library } = engine as unknown as { JavaScriptCompiler: new () => Compiler };
class Texts extends Library {
  readonly compiler = Texts;
  override appendToBuffer(source: unknown, location: unknown, explicit: unknown): unknown {
    const parts = Array.isArray(source) ? (source as Source) : [source];
    return super.appendToBuffer(['("" + (', ...parts, '))'], location, explicit);
  }
}
(engine as unknown as { JavaScriptCompiler: new () => Compiler }).JavaScriptCompiler = Texts;
// A path that may be missing is followed by it, name by name; nobody can write its name.
const MAYBE = ' maybe';
engine.registerHelper(MAYBE, (value: unknown, name: string) =>
  value !== null && typeof value === 'object' && Object.hasOwn(value, name)
    ? (value as Scope)[name]
    : undefined,
);
const BLOCKS = ['if', 'unless', 'each', 'with', 'lookup'];
const isHelper = (name: string): boolean => BLOCKS.includes(name) || name in helpers;

const compiled = new Map<string, Compiled>();
const isTemplate = (text: string): boolean => text.includes('{{');

function fail(text: string, from: string, error: unknown): never {
  const { message, lineNumber } = error as Error & { lineNumber?: number };
  if (error instanceof DrillbookError) throw error;
  const missing = /^"(.+)" not defined in/.exec(message);
  const where = lineNumber === undefined || !text.includes('\n') ? '' : ` (line ${lineNumber})`;
  const sentence = missing
    ? `unknown variable \`${missing[1]}\``
    : message.startsWith('Cannot read properties')
      ? `a part of a path has no value (${message})`
      : message.replace(
          /^Parse error on line \d+:\n(.*)\n(-*\^)\n(Expecting).*got '(.*)'$/s,
          'unexpected $4 after `$1`',
        );
  throw new DrillbookError('plan.template', `${from}: ${sentence}${where}`, {
    hint: jinjaHint(text),
    cause: error,
  });
}

/** Where in a template an error of `compile` lies; undefined where that is not known. */
export function offsetOfError(error: DrillbookError, text: string): number | undefined {
  const { offset, message } = (error.cause ?? {}) as { readonly offset?: number; readonly message?: string };
  const line = /on line (\d+)|- (\d+):/
    .exec(message ?? '')
    ?.slice(1)
    .find(Boolean);
  if (offset !== undefined || line === undefined) return offset;
  const before = text.split('\n').slice(0, Number(line) - 1);
  const start = before.reduce((sum, own) => sum + own.length + 1, 0);
  return start + (/^\s*/.exec(text.slice(start))?.[0].length ?? 0);
}

type Ast = { readonly type: string } & Record<string, unknown>;

/** `a.b.c` as `(maybe (maybe a "b") "c")`: a path itself throws where `a.b` is not there. */
function forgiving(path: Ast): Ast {
  const { loc } = path;
  const [root, ...rest] = path['parts'] as string[];
  const helper = { type: 'PathExpression', data: false, depth: 0, parts: [MAYBE], original: MAYBE, loc };
  return rest.reduce<Ast>(
    (value, name) => ({
      ...{ type: 'SubExpression', path: helper, loc },
      params: [value, { type: 'StringLiteral', value: name, original: name, loc }],
    }),
    { ...path, parts: root === undefined ? [] : [root], original: root },
  );
}

/** Where in a template a name stands. */
interface Area {
  /** Names of block parameters around it. */
  readonly own: ReadonlySet<string>;
  /** How many `each` and `with` are around it. */
  readonly depth: number;
  /** The innermost one's item, where it has a name. */
  readonly named: string | undefined;
  /** Paths that an `if` around it has found to be there. */
  readonly found: readonly string[];
}

/**
 * Every variable a template reads, the names it makes itself (block parameters, `each` contexts) left out. Paths that may
 * be missing are made forgiving on the way.
 */
function referencesOf(program: Ast, text: string): Reference[] {
  const found: Reference[] = [];
  /** Arguments of which the first may be missing. */
  const optional: Ast[][] = [];
  const lineStarts = [0];
  for (let i = 0; i < text.length; i++) if (text[i] === '\n') lineStarts.push(i + 1);

  const offsetOf = (node: Ast): number => {
    const { start } = node['loc'] as { start: { line: number; column: number } };
    return (lineStarts[start.line - 1] ?? 0) + start.column;
  };
  const refuse = (node: Ast, message: string, hint?: string): never => {
    throw new DrillbookError('plan.template', message, { hint, cause: { offset: offsetOf(node) } });
  };
  const path = (node: Ast, { own, depth, named, found: there }: Area, isOptional: boolean): void => {
    if (node['type'] !== 'PathExpression') return;
    const parts = node['parts'] as string[];
    // `@root.x` is `x` from inside any block; what else begins with `@` belongs to the blocks.
    const isOutermost = node['data'] === true && parts[0] === 'root';
    if (node['data'] === true && !isOutermost) return;
    const [root, ...rest] = isOutermost ? parts.slice(1) : parts;
    if (root === undefined || (own.has(root) && !isOutermost)) return;
    const foreign = [root, ...rest].find((part) => part in Object.prototype);
    if (foreign !== undefined) refuse(node, `unknown variable \`${foreign}\``);
    // Inside `each` and `with` a bare name belongs to the item; only `../` reaches the outer scope.
    if (!isOutermost && (node['depth'] as number) < depth) {
      if (named === undefined || (node['depth'] as number) > 0) return;
      const message = `unknown variable \`${root}\`: inside a block with \`as |${named}|\``;
      refuse(node, message, `write \`${named}.${root}\`, or \`../${root}\` for the variable outside`);
    }
    const isThere = there.some((one) => `${[root, ...rest].join('.')}.`.startsWith(`${one}.`));
    found.push({ root, rest, offset: offsetOf(node), isOptional: isOptional || isThere });
  };
  const call = (node: Ast, area: Area): void => {
    const params = node['params'] as Ast[];
    const pairs = ((node['hash'] as { pairs: { value: Ast }[] } | undefined)?.pairs ?? []).map(
      (pair) => pair.value,
    );
    const callee = node['path'] as Ast;
    const name = (callee['parts'] as string[] | undefined)?.join('.') ?? '';
    const isCall = isHelper(name) && (callee['depth'] as number) === 0;
    if (!isCall) {
      if (params.length > 0 || pairs.length > 0) {
        refuse(callee, `unknown helper \`${name}\``, suggest(name, [...BLOCKS, ...Object.keys(helpers)]));
      }
      path(callee, area, false);
    }
    const isOptional = name === 'default' || name === 'if' || name === 'unless' || name === 'lookup';
    for (const [i, param] of [...params, ...pairs].entries()) {
      if (param.type === 'SubExpression') call(param, area);
      else path(param, area, isOptional && i === 0);
      if (isOptional && i === 0 && name !== 'lookup' && param.type === 'PathExpression')
        optional.push(params);
    }
  };
  /** What is there besides, where an `if` asks for a path of the outermost scope. */
  const foundBy = (node: Ast, { own, depth, found: before }: Area): readonly string[] => {
    const [asked] = node['params'] as Ast[];
    if (asked?.type !== 'PathExpression') return before;
    const parts = asked['parts'] as string[];
    const isOutermost = asked['data'] === true && parts[0] === 'root';
    const isOurs = isOutermost || (asked['data'] !== true && depth === 0 && !own.has(parts[0] ?? ''));
    return isOurs ? [...before, parts.slice(isOutermost ? 1 : 0).join('.')] : before;
  };
  const walk = (body: readonly Ast[], area: Area): void => {
    for (const node of body) {
      if (node.type === 'MustacheStatement') call(node, area);
      if (node.type === 'PartialStatement' || node.type === 'PartialBlockStatement') {
        refuse(node, 'partials (`{{> …}}`) are not part of the language');
      }
      if (node.type !== 'BlockStatement') continue;
      call(node, area);
      const name = ((node['path'] as Ast)['parts'] as string[]).join('.');
      for (const part of [node['program'], node['inverse']] as (Ast | undefined)[]) {
        if (!part) continue;
        const isInside = part === node['program'] && (name === 'each' || name === 'with');
        const names = (part['blockParams'] as string[] | undefined) ?? [];
        const own = new Set([...area.own, ...names]);
        const inner = isInside
          ? { ...area, own, depth: area.depth + 1, named: names[0] }
          : {
              ...area,
              own,
              ...(name === 'if' && part === node['program'] ? { found: foundBy(node, area) } : {}),
            };
        walk(part['body'] as Ast[], inner);
      }
    }
  };
  walk(program['body'] as Ast[], { own: new Set(['this']), depth: 0, named: undefined, found: [] });
  for (const params of optional) params[0] = forgiving(params[0] as Ast);
  return found;
}

function soleExpression(program: Ast): readonly string[] | undefined {
  const body = program['body'] as Ast[];
  const [only] = body;
  if (body.length !== 1 || only?.type !== 'MustacheStatement' || (only['params'] as Ast[]).length > 0)
    return undefined;
  const path = only['path'] as Ast;
  if (path.type !== 'PathExpression' || path['data'] === true || (path['depth'] as number) > 0)
    return undefined;
  const parts = path['parts'] as string[];
  return parts.length === 0 || isHelper(parts.join('.')) ? undefined : parts;
}

/** Compiling takes the square of the depth. */
const MOST_BLOCKS = 50;

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (const [, sign] of text.matchAll(/\{\{~?([#^/])/g)) {
    depth += sign === '/' ? -1 : 1;
    if (depth > MOST_BLOCKS) return true;
  }
  return false;
}

/** Compiles once for each text; throws `plan.template` for a text that is not a template. */
export function compile(text: string, from = 'template'): Compiled {
  const known = compiled.get(text);
  if (known) return known;
  if (isTooDeep(text))
    throw new DrillbookError('plan.template', `${from}: blocks nested too deeply: more than ${MOST_BLOCKS}`);
  try {
    const parsed = engine.parse(text);
    const program = parsed as unknown as Ast;
    const references = referencesOf(program, text);
    // `log` is a helper of Handlebars' own and a likely name of a variable.
    const knownHelpers = { log: false, helperMissing: false, blockHelperMissing: false };
    const run = engine.compile(parsed, { strict: true, noEscape: true, knownHelpers });
    const guards = { allowProtoPropertiesByDefault: false, allowProtoMethodsByDefault: false };
    const result: Compiled = {
      references,
      path: soleExpression(program),
      render: (scope) => run(scope, guards),
    };
    compiled.set(text, result);
    return result;
  } catch (error) {
    return fail(text, from, error);
  }
}

function follow(path: readonly string[], scope: Scope, from: string): unknown {
  let value: unknown = scope;
  for (const [i, name] of path.entries()) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) {
      const allowed = value !== null && typeof value === 'object' ? Object.keys(value) : [];
      throw new DrillbookError(
        'plan.template',
        `${from}: unknown variable \`${path.slice(0, i + 1).join('.')}\``,
        {
          hint: suggest(name, allowed),
        },
      );
    }
    value = (value as Scope)[name];
  }
  return value;
}

/** Renders a whole text (a template file). */
export function renderText(text: string, scope: Scope, from: string): string {
  if (!isTemplate(text)) return text;
  const { render, references } = compile(text, from);
  try {
    return render(scope);
  } catch (error) {
    // Handlebars tells the last name of a path only.
    if (!(error instanceof DrillbookError))
      for (const { root, rest, isOptional } of references)
        if (!isOptional) follow([root, ...rest], scope, from);
    return fail(text, from, error);
  }
}

/** Renders every string in `value`; a string that is one `{{path}}` becomes that value. */
export function render(value: unknown, scope: Scope, from: string): unknown {
  if (typeof value === 'string') {
    if (!isTemplate(value)) return value;
    const { path } = compile(value, from);
    return path ? follow(path, scope, from) : renderText(value, scope, from);
  }
  if (Array.isArray(value)) return value.map((item) => render(item, scope, from));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, render(item, scope, `${from}.${key}`)]),
    );
  }
  return value;
}

/** Calls `visit` with each string in `value` that is a template, and its path. */
export function eachTemplate(
  value: unknown,
  path: readonly (string | number)[],
  visit: (text: string, path: readonly (string | number)[]) => void,
): void {
  if (typeof value === 'string') {
    if (isTemplate(value)) visit(value, path);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) {
      eachTemplate(item, [...path, Array.isArray(value) ? Number(key) : key], visit);
    }
  }
}
