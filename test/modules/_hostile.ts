import type { z } from 'zod';
import { failure } from '../../engine/run/ended.ts';
import { endedOf } from '../../engine/run/perform.ts';
import type { Module, Outcome, Result } from '../../engine/core/module.ts';
import { loadModule } from '../../engine/modules/registry.ts';
import { parseYaml } from '../../engine/parse/yaml.ts';
import { paramMeta } from '../../engine/plan/params.ts';
import { paramsOf } from '../../engine/run/params.ts';
import { isFull } from '../_full.ts';
import type { Bench } from './_context.ts';
import { CODE, placeIn, settingFor } from './_settings.ts';
import type { Setting } from './_settings.ts';

/** The file that appears where something of a value was executed: looked for by this name alone. */
export const CANARY = 'drillbook-canary';
const TOUCH = `touch ${CANARY}`;

const SEPARATE: readonly string[] = [
  `it's`,
  `say "x"`,
  'back\\slash\\n\\',
  'two\nlines\n',
  'carriage\rreturn\r\n',
  'tab\tulated',
  `$(${TOUCH})`,
  `\`${TOUCH}\``,
  `; ${TOUCH}`,
  `&& ${TOUCH}`,
  `| ${TOUCH}`,
  `"; ${TOUCH}; "`,
  `'; ${TOUCH}; '`,
  `\n${TOUCH}\n`,
  // A line that database clients take for a command of their own.
  `\n\\! ${TOUCH}\n`,
  '*',
  '[a-z]?{a,b}',
  '-rf',
  '--help',
  '-',
  '=x',
  '@x',
  '%x%s%d',
  '  both ends  ',
  '备份 🚀 é ‮rtl א',
  '{{inputs.nothing}}',
  '{{#if}}',
  '__proto__',
  'constructor',
];

/** All of them in a few, so that each parameter costs little. */
const TOGETHER: readonly string[] = [
  `a'b"c\\$(${TOUCH})\`${TOUCH}\`; ${TOUCH} && ${TOUCH} | ${TOUCH} *?[a-z]{x,y}=@%s%d ~ #! 备份 🚀 é ‮א {{inputs.nothing}} {{#if}}\\`,
  `'; ${TOUCH}; '`,
  `"; ${TOUCH}; "`,
  `\n${TOUCH}\n\\! ${TOUCH}\n\ttab\r\n`,
  '--help',
  '-rf',
  '-',
  '*',
  '  both ends  ',
  '__proto__',
];

/** What is put into every text; the last three are always there. */
export const VALUES: readonly string[] = [
  ...(isFull ? [...SEPARATE, ...TOGETHER] : TOGETHER),
  '',
  'x'.repeat(5000),
  // More than one argument can be (128 KiB).
  'é'.repeat(75_000),
];

/** 1 MB, for what is seen to arrive; for all in `npm run matrix`. */
export const HUGE = 'é'.repeat(500_000);

/** No program can be given these: they are refused, by the name of the parameter. */
export const REFUSED: readonly string[] = ['nul\0byte', 'half \ud83d character'];

/** A text among a module's parameters; `*` is one of a list, a name one of a mapping. */
export type ParamPath = readonly string[];

const inner = (schema: z.core.$ZodType): z.core.$ZodType => {
  const { def } = schema._zod as z.core.$ZodTypes['_zod'];
  if (def.type === 'optional' || def.type === 'default' || def.type === 'nullable')
    return inner(def.innerType);
  return def.type === 'pipe' ? inner(def.in) : schema;
};

/** Every place of a schema that takes a text. */
export function textsOf(schema: z.core.$ZodType, path: ParamPath = []): readonly ParamPath[] {
  const { def } = inner(schema)._zod as z.core.$ZodTypes['_zod'];
  switch (def.type) {
    case 'string':
    case 'enum':
    case 'unknown':
      return [path];
    case 'object':
      return Object.entries(def.shape).flatMap(([key, one]) => textsOf(one, [...path, key]));
    case 'array':
      return textsOf(def.element, [...path, '*']);
    case 'record':
      return textsOf(def.valueType, [...path, 'key']);
    case 'union':
      return def.options
        .flatMap((one) => textsOf(one, path))
        .filter((one, i, all) => all.findIndex((other) => other.join() === one.join()) === i);
    default:
      return [];
  }
}

/** `params` with the text at the path; what is not there on the way to it is made. */
export function withText(params: unknown, [key, ...rest]: ParamPath, text: unknown): unknown {
  if (key === undefined) return text;
  if (key === '*') {
    const list: readonly unknown[] = Array.isArray(params) ? params : [];
    return [...list.slice(0, -1), withText(list.at(-1), rest, text)];
  }
  const map = params !== null && typeof params === 'object' && !Array.isArray(params) ? params : {};
  return { ...map, [key]: withText((map as Record<string, unknown>)[key], rest, text) };
}

/** How a step ended as the runner tells it, with the value that a variable gave. */
export interface Told {
  readonly outcome: 'done' | 'failed';
  readonly result: Result;
  readonly reason: string;
  readonly isBug: boolean;
}

