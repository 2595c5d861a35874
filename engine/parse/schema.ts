import type { z } from 'zod';
import type { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { ansibleHint } from './ansible.ts';
import type { Path, Source } from './yaml.ts';

type Issue = z.core.$ZodIssue;

const kindOf = (value: unknown): string =>
  value === null || value === undefined
    ? 'nothing'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'object'
        ? 'a mapping'
        : inWords(typeof value);

/** Types as an operator calls them. */
const WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  null: 'nothing',
};

const inWords = (type: string): string => WORDS[type] ?? type;

/** What stands in a value under the keys of a path; undefined where it goes nowhere. */
export const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);

/** A union says most by the branch that came closest: the one whose trouble lies deepest. */
function closest(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const branches = issue.errors.filter((branch) => branch.length > 0);
  const depth = (branch: readonly Issue[]): number => Math.max(...branch.map((inner) => inner.path.length));
  const deepest = branches.toSorted((a, b) => depth(b) - depth(a))[0];
  if (!deepest || depth(deepest) === 0) {
    const wanted = branches.flatMap((branch) =>
      branch.map((inner) => (inner.code === 'invalid_type' ? inner.expected : '')),
    );
    const unique = [...new Set(wanted.filter(Boolean))];
    if (
      unique.length > 0 &&
      branches.every((branch) => branch.every((inner) => inner.code === 'invalid_type'))
    ) {
      return [{ ...issue, message: `expected ${unique.map(inWords).join(' or ')}` } as Issue];
    }
    const [first] = branches.flat().filter((inner) => inner.code !== 'invalid_type');
    return [{ ...(first ?? issue), path: issue.path } as Issue];
  }
  return deepest
    .map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }) as Issue)
    .flatMap(closest);
}

function wordsAllowed(schema: z.ZodType | undefined, path: Path): readonly string[] {
  let inner = schema as unknown as { shape?: Record<string, unknown>; unwrap?: () => unknown } | undefined;
  for (const key of path) {
    while (inner && !inner.shape && inner.unwrap) inner = inner.unwrap() as typeof inner;
    // A list was unwrapped to its items already.
    if (typeof key !== 'number') inner = inner?.shape?.[key] as typeof inner;
  }
  while (inner && !inner.shape && inner.unwrap) inner = inner.unwrap() as typeof inner;
  return Object.keys(inner?.shape ?? {});
}

/** `at least 2 are wanted`, for what is too small or too large. */
function boundText(issue: Issue): string | undefined {
  if (issue.code !== 'too_small' && issue.code !== 'too_big') return undefined;
  const [word, bound] = issue.code === 'too_small' ? ['least', issue.minimum] : ['most', issue.maximum];
  const unit = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' of them' : '';
  return `at ${word} ${String(bound)}${unit} is wanted`.replace(/(characters|them) is/, '$1 are');
}

/** Of one mapping; whoever sees so many sees that it is none of ours. */
const MOST_KEYS = 100;

/** One error for each thing wrong, with its place in the file and the nearest right word. */
export function schemaProblems(
  error: z.ZodError,
  source: Source,
  base: Path,
  schema?: z.ZodType,
  elsewhere?: (word: string) => string | undefined,
): DrillbookError[] {
  return error.issues.flatMap(closest).flatMap((issue) => {
    const path = [...base, ...(issue.path as Path)];
    const name = path.filter((key) => typeof key === 'string').at(-1);
    if (issue.code === 'unrecognized_keys') {
      const allowed = wordsAllowed(schema, issue.path as Path);
      return issue.keys
        .slice(0, MOST_KEYS)
        .map((key) =>
          source.error(
            'parse.schema',
            [...path, key],
            `\`${key}\`: unknown ${base.length > 0 ? 'keyword' : 'key'}`,
            ansibleHint(key) ?? elsewhere?.(key) ?? suggest(key, allowed),
          ),
        );
    }
    const label = name === undefined ? '' : `\`${name}\`: `;
    const found = valueAt(source.value, path);
    if (['invalid_type', 'invalid_union', 'invalid_value'].includes(issue.code) && found === undefined) {
      return [source.error('parse.schema', path, `${label}missing`)];
    }
    if (issue.code === 'invalid_value') {
      const allowed = issue.values.map(String);
      const hint = typeof found === 'string' ? suggest(found, allowed) : `allowed: ${allowed.join(', ')}`;
      return [source.error('parse.schema', path, `${label}${JSON.stringify(found)} is not allowed`, hint)];
    }
    if (issue.code === 'invalid_key') {
      const why = issue.issues[0]?.message ?? 'not allowed';
      return [source.error('parse.schema', path, `\`${name ?? ''}\`: ${why}`)];
    }
    const message = (boundText(issue) ?? issue.message)
      .replace(/^Invalid input: /, '')
      .replace(/, received .*/, '')
      .replace(/^expected (\w+)$/, (_, type: string) => `expected ${inWords(type)}`);
    const wanted = /^expected/.test(message) ? `${message}, found ${kindOf(found)}` : message;
    const hint =
      typeof found === 'string' && /^(yes|no|on|off)$/i.test(found) && message.includes('true or false')
        ? 'write `true` or `false`: in YAML 1.2 `yes` and `no` are texts'
        : undefined;
    return [source.error('parse.schema', path, `${label}${wanted}`, hint)];
  });
}
