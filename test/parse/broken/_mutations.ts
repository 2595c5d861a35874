import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Pair, Scalar } from 'yaml';
import { moduleNames } from '../../../engine/modules/registry.ts';
import { compileCondition } from '../../../engine/parse/condition.ts';
import {
  blockSchema,
  playbookSchema,
  playSchema,
  taskSchema,
} from '../../../engine/parse/playbook-schema.ts';
import { compile } from '../../../engine/parse/template.ts';
import type { Reference } from '../../../engine/parse/template.ts';
import type { Seeded } from './_seeded.ts';

/** A text changed in one place. */
export interface Mutated {
  readonly text: string;
  /** Where the mistake is, when the error must name that line. */
  readonly line?: number;
}

export type Mutation = (text: string, random: Seeded) => Mutated | undefined;

interface Spot {
  readonly pair: Pair;
  readonly path: readonly string[];
}

/** Every `key: value` of a file, with the keys above it; items of lists are `-`. */
function spotsOf(text: string): { readonly spots: readonly Spot[]; lineOf(offset: number): number } {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, logLevel: 'silent' });
  const spots: Spot[] = [];
  const walk = (node: unknown, path: readonly string[]): void => {
    if (isMap(node))
      for (const pair of node.items) {
        spots.push({ pair, path });
        walk(pair.value, [...path, String(pair.key)]);
      }
    if (isSeq(node)) for (const item of node.items) if (!isPair(item)) walk(item, [...path, '-']);
  };
  walk(document.contents, []);
  return { spots, lineOf: (offset) => lineCounter.linePos(offset).line };
}

const rangeOf = (node: unknown): readonly [number, number] => {
  const { range } = node as Scalar;
  return [range?.[0] ?? 0, range?.[1] ?? 0];
};

const replace = (text: string, from: number, to: number, by: string): string =>
  text.slice(0, from) + by + text.slice(to);

const FREE = ['vars', 'settings', 'environment', 'set', 'inputs', 'packages', 'variables'];
const isFree = (path: readonly string[]): boolean => path.some((key) => FREE.includes(key));

const KEYWORDS = [
  ...new Set(
    [playbookSchema, playSchema, taskSchema, blockSchema].flatMap((schema) => Object.keys(schema.shape)),
  ),
  'block',
  'rescue',
  'always',
  'include',
];
const CONDITIONS = ['when', 'until', 'changed_when', 'failed_when', 'that'];

/** One of the keys that `isWanted`, spelt wrongly. */
const misspelt =
  (isWanted: (spot: Spot) => boolean): Mutation =>
  (text, random) => {
    const { spots, lineOf } = spotsOf(text);
    const spot = random.pick(spots.filter((one) => isScalar(one.pair.key) && isWanted(one)));
    if (!spot) return undefined;
    const [start, end] = rangeOf(spot.pair.key);
    const at = start + 1 + random.below(Math.max(1, end - start - 1));
    return { text: replace(text, at, at, 'xq'), line: lineOf(start) };
  };

const inTask = ({ path }: Spot): boolean => {
  const above = path.at(-2) ?? '';
  return path.at(-1) === '-' && ['tasks', 'handlers', 'block', 'rescue', 'always', ''].includes(above);
};

/** One of the values of these keys, written as another. */
const valueBecomes =
  (keys: readonly string[], value: string, isLineKnown = true): Mutation =>
  (text, random) => {
    const { spots, lineOf } = spotsOf(text);
    const wanted = spots.filter(
      ({ pair, path }) => keys.includes(String(pair.key)) && isScalar(pair.value) && !isFree(path),
    );
    const spot = random.pick(wanted);
    if (!spot) return undefined;
    const [start, end] = rangeOf(spot.pair.value);
    const line = lineOf(start);
    return { text: replace(text, start, end, value), ...(isLineKnown ? { line } : {}) };
  };

const references = (text: string, isCondition: boolean): readonly Reference[] => {
  try {
    return isCondition ? compileCondition(text).references : compile(text).references;
  } catch {
    return [];
  }
};

/** A name that a template or condition reads, changed by `change`. */
const nameChanged =
  (isCondition: boolean, change: (reference: Reference) => string | undefined): Mutation =>
  (text, random) => {
    const { spots, lineOf } = spotsOf(text);
    const found = spots.flatMap(({ pair, path }) => {
      const { value } = pair;
      if (!isScalar(value) || typeof value.value !== 'string') return [];
      if (CONDITIONS.includes(String(pair.key)) !== isCondition) return [];
      if (!isCondition && (!value.value.includes('{{') || path.includes('inputs'))) return [];
      const [start, end] = rangeOf(value);
      const [raw, whole] = [text.slice(start, end), value.value];
      return references(whole, isCondition).flatMap((reference) => {
        const written = [reference.root, ...reference.rest].join('.');
        const by = reference.isOptional ? undefined : change(reference);
        const nth = whole.slice(0, reference.offset).split(written).length;
        const at = raw.split(written, nth).join(written).length;
        return by === undefined || at >= raw.length ? [] : [{ at: start + at, length: written.length, by }];
      });
    });
    const one = random.pick(found);
    return one && { text: replace(text, one.at, one.at + one.length, one.by), line: lineOf(one.at) };
  };