async function perform(bench: Bench, module: Module, given: Record<string, unknown>): Promise<Outcome> {
  if (module.kind === 'action') return module.run(bench.ctx, given);
  if (module.kind === 'query') return module.read(bench.ctx, given);
  const found = await module.check(bench.ctx, given);
  if (found.changes.length === 0) return { result: found.result ?? {} };
  const after = (await module.apply(bench.ctx, given, found)) ?? (await module.check(bench.ctx, given));
  if (after.changes.length > 0)
    return { result: {}, failed: `BUG: did not take: ${JSON.stringify(after.changes).slice(0, 500)}` };
  // What always does something has something to do again.
  const again = await module.check(bench.ctx, given);
  if (again.changes.some(({ before }) => before !== undefined))
    return { result: {}, failed: `BUG: not as wanted: ${JSON.stringify(again.changes).slice(0, 500)}` };
  return { result: after.result ?? {} };
}

/** Runs a module with `value` at the path, which comes by a variable of the playbook. */
export async function told(
  bench: Bench,
  name: string,
  base: Result,
  path: ParamPath,
  value: string,
): Promise<Told> {
  const module = await loadModule(name);
  const params = withText(base, path, '{{value}}');
  const source = parseYaml('book.yml', 'name: x\n');
  try {
    // A CEL expression is no template, and takes no value from one.
    const scope = { value };
    const isCel = paramMeta(module, path[0] ?? '').cel === true;
    const given = paramsOf(
      { moduleName: name, params: isCel ? withText(base, path, value) : params, source },
      module,
      scope,
    );
    const outcome = await perform(bench, module, given);
    const { reason = '' } = endedOf(outcome, 'action');
    return {
      outcome: reason === '' ? 'done' : 'failed',
      result: outcome.result,
      reason,
      isBug: reason.startsWith('BUG'),
    };
  } catch (error) {
    const { result, reason = '' } = failure(error);
    return { outcome: 'failed', result, reason, isBug: 'bug' in result };
  }
}

const short = (value: string): string => JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);

/** Every place of a module's parameters that takes a text; of `set`, which takes any, one. */
export const placesOf = async (name: string): Promise<readonly ParamPath[]> =>
  name === 'set' ? [['value']] : textsOf((await loadModule(name)).params);

/** Texts that no setting is for, and settings for texts that are not there. */
export async function gapsIn(name: string, settings: readonly Setting[]): Promise<readonly string[]> {
  const places = await placesOf(name);
  const keys = places.map((path) => path.join('.'));
  const spoken = settings.flatMap(({ only = [], arrived = {} }) => [...only, ...Object.keys(arrived)]);
  return [
    ...places
      .filter((path) => settingFor(settings, path) === undefined)
      .map((path) => `no ${path.join('.')}`),
    ...spoken.filter((key) => !keys.includes(key)).map((key) => `${key}?`),
  ];
}

export interface Where {
  /** The directory that the settings are for. */
  readonly dir: string;
  /** Undoes what the value before has left, so that it is not taken for this one's. */
  readonly before?: () => Promise<void>;
  /** Whether something of the value was run; asked after each. */
  readonly wasRun?: () => Promise<boolean>;
  /** Without the longest values: they take their time, and the way of every other. */
  readonly isQuick?: boolean;
  /** Every value is refused here. */
  readonly isRefused?: boolean;
}

/** Puts every value into every text of a module; what was not as it must be, a line each. */
export async function hostileWrongs(
  bench: Bench,
  name: string,
  settings: readonly Setting[],
  { dir, before, wasRun, isQuick = false, isRefused = false }: Where,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const path of await placesOf(name)) {
    const key = path.join('.');
    const setting = settingFor(settings, path);
    if (CODE.has(`${name}.${key}`) || setting === undefined) continue;
    const look = setting.arrived?.[key];
    const values = [...VALUES, ...(look || isFull ? [HUGE] : []), ...REFUSED];
    for (const value of values.filter(({ length }) => !isQuick || isFull || length <= 5000)) {
      const blame = (why: string): void => void wrong.push(`${name}.${key} = ${short(value)}: ${why}`);
      await before?.();
      const mustBeTaken = VALUES.includes(value) && (await setting.before?.(value)) === true;
      const text = setting.wrap?.[key]?.(value, dir) ?? value;
      const ended = await told(bench, name, setting.params, placeIn(setting, path), text);
      if (await wasRun?.()) blame('it was run');
      if (ended.isBug) blame(ended.reason);
      if (mustBeTaken && ended.outcome === 'failed') blame(`not taken: ${ended.reason}`);
      if (isRefused && ended.outcome !== 'failed') blame('it was taken');
      if (REFUSED.includes(value) && !/^[\w.]+: `[\w.*]+` holds/.test(ended.reason))
        blame(`not refused: ${ended.reason}`);
      if (/\n {4}at /.test(ended.reason) || ended.reason.length > 3000)
        blame(`no clean sentence: ${ended.reason.slice(0, 300)}`);
      if (ended.outcome === 'failed' || look === undefined || value === '') continue;
      const there = await look(ended.result, dir, value).catch((error: unknown) => String(error));
      if (there !== value) blame(`what arrived is ${short(String(there))}`);
    }
  }
  return wrong;
}
