import { eitherOf, follow, inWords, isMissing, knownOf, missingText } from './known.ts';
import type { Known } from './known.ts';

/** A node of a CEL expression as the parser gives it. */
export interface Ast {
  readonly op: string;
  readonly args: unknown;
  readonly start?: number;
  readonly end?: number;
}

export const isAst = (value: unknown): value is Ast =>
  value !== null && typeof value === 'object' && 'op' in value;

/** Functions that bind a name of their own to each item. */
export const MACROS = ['all', 'exists', 'exists_one', 'map', 'filter'];

/** Something in an expression that can never be right. */
export interface Mistake {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string | undefined;
}

type Names = (root: string) => Known;

const isScalar = (known: Known): boolean =>
  typeof known === 'string' && known !== 'any' && known !== 'nothing';

/** Of texts: method → what it gives. */
const OF_TEXT: Readonly<Record<string, Known>> = {
  startsWith: 'boolean',
  endsWith: 'boolean',
  contains: 'boolean',
  matches: 'boolean',
  trim: 'text',
  lowerAscii: 'text',
  upperAscii: 'text',
  substring: 'text',
  indexOf: 'number',
  lastIndexOf: 'number',
  split: { items: 'text' },
};

const CASTS: Readonly<Record<string, Known>> = {
  size: 'number',
  int: 'number',
  uint: 'number',
  double: 'number',
  string: 'text',
  bool: 'boolean',
  has: 'boolean',
};

/** What an expression gives, and what in it can never be right: fields that are not there, comparisons of unlike things. */
export function typeOf(
  root: Ast,
  names: Names,
): { readonly type: Known; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const text = (node: Ast): string => {
    const { input } = node as unknown as { readonly input?: string };
    return input?.slice(node.start, node.end).trim() ?? '';
  };
  const wrong = (node: Ast, message: string, hint?: string): void =>
    void mistakes.push({ offset: node.start ?? 0, message, hint });
  const unlike = (node: Ast, a: Ast, left: Known, b: Ast, right: Known, verb: string): void =>
    wrong(node, `\`${text(a)}\` is ${inWords(left)} and \`${text(b)}\` ${inWords(right)}: ${verb}`);
  const wanted = (node: unknown, own: Names, as: Known, what: string): void => {
    if (!isAst(node)) return;
    const type = walk(node, own);
    const isFine = type === 'any' || type === as;
    if (!isFine) wrong(node, `\`${text(node)}\` is ${inWords(type)}, ${what}`);
  };
  const field = (node: Ast, on: Known, name: string, isSure: boolean): Known => {
    const found = follow(on, [name]);
    if (!isMissing(found)) return found;
    if (isSure) wrong(node, missingText(text((node.args as readonly Ast[])[0] as Ast), found), found.hint);
    return 'any';
  };
  const walk = (node: Ast, own: Names, isSure = true): Known => {
    const args: readonly unknown[] = Array.isArray(node.args) ? node.args : [];
    const [first, second, third] = args as unknown as readonly Ast[];
    const both = (): [Ast, Known, Ast, Known] => {
      const [a, b] = [first as Ast, second as Ast];
      return [a, walk(a, own), b, walk(b, own)];
    };
    switch (node.op) {
      case 'value':
        return typeof node.args === 'bigint'
          ? 'number'
          : typeof node.args === 'object' && node.args
            ? 'any'
            : knownOf(node.args);
      case 'id':
        return own(node.args as string);
      case '.':
        return field(node, walk(first as Ast, own, isSure), args[1] as string, isSure);
      case '[]': {
        const on = walk(first as Ast, own, isSure);
        const index = second as Ast;
        if (index.op === 'value' && typeof index.args === 'string')
          return field(node, on, index.args, isSure);
        walk(index, own);
        return typeof on === 'object' && 'items' in on ? on.items : 'any';
      }
      case '==':
      case '!=': {
        const [a, left, b, right] = both();
        if (isScalar(left) && isScalar(right) && left !== right)
          unlike(node, a, left, b, right, 'never equal');
        return 'boolean';
      }
      case '<':
      case '<=':
      case '>':
      case '>=': {
        const [a, left, b, right] = both();
        if (left !== 'any' && right !== 'any' && left !== right)
          unlike(node, a, left, b, right, 'they have no order');
        return 'boolean';
      }
      case '+':
      case '-':
      case '*':
      case '/':
      case '%': {
        const [a, left, b, right] = both();
        if (isScalar(left) && isScalar(right) && left !== right)
          unlike(node, a, left, b, right, `\`${node.op}\` does not work on them`);
        return left === right ? left : 'any';
      }
      case '&&':
      case '||':
        for (const side of args) wanted(side, own, 'boolean', 'not true or false');
        return 'boolean';
      case '!_':
        wanted(node.args, own, 'boolean', 'not true or false');
        return 'boolean';
      case '-_':
        wanted(node.args, own, 'number', 'not a number');
        return 'number';
      case '?:':
        wanted(first, own, 'boolean', 'not true or false');
        return eitherOf([walk(second as Ast, own), walk(third as Ast, own)]);
      case 'in': {
        const [a, left, b, right] = both();
        const items = typeof right === 'object' && 'items' in right ? right.items : 'any';
        if (isScalar(right)) wrong(node, `\`${text(b)}\` is ${inWords(right)}, not a list`);
        else if (isScalar(left) && isScalar(items) && left !== items)
          wrong(node, `\`${text(a)}\` is ${inWords(left)}, and \`${text(b)}\` a list of ${inWords(items)}`);
        return 'boolean';
      }
      case 'list':
        return { items: eitherOf(args.map((item) => walk(item as Ast, own))) };
      case 'call': {
        const [name, params] = args as unknown as [string, readonly Ast[]];
        for (const param of params) walk(param, own, name !== 'has');
        return Object.hasOwn(CASTS, name) ? (CASTS[name] ?? 'any') : 'any';
      }
      case 'rcall':
        return method(node, own);
      default:
        for (const item of [node.args].flat(2)) if (isAst(item)) walk(item, own);
        return 'any';
    }
  };
  const method = (node: Ast, own: Names): Known => {
    const [name, receiver, params] = node.args as [string, Ast, readonly Ast[]];
    const on = walk(receiver, own);
    const [variable, ...bodies] = params;
    if (MACROS.includes(name) && variable?.op === 'id') {
      const item = typeof on === 'object' && 'items' in on ? on.items : on === 'any' ? 'any' : 'text';
      if (isScalar(on)) wrong(node, `\`${text(receiver)}\` is ${inWords(on)}, not a list`);
      const inner: Names = (root) => (root === variable.args ? item : own(root));
      for (const body of bodies) walk(body, inner);
      return name === 'filter' ? on : name === 'map' ? { items: 'any' } : 'boolean';
    }
    for (const param of params) walk(param, own);
    if (name === 'size') return 'number';
    const gives = Object.hasOwn(OF_TEXT, name) ? OF_TEXT[name] : undefined;
    if (gives !== undefined && on !== 'any' && on !== 'text')
      wrong(node, `\`${text(receiver)}\` is ${inWords(on)}, and \`${name}\` is for text`);
    return gives ?? 'any';
  };
  const type = walk(root, names);
  return { type, mistakes };
}