const RESULT_FIELDS = ['stdout', 'code', 'changed', 'failed', 'skipped', 'stderr', 'rows', 'row', 'value'];
const unknownRoot = ({ root, rest }: Reference): string => [`zq${root}`, ...rest].join('.');
const unknownField = ({ root, rest: [field = '', ...rest] }: Reference): string | undefined =>
  ['inputs', 'host', 'run'].includes(root) || RESULT_FIELDS.includes(field)
    ? [root, `${field}xq`, ...rest].join('.')
    : undefined;

/** Lines that are a key and a value, and no part of a text of several lines. */
function plainLines(text: string): readonly number[] {
  const { spots, lineOf } = spotsOf(text);
  return spots.flatMap(({ pair }) => {
    if (!isScalar(pair.key) || !isScalar(pair.value) || pair.value.type !== 'PLAIN') return [];
    const [keyLine, valueLine] = [pair.key, pair.value].map((node) => lineOf(rangeOf(node)[0]));
    const line = keyLine ?? 0;
    const isAlone = /^\s*[\w.]+: [^{[|>]*$/.test(text.split('\n')[line - 1] ?? '');
    return keyLine === valueLine && isAlone ? [line] : [];
  });
}

const onLine =
  (change: (line: string) => string, isLineKnown = false): Mutation =>
  (text, random) => {
    const line = random.pick(plainLines(text));
    if (line === undefined) return undefined;
    const lines = text.split('\n');
    lines[line - 1] = change(lines[line - 1] ?? '');
    return { text: lines.join('\n'), ...(isLineKnown ? { line } : {}) };
  };

/** A further keyword of one of the tasks. */
const onTask =
  (written: string): Mutation =>
  (text, random) => {
    const { spots, lineOf } = spotsOf(text);
    const isName = (spot: Spot): boolean =>
      inTask(spot) &&
      String(spot.pair.key) === 'name' &&
      isScalar(spot.pair.value) &&
      spot.pair.value.type === 'PLAIN';
    const spot = random.pick(spots.filter(isName));
    if (!spot) return undefined;
    const line = lineOf(rangeOf(spot.pair.key)[0]);
    const lines = text.split('\n');
    const own = lines[line - 1] ?? '';
    if (!/^\s*- name: [^{]*$/.test(own)) return undefined;
    const indent = own.length - own.trimStart().length + 2;
    return { text: lines.toSpliced(line, 0, `${' '.repeat(indent)}${written}`).join('\n'), line: line + 1 };
  };

const hasModule = ({ pair }: Spot): boolean => moduleNames().includes(String(pair.key));
const ofModule = ({ path }: Spot): boolean =>
  moduleNames().includes(path.at(-1) ?? '') && !['set', 'mysql.variables'].includes(path.at(-1) ?? '');

/** Each makes a mistake that must be found; undefined where the file has no place for it. */
export const MISTAKES: Readonly<Record<string, Mutation>> = {
  'a keyword misspelt': misspelt((spot) => inTask(spot) && KEYWORDS.includes(String(spot.pair.key))),
  'a keyword of a play or of the playbook misspelt': misspelt(
    ({ pair, path }) =>
      KEYWORDS.includes(String(pair.key)) && (path.length === 0 || path.join() === 'plays,-'),
  ),
  'a module misspelt': misspelt((spot) => inTask(spot) && hasModule(spot)),
  'a parameter misspelt': misspelt((spot) => ofModule(spot) && !isFree(spot.path)),
  'an unknown name in a template': nameChanged(false, unknownRoot),
  'an unknown name in a condition': nameChanged(true, unknownRoot),
  'an unknown field in a template': nameChanged(false, unknownField),
  'an unknown field in a condition': nameChanged(true, unknownField),
  'a number that is none': valueBecomes(['retries'], 'many'),
  'a duration that is none': valueBecomes(['timeout', 'delay'], 'soon'),
  'a boolean that is none': valueBecomes(['run_once', 'become', 'ignore_errors', 'no_log', 'gather'], '[7]'),
  'unknown hosts': valueBecomes(['hosts', 'delegate_to'], 'nowhere'),
  'an unknown handler': onTask('notify: nobody hears this'),
  'a file that is not there': valueBecomes(['include', 'src'], 'no/such/file.yml'),
  'a condition that breaks off': valueBecomes(CONDITIONS, "'1 == 1 &&'"),
  'a condition of numbers': valueBecomes(CONDITIONS, "'1 + 1'"),
  'a condition of unlike things': valueBecomes(CONDITIONS, `'"a" == 1'`),
  'a template that breaks off': valueBecomes(['cmd', 'shell', 'command', 'msg', 'dest'], "'{{host.name'"),
  'an unclosed block': valueBecomes(['cmd', 'shell', 'command', 'msg'], "'{{#if host.name}}x'"),
  'an unknown helper': valueBecomes(['cmd', 'shell', 'command', 'msg'], "'{{shel host.name}}'"),
  'a register that is no name': valueBecomes(['register'], 'a b'),
  'an unclosed quote': onLine((line) => line.replace(/: (.*)$/, ': "$1')),
  'an unclosed bracket': onLine((line) => line.replace(/: (.*)$/, ': [$1')),
  'a tab': onLine((line) => `\t${line}`),
  'a key twice': onLine((line) => `${line}\n${line}`),
  'an unknown alias': onLine((line) => line.replace(/: (.*)$/, ': *nobody'), true),
  'an unknown tag': onLine((line) => line.replace(/: (.*)$/, ': !!js/function $1'), true),
  'a NUL byte': onLine((line) => `${line}\0`, true),
  'a key named __proto__': onLine(
    (line) => `${line}\n${/^\s*/.exec(line)?.[0] ?? ''}__proto__: { isAdmin: true }`,
  ),
};

/** In a template file. */
export const TEMPLATE_MISTAKES: Readonly<Record<string, Mutation>> = {
  'an unknown name': (text, random) => {
    const names = [...text.matchAll(/\{\{(?:#(?:if|each) )?([a-z]\w*)/g)].filter(
      ([, name = '']) => !['if', 'each', 'else', 'unless', 'with', 'this', 'lookup'].includes(name),
    );
    const one = random.pick(names.filter(({ 0: whole }) => !whole.includes('#') || true));
    if (!one) return undefined;
    const at = one.index + one[0].length - (one[1]?.length ?? 0);
    return { text: replace(text, at, at, 'zq') };
  },
  'a block without its end': (text, random) => {
    const one = random.pick([...text.matchAll(/\{\{\/\w+\}\}/g)]);
    return one && { text: replace(text, one.index, one.index + one[0].length, '') };
  },
  'braces that are not closed': (text, random) => {
    const one = random.pick([...text.matchAll(/\}\}/g)]);
    return one && { text: replace(text, one.index, one.index + 2, '') };
  },
  'a partial': (text) => ({ text: `${text}{{> secrets}}\n`, line: text.split('\n').length }),
  'a constructor': (text) => ({ text: `{{constructor.constructor}}${text}` }),
};

/** In an inventory. */
export const INVENTORY_MISTAKES: Readonly<Record<string, Mutation>> = {
  'a key misspelt': misspelt(({ path }) => path.length === 0 || (path.length === 2 && !isFree(path))),
  'an unknown node': (text, random) => {
    const { spots, lineOf } = spotsOf(text);
    const lists = spots.filter(
      ({ pair }) => ['nodes', 'hosts'].includes(String(pair.key)) && isSeq(pair.value),
    );
    const items = lists.flatMap(({ pair }) => (isSeq(pair.value) ? pair.value.items : []));
    const one = random.pick(items);
    if (!one) return undefined;
    const [start, end] = rangeOf(one);
    return { text: replace(text, start, end, 'nobody'), line: lineOf(start) };
  },
  'a port that is none': onLine((line) => `${line}\n${/^\s*/.exec(line)?.[0] ?? ''}port: 99999`),
  'an unclosed quote': onLine((line) => line.replace(/: (.*)$/, ': "$1')),
  'an unclosed bracket': onLine((line) => line.replace(/: (.*)$/, ': [$1')),
  'a tab': onLine((line) => `\t${line}`),
  'a key twice': onLine((line) => `${line}\n${line}`),
  'an unknown alias': onLine((line) => line.replace(/: (.*)$/, ': *nobody'), true),
  'a key named __proto__': onLine(
    (line) => `${line}\n${/^\s*/.exec(line)?.[0] ?? ''}__proto__: { isAdmin: true }`,
  ),
  'a NUL byte': onLine((line) => `${line}\0`, true),
};

/** Each leaves the meaning as it was. */
export const HARMLESS: Readonly<Record<string, Mutation>> = {
  'a comment': onLine((line) => `${line} # as it was`),
  'a comment on a line of its own': (text) => ({ text: `# by hand\n${text}` }),
  'quotes around a value': onLine((line) =>
    line.replace(/: ([A-Za-z][\w ]*)$/, ': "$1"').replace(/"(true|false|null)"/, '$1'),
  ),
  'lines of Windows': (text) => ({ text: text.replaceAll('\n', '\r\n') }),
  'a byte order mark': (text) => ({ text: `\ufeff${text}` }),
  'the end of the document': (text) => ({ text: `---\n${text}...\n` }),
  'blank lines': onLine((line) => `\n${line}\n`),
};
