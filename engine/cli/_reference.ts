import { z } from 'zod';
import { durationText, zDuration } from '../core/duration.ts';
import type { Module } from '../core/module.ts';
import { loadModule, moduleNames } from '../modules/registry.ts';

/** The part of JSON Schema that our zod schemas come out as. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly [key: string]: unknown;
}

export interface Parameter {
  /** A dot leads into what it holds, `[]` to each one of a list. */
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly default?: unknown;
  readonly description: string;
}

/** A field of what `register` gets. */
export interface Returned {
  /** A dot leads into what it holds, `[]` to each one of a list. */
  readonly name: string;
  readonly type: string;
  /** It may be missing though the step went well. */
  readonly isOptional: boolean;
  readonly description: string;
}

/** A module as its reference page tells it; the shape of `modules NAME --output json`. */
export interface Reference {
  readonly name: string;
  readonly kind: Module['kind'];
  readonly summary: string;
  /** Where what it does is written: manual pages, a section of a product's document. */
  readonly source: string;
  readonly shorthand?: string | undefined;
  /** The role without which it never acts. */
  readonly role?: string | undefined;
  readonly parameters: readonly Parameter[];
  readonly returns: readonly Returned[];
  /** What it does under --check, in a sentence. */
  readonly in_check_mode: string;
  /** What becomes of it when a run is interrupted in it and resumed, in a sentence. */
  readonly on_resume: string;
  readonly examples: string;
}

const DURATION = 'duration';

/** A schema without the `optional` and `default` around it, and the default if there is one. */
function unwrapped(
  schema: z.core.$ZodType,
  preset?: unknown,
): { readonly inner: z.core.$ZodType; readonly preset: unknown } {
  const { def } = schema._zod as z.core.$ZodTypes['_zod'];
  if (def.type === 'default') return unwrapped(def.innerType, def.defaultValue);
  if (def.type === 'optional') return unwrapped(def.innerType, preset);
  return { inner: schema, preset };
}

/** Durations are read into milliseconds, which hides from JSON Schema what is written: text such as 10s, or seconds. */
function override({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodType;
  jsonSchema: z.core.JSONSchema.BaseSchema;
}): void {
  const { inner, preset } = unwrapped(zodSchema);
  const { def } = inner._zod as z.core.$ZodTypes['_zod'];
  if (def.type !== 'pipe' || def.in !== zDuration.def.in) return;
  jsonSchema.anyOf = [{ type: 'string' }, { type: 'number' }];
  jsonSchema.title = DURATION;
  if (typeof preset === 'number') jsonSchema.default = durationText(preset);
}

/** What an operator may write, as JSON Schema: defaults not yet filled in, durations and modes still text. */
export const jsonSchemaOf = (schema: z.ZodType, io: 'input' | 'output' = 'input'): JsonSchema => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', override });
  return rest as JsonSchema;
};

/** A type in a few words: `string`, `list of string`, `present | absent`, `{ file: string, position: integer }`. */
export function typeText(schema: JsonSchema): string {
  if (schema['title'] === DURATION) return DURATION;
  if (schema.enum) return schema.enum.map(String).join(' | ');
  if ('const' in schema) return String(schema.const);
  const alternatives = schema.anyOf ?? schema.allOf;
  if (alternatives) return [...new Set(alternatives.map(typeText))].join(' or ');
  if (schema.type === 'array') return `list of ${schema.items ? typeText(schema.items) : 'anything'}`;
  if (schema.type === 'object') {
    const inner = Object.entries(schema.properties ?? {});
    if (inner.length > 0 && !isTold(schema))
      return `{ ${inner.map(([name, type]) => `${name}: ${typeText(type)}`).join(', ')} }`;
    return typeof schema.additionalProperties === 'object' && schema.additionalProperties.type !== undefined
      ? `mapping of ${typeText(schema.additionalProperties)}`
      : 'mapping';
  }
  return typeof schema.type === 'string' ? schema.type : 'anything';
}

/** Whether what is in it is described one by one. */
const isTold = ({ properties = {} }: JsonSchema): boolean =>
  Object.values(properties).some(({ description }) => description !== undefined);

/** Where fields of its own are told of: in it, or in each one of a list. */
function within(name: string, schema: JsonSchema): { readonly prefix: string; readonly inner: JsonSchema }[] {
  if (isTold(schema)) return [{ prefix: `${name}.`, inner: schema }];
  if (schema.items && isTold(schema.items)) return [{ prefix: `${name}[].`, inner: schema.items }];
  return (schema.anyOf ?? []).flatMap((one) => within(name, one));
}

