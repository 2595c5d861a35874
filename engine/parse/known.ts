import type { z } from 'zod';
import { nearest } from '../core/nearest.ts';

type Scalar = 'text' | 'number' | 'boolean' | 'nothing';

/** What is known of a value before the run. `isOpen`: there may be more fields than these. */
export type Known =
  | 'any'
  | Scalar
  | { readonly items: Known }
  | { readonly fields: ReadonlyMap<string, Known>; readonly isOpen?: boolean };

export const fieldsOf = (fields: Readonly<Record<string, Known>>, isOpen = false): Known => ({
  fields: new Map(Object.entries(fields)),
  isOpen,
});

/** For messages: `text`, `a list`. */
export const inWords = (known: Known): string =>
  typeof known === 'object'
    ? 'items' in known
      ? 'a list'
      : 'a mapping'
    : known === 'text' || known === 'nothing'
      ? known
      : known === 'boolean'
        ? 'true or false'
        : known === 'any'
          ? 'anything'
          : `a ${known}`;

/** What holds for a value that is one or the other. */
export function either(a: Known, b: Known): Known {
  if (a === b) return a;
  if (typeof a !== 'object' || typeof b !== 'object') return 'any';
  if ('items' in a) return 'items' in b ? { items: either(a.items, b.items) } : 'any';
  if (!('fields' in b)) return 'any';
  const fields = new Map(a.fields);
  for (const [name, known] of b.fields) {
    const other = fields.get(name);
    fields.set(name, other === undefined ? known : either(other, known));
  }
  return { fields, isOpen: a.isOpen === true || b.isOpen === true };
}

export const eitherOf = (all: readonly Known[]): Known =>
  all.length === 0 ? 'any' : all.reduce((a, b) => either(a, b));

/** What is known of a value as it is written: what a template gives is not. */
export function knownOf(value: unknown): Known {
  if (typeof value === 'string') return value.includes('{{') ? 'any' : 'text';
  if (typeof value === 'number' || typeof value === 'boolean') return typeof value as 'number' | 'boolean';
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return { items: eitherOf(value.map(knownOf)) };
  return fieldsOf(
    Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, knownOf(inner)] as const)),
  );
}

interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly values?: readonly unknown[];
  readonly entries?: Readonly<Record<string, unknown>>;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
}

/** What a type of zod's says of a value that is there; whether it may be missing is left out. */
export function knownOfType(type: z.ZodType): Known {
  const definition = type.def as unknown as Definition;
  const { innerType, element, options = [], values = [], entries = {}, shape = {} } = definition;
  switch (definition.type) {
    case 'string':
      return 'text';
    case 'number':
    case 'int':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'literal':
      return eitherOf(values.map(knownOf));
    case 'enum':
      return eitherOf(Object.values(entries).map(knownOf));
    case 'optional':
    case 'default':
    case 'readonly':
      return innerType ? knownOfType(innerType) : 'any';
    case 'array':
      return { items: element ? knownOfType(element) : 'any' };
    case 'union':
      return eitherOf(options.map(knownOfType));
    case 'object':
      return fieldsOf(
        Object.fromEntries(Object.entries(shape).map(([name, inner]) => [name, knownOfType(inner)] as const)),
      );
    // What may be null is compared with null, and what a record holds goes by names of the nodes.
    default:
      return 'any';
  }
}

/** A field that cannot be there. */
export interface Missing {
  /** The names up to it. */
  readonly path: readonly string[];
  readonly name: string;
  readonly hint: string | undefined;
}

const MOST_LISTED = 30;

/** What is known of the value at `path` in another; `Missing` where there can be none. */
export function follow(known: Known, path: readonly string[], from: readonly string[] = []): Known | Missing {
  const [name, ...rest] = path;
  if (name === undefined) return known;
  if (typeof known !== 'object' || 'items' in known) return 'any';
  const inner = known.fields.get(name);
  if (inner !== undefined) return follow(inner, rest, [...from, name]);
  if (known.isOpen === true) return 'any';
  const names = [...known.fields.keys()];
  const near = name === 'rc' && known.fields.has('code') ? 'code' : nearest(name, names);
  const list = names.length > 0 && names.length <= MOST_LISTED ? `it has ${names.join(', ')}` : undefined;
  return { path: from, name, hint: near === undefined ? list : `did you mean \`${near}\`?` };
}

export const isMissing = (found: Known | Missing): found is Missing =>
  typeof found === 'object' && 'path' in found;

/** The sentence for it; `on` is what should have it, as it is written. */
export const missingText = (on: string, { name }: Missing): string =>
  on === 'inputs' ? `unknown input \`${name}\`` : `\`${on}\` has no \`${name}\``;
