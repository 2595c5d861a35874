import type { z } from 'zod';
import { DrillbookError } from '../core/error.ts';
import type { Module } from '../core/module.ts';
import { textProblems } from '../core/text.ts';
import { schemaProblems, valueAt } from '../parse/schema.ts';
import type { Path, Source } from '../parse/yaml.ts';
import type { Expanding } from './expanding.ts';
import { localFile } from './local-file.ts';
import { conditionProblems, templateProblems } from './names.ts';
import type { KnownNames } from './names.ts';
import { templateFileProblems, templateText } from './template-file.ts';

interface ParamMeta {
  readonly cel?: boolean;
  /** Of a CEL expression: it may give any value, not only true or false. */
  readonly isValue?: boolean;
  readonly secret?: boolean;
  readonly localFile?: boolean;
  readonly template?: boolean;
}

/** What a parameter's schema says beside its type, also through `.optional()` and the like. */
export function paramMeta(module: Module, name: string): ParamMeta {
  let schema = module.params.shape[name] as z.ZodType | undefined;
  while (schema) {
    const meta = schema.meta() as ParamMeta | undefined;
    if (meta && (meta.cel || meta.secret || meta.localFile)) return meta;
    schema = (schema as unknown as { unwrap?: () => z.ZodType }).unwrap?.();
  }
  return {};
}

/** `module: text` → `{ shorthand: text }`. */
export function fullParams(module: Module, raw: unknown): unknown {
  if (raw === null || raw === undefined) return {};
  const isMap = typeof raw === 'object' && !Array.isArray(raw);
  if (module.shorthand === undefined || isMap) return raw;
  // `command: true` means the program of that name, not the boolean.
  return { [module.shorthand]: typeof raw === 'object' ? raw : String(raw) };
}

const hasTemplate = (value: unknown): boolean =>
  typeof value === 'string'
    ? value.includes('{{')
    : value !== null && typeof value === 'object' && Object.values(value).some(hasTemplate);

/** Everything about a step's parameters that can be known before the first host is touched. */
export function paramProblems(
  module: Module,
  name: string,
  raw: unknown,
  source: Source,
  path: Path,
  known: KnownNames,
  { files, templates }: Pick<Expanding, 'files' | 'templates'>,
): DrillbookError[] {
  const word = typeof raw === 'string' && module.kind !== 'action' ? /^(\w+)=/.exec(raw)?.[1] : undefined;
  if (word !== undefined && Object.hasOwn(module.params.shape, word)) {
    const message = `\`${name}\` takes parameters as a mapping, not as \`${word}=…\``;
    return [source.error('parse.params', path, message, `write \`${name}: { ${word}: … }\``)];
  }
  const params = fullParams(module, raw);
  const isShort = params !== raw && raw !== null && raw !== undefined;
  const base = isShort ? path.slice(0, -1) : path;
  const place = (key: string): Path => (isShort ? path : [...path, key]);
  const problems: DrillbookError[] = [];
  if (params === null || typeof params !== 'object' || Array.isArray(params)) {
    return [
      source.error(
        'parse.params',
        path,
        `\`${name}\` takes parameters as a mapping`,
        `see \`drillbook modules ${name}\``,
      ),
    ];
  }
  const ofTemplate = (file: string, { template }: ParamMeta): void => {
    const text = template ? templateText(file, files) : undefined;
    if (text === undefined) return;
    templates.set(file, text);
    problems.push(...templateFileProblems(text, file, known));
  };
  const shape = module.params.shape as Readonly<Record<string, z.ZodType>>;
  const defaults = Object.entries(shape).flatMap(([key, type]) => {
    const isLeftOut = !Object.hasOwn(params, key) && paramMeta(module, key).template;
    return isLeftOut ? [[key, type.safeParse(undefined).data] as const] : [];
  });
  for (const [key, value] of [...Object.entries(params), ...defaults]) {
    const meta = paramMeta(module, key);
    if (meta.cel) {
      for (const text of Array.isArray(value) ? value : [value]) {
        if (typeof text === 'string')
          problems.push(...conditionProblems(text, source, place(key), known, meta.isValue));
      }
    } else problems.push(...templateProblems(value, source, place(key), known));
    if (meta.localFile && typeof value === 'string' && !hasTemplate(value) && !/[*?[]/.test(value)) {
      try {
        ofTemplate(localFile(value, source.file, files), meta);
      } catch (error) {
        if (!(error instanceof DrillbookError)) throw error;
        problems.push(source.error(error.code, place(key), error.message, error.hint));
      }
    }
  }
  for (const unfit of textProblems(params)) {
    const where = isShort ? path : [...path, ...unfit.path];
    problems.push(source.error('parse.params', where, `\`${unfit.path.join('.')}\` ${unfit.why}`));
  }
  const parsed = module.params.safeParse(params);
  if (parsed.success) return problems;
  // What a template will give is not known yet: trouble at or above one says nothing.
  const issues = parsed.error.issues.filter(
    (issue) => issue.code === 'unrecognized_keys' || !hasTemplate(valueAt(params, issue.path as Path)),
  );
  if (issues.length === 0) return problems;
  const error = { ...parsed.error, issues } as z.ZodError;
  return [...problems, ...schemaProblems(error, source, isShort ? base : path, module.params)];
}

/** What a step would destroy, in words; undefined when nothing. A text with a template in it is told as it is written. */
export function destroysWhat(module: Module, raw: unknown): string | undefined {
  if (!module.destroys) return undefined;
  const params = fullParams(module, raw) as Readonly<Record<string, unknown>>;
  const known = Object.entries(module.params.shape).map(([name, schema]) => {
    const value = params[name];
    const isText = typeof value === 'string' && hasTemplate(value);
    return [name, isText ? { success: true, data: value } : (schema as z.ZodType).safeParse(value)] as const;
  });
  return known.every(([, { success }]) => success)
    ? module.destroys(Object.fromEntries(known.map(([name, { data }]) => [name, data])))
    : 'what it destroys is known when it runs';
}