/** The parameters of a module, those that must be given first; after each what it holds. */
function parametersOf(schema: JsonSchema, prefix = ''): readonly Parameter[] {
  const { properties = {}, required = [] } = schema;
  const all = Object.entries(properties).sort(
    ([a], [b]) => Number(required.includes(b)) - Number(required.includes(a)),
  );
  return all.flatMap(([key, one]) => {
    const name = prefix + key;
    const own = {
      name,
      type: typeText(one),
      isRequired: required.includes(key),
      ...('default' in one ? { default: one.default } : {}),
      description: one.description ?? '',
    };
    return [own, ...within(name, one).flatMap((more) => parametersOf(more.inner, more.prefix))];
  });
}

function returnedOf(schema: JsonSchema, prefix = ''): readonly Returned[] {
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties).flatMap(([key, one]) => {
    const name = prefix + key;
    const own = {
      name,
      type: typeText(one),
      isOptional: !required.includes(key),
      description: one.description ?? '',
    };
    return [own, ...within(name, one).flatMap((more) => returnedOf(more.inner, more.prefix))];
  });
}

function inCheckMode(module: Module): string {
  if (module.kind === 'state') return 'looks, and says what it would change; changes nothing';
  if (module.kind === 'query')
    return module.inHaste
      ? 'reads; waits for nothing that an earlier step has only pretended'
      : 'reads, as ever';
  return module.wouldChange
    ? 'looks whether it would run, and says so; runs nothing'
    : 'says that it would run; runs nothing';
}

function onResume(module: Module): string {
  if (module.kind === 'state') return 'looked at again, and only what still differs is changed';
  if (module.kind === 'query') return 'reads again';
  return module.isResumable === true
    ? 'taken up where it is on the node: what was begun is never begun twice'
    : 'in doubt, unless it had ended: the task’s `on_interrupt` says what then';
}

export async function referenceOf(name: string): Promise<Reference> {
  const module = await loadModule(name);
  const { kind, summary, source, shorthand, role, params, returns, examples } = module;
  return {
    name,
    kind,
    summary,
    source,
    shorthand,
    role,
    parameters: parametersOf(jsonSchemaOf(params)),
    returns: returnedOf(jsonSchemaOf(z.object(returns), 'output')),
    in_check_mode: inCheckMode(module),
    on_resume: onResume(module),
    examples: examples.trim(),
  };
}

export const allReferences = (): Promise<readonly Reference[]> => Promise.all(moduleNames().map(referenceOf));

const cell = (text: string): string =>
  text
    .replaceAll('|', '\\|')
    .replace(/\s*\n\s*/g, ' ')
    .trim();

const KINDS: Readonly<Record<Module['kind'], string>> = {
  state: 'a condition to reach: looks first, changes only what differs',
  action: 'happens once; never run twice by accident',
  query: 'reads',
};

function page(reference: Reference): string {
  const { name, kind, summary, source, shorthand, role, parameters, returns, examples } = reference;
  const { in_check_mode: inCheck, on_resume: resumed } = reference;
  const bound = role === undefined ? '' : ` Bound to \`role: ${role}\`, unless the task says otherwise.`;
  const rows = parameters.map(
    ({ name: parameter, type, isRequired, default: value, description }) =>
      `| \`${parameter}\` | ${cell(type)} | ${isRequired ? '**required**' : value === undefined ? '' : `\`${cell(JSON.stringify(value))}\``} | ${cell(description)} |`,
  );
  const table = ['| parameter | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
  const results = [
    '| registered | type | |',
    '|---|---|---|',
    ...returns.map(
      ({ name: field, type, isOptional, description }) =>
        `| \`${field}\`${isOptional ? '?' : ''} | ${cell(type)} | ${cell(description)} |`,
    ),
  ];
  return [
    `## ${name}`,
    `${summary}`,
    `Kind: **${kind}** (${KINDS[kind]}).${shorthand === undefined ? '' : ` \`${name}: text\` sets \`${shorthand}\`.`}${bound}`,
    parameters.length === 0 ? 'It has no parameters.' : table,
    results.join('\n'),
    `In check mode: ${inCheck}. After an interruption: ${resumed}. Source: ${source}.`,
    `\`\`\`yaml\n${examples}\n\`\`\``,
  ].join('\n\n');
}

/** docs/modules.md, whole; `npm run docs` writes it and a test compares it. */
export async function modulesPage(): Promise<string> {
  const references = await allReferences();
  const list = references.map(
    ({ name, kind, summary }) => `| [${name}](#${name.replaceAll('.', '')}) | ${kind} | ${cell(summary)} |`,
  );
  return `${[
    '# Modules',
    'Made from the modules themselves by `npm run docs`: do not edit. Of what a step registers, a field with `?` may be missing though the step went well; every step has `changed`, `failed`, `skipped` and, where there is something to say, `msg` too.',
    ['| module | kind | what it does |', '|---|---|---|', ...list].join('\n'),
    ...references.map(page),
  ].join('\n\n')}\n`;
}
