import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { zDuration } from '../core/duration.ts';
import { DrillbookError, Problems } from '../core/error.ts';
import { nearest } from '../core/nearest.ts';
import type { Place } from '../core/place.ts';
import { schemaProblems } from './schema.ts';
import { loadYaml } from './yaml.ts';
import type { Path, Source } from './yaml.ts';

const vars = z.record(z.string(), z.unknown());
const strings = z.union([z.string().transform((text) => [text]), z.array(z.string())]);
const conditions = z.union([
  z.boolean().transform((value) => [String(value)]),
  z.string().transform((text) => [text]),
  z.array(z.union([z.string(), z.boolean().transform(String)])),
]);

const becomeSchema = z.union([
  z.boolean(),
  z.strictObject({
    user: z.string().default('root').describe('User to become'),
    method: z.enum(['sudo', 'su', 'doas']).default('sudo').describe('Program that does it'),
    password: z.string().optional().describe('Its password, sent on standard input only'),
  }),
]);

/** Keywords that a task and a block share; a block's go to every task in it. */
const shared = {
  name: z.string().optional().describe('What the operator reads'),
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_.-]*$/i, 'letters, digits, `.`, `_` and `-`')
    .optional()
    .describe('Stable identity across edits; made from the name when left out'),
  when: conditions.optional().describe('CEL; all must be true'),
  vars: vars.optional().describe('Variables for this task or block'),
  tags: strings.optional(),
  become: becomeSchema.optional().describe('Run as another user'),
  environment: z
    .record(
      z.string().regex(/^[A-Za-z_]\w*$/, 'a name of letters, digits and underscores'),
      z.union([z.string(), z.number(), z.boolean()]),
    )
    .optional(),
  delegate_to: z.string().optional().describe('Run on this host, with the variables of the original one'),
  run_once: z.boolean().optional().describe('Run on the first host only; its result counts for all'),
  ignore_errors: z.boolean().optional().describe('Go on after a failure'),
  no_log: z.boolean().optional().describe('Keep parameters and result out of journal and views'),
  check_mode: z.boolean().optional().describe('false: run for real under --check; true: only ever look'),
};

export const taskSchema = z.strictObject({
  ...shared,
  loop: z
    .union([z.string(), z.array(z.unknown())])
    .optional()
    .describe('List, or a template that gives one'),
  label: z.string().optional().describe('What the views show of an item'),
  until: conditions.optional().describe('CEL; the task is tried again until it is true'),
  retries: z.number().int().min(0).max(10_000).optional().describe('Attempts after the first'),
  delay: zDuration.optional().describe('Pause between attempts'),
  timeout: zDuration.optional().describe('Bound on one attempt'),
  register: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, 'a variable name')
    .optional(),
  changed_when: conditions.optional(),
  failed_when: conditions.optional(),
  notify: strings.optional().describe('Handlers to run at the end of the play, by name'),
  on_interrupt: z.enum(['fail', 'rerun', 'skip', 'ask']).optional(),
});

export const blockSchema = z.strictObject({ ...shared });
export const includeSchema = z.strictObject({ include: z.string(), ...shared });

function isRegExp(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

export const inputSchema = z.strictObject({
  type: z
    .enum(['string', 'integer', 'number', 'boolean', 'path', 'duration', 'list', 'map', 'secret'])
    .default('string'),
  description: z.string().optional(),
  default: z.unknown().optional(),
  pattern: z
    .string()
    .refine(isRegExp, 'not a regular expression')
    .optional()
    .describe('Regular expression the text must match'),
  choices: z.array(z.union([z.string(), z.number()])).optional(),
  secret: z.boolean().optional().describe('Masked wherever it would be shown'),
});

const invariantSchema = z.strictObject({ name: z.string(), that: z.string() });

const serialSize = z.union([
  z.number().int().min(1),
  z.string().regex(/^[1-9]\d*%?$/, 'a number of hosts or a percentage'),
]);

export const playSchema = z.strictObject({
  name: z.string().optional(),
  hosts: z.string().describe('Role, group, host or pattern'),
  serial: z
    .union([serialSize, z.array(serialSize).min(1)])
    .optional()
    .describe('Hosts at a time: a number, a percentage, or a list of them'),
  order: z.enum(['inventory', 'standby_first', 'primary_first']).optional(),
  vars: vars.optional(),
  gather: z.union([z.boolean(), strings]).optional().describe('Facts wanted'),
  become: becomeSchema.optional(),
  tags: strings.optional(),
  environment: shared.environment,
  max_failures: z.number().int().min(0).optional(),
  any_errors_fatal: z.boolean().optional(),
  tasks: z.array(z.unknown()).optional(),
  handlers: z.array(z.unknown()).optional(),
});

export const playbookSchema = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  inputs: z.record(z.string(), inputSchema).optional(),
  confirm: z.string().optional().describe('What the operator confirms with a code'),
  invariants: z.array(invariantSchema).optional(),
  vars: vars.optional(),
  vars_files: strings.optional(),
  plays: z.array(z.unknown()).min(1),
});

export type TaskKeywords = z.output<typeof taskSchema>;
export type BlockKeywords = z.output<typeof blockSchema>;
export type Input = z.output<typeof inputSchema>;
export type BecomeKeyword = z.output<typeof becomeSchema>;
export type Invariant = z.output<typeof invariantSchema>;
export type PlayKeywords = z.output<typeof playSchema>;

export interface Task {
  readonly kind: 'task';
  readonly at: Place;
  readonly source: Source;
  readonly path: Path;
  readonly module: string;
  /** As written; templates not rendered. */
  readonly params: unknown;
  readonly keywords: TaskKeywords;
}

export interface Block {
  readonly kind: 'block';
  readonly at: Place;
  readonly source: Source;
  readonly path: Path;
  readonly keywords: BlockKeywords;
  readonly block: readonly Item[];
  readonly rescue: readonly Item[];
  readonly always: readonly Item[];
  /** Set on the block that stands for an `include`: the file it came from. */
  readonly file?: string;
}

export type Item = Task | Block;

export interface Play {
  readonly at: Place;
  readonly source: Source;
  readonly path: Path;
  readonly keywords: PlayKeywords;
  readonly tasks: readonly Item[];
  readonly handlers: readonly Task[];
}

type Vars = Readonly<Record<string, unknown>>;

/** One entry of `vars_files`; without values while its path is a template that needs the inputs. */
export interface VarsFile {
  readonly name: string;
  readonly path: Path;
  readonly values: Vars | undefined;
}

export interface Playbook {
  readonly file: string;
  readonly source: Source;
  readonly name: string;
  readonly description: string | undefined;
  readonly inputs: Readonly<Record<string, Input>>;
  readonly confirm: string | undefined;
  readonly invariants: readonly Invariant[];
  /** The playbook's own variables, those of `vars_files` below them. */
  readonly vars: Vars;
  /** Its variables without those of `vars_files`. */
  readonly own: Vars;
  readonly varsFiles: readonly VarsFile[];
  readonly plays: readonly Play[];
  /** Every file read, absolute. */
  readonly files: readonly string[];
}

/** What the parser must be told: which modules there are, and who keeps secrets. */
export interface ParseOptions {
  readonly modules: readonly string[];
  readonly onSecret?: (value: string) => void;
}

interface Reading {
  readonly options: ParseOptions;
  readonly problems: DrillbookError[];
  readonly files: string[];
  readonly stack: readonly string[];
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** Modules that belong to the language itself. */
export const BUILT_IN = ['flush'];

function readTask(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Task | undefined {
  const { options, problems } = reading;
  const keywords = Object.keys(taskSchema.shape);
  const modules = [...options.modules, ...BUILT_IN];
  const used = Object.keys(raw).filter((key) => modules.includes(key));
  const strange = Object.keys(raw).filter((key) => !modules.includes(key) && !keywords.includes(key));
  for (const key of strange) {
    const isKeyword = used.length > 0 || nearest(key, keywords) !== undefined;
    const what = isKeyword && nearest(key, modules) === undefined ? 'keyword' : 'module';
    const words = used.length > 0 ? keywords : [...modules, ...keywords, 'block', 'include'];
    const near = nearest(key, words);
    const hint = near === undefined ? 'see `drillbook modules` for the list' : `did you mean \`${near}\`?`;
    problems.push(source.error('parse.task', [...path, key], `\`${key}\`: unknown ${what}`, hint));
  }
  if (used.length > 1) {
    const message = `a task has one module, this one has ${used.length}: ${used.join(', ')}`;
    problems.push(source.error('parse.task', [...path, used[1] ?? ''], message));
  }
  const [module] = used;
  if (module === undefined && strange.length === 0) {
    problems.push(
      source.error('parse.task', path, 'a task without a module', 'name what it does, such as `command:`'),
    );
  }
  const own = Object.fromEntries(Object.entries(raw).filter(([key]) => keywords.includes(key)));
  const parsed = taskSchema.safeParse(own);
  if (!parsed.success) problems.push(...schemaProblems(parsed.error, source, path, taskSchema));
  if (!parsed.success || module === undefined) return undefined;
  const at = source.placeOf(path);
  return { kind: 'task', at, source, path, module, params: raw[module], keywords: parsed.data };
}

const PARTS = ['block', 'rescue', 'always'] as const;

function readBlock(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Block | undefined {
  const own = Object.fromEntries(Object.entries(raw).filter(([key]) => !PARTS.some((part) => part === key)));
  const parsed = blockSchema.safeParse(own);
  if (!parsed.success) reading.problems.push(...schemaProblems(parsed.error, source, path, blockSchema));
  const [block, rescue, always] = PARTS.map((part) => readItems(raw[part], source, [...path, part], reading));
  if (!parsed.success || !block || !rescue || !always) return undefined;
  const at = source.placeOf(path);
  return { kind: 'block', at, source, path, keywords: parsed.data, block, rescue, always };
}

function readInclude(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Block | undefined {
  const parsed = includeSchema.safeParse(raw);
  if (!parsed.success) {
    reading.problems.push(...schemaProblems(parsed.error, source, path, includeSchema));
    return undefined;
  }
  const { include, ...keywords } = parsed.data;
  const file = resolve(dirname(source.file), include);
  const at = source.placeOf([...path, 'include']);
  if (reading.stack.includes(file)) {
    const chain = [...reading.stack, file].map((name) => name.split('/').at(-1)).join(' → ');
    reading.problems.push(
      source.error('parse.include', [...path, 'include'], `files include one another: ${chain}`),
    );
    return undefined;
  }
  try {
    const inner = loadYaml(file, 'included file', at, reading.options.onSecret);
    reading.files.push(file);
    const block = readItems(inner.value, inner, [], { ...reading, stack: [...reading.stack, file] });
    return {
      kind: 'block',
      at: source.placeOf(path),
      source,
      path,
      keywords,
      block,
      rescue: [],
      always: [],
      file,
    };
  } catch (error) {
    collect(error, reading.problems, source.excerptOf(at));
    return undefined;
  }
}

function collect(error: unknown, problems: DrillbookError[], excerpt?: string): void {
  if (error instanceof Problems) problems.push(...error.problems);
  else if (error instanceof DrillbookError) {
    problems.push(
      new DrillbookError(error.code, error.message, { ...error, excerpt: error.excerpt ?? excerpt }),
    );
  } else throw error;
}

function readItems(value: unknown, source: Source, path: Path, reading: Reading): Item[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) {
    reading.problems.push(source.error('parse.schema', path, 'a list of tasks is wanted here'));
    return [];
  }
  const items: Item[] = [];
  for (const [i, raw] of value.entries()) {
    const at = [...path, i];
    if (!isMap(raw)) {
      reading.problems.push(
        source.error('parse.task', at, 'a task is a mapping: `- name: …`, then its module'),
      );
      continue;
    }
    const item =
      'block' in raw
        ? readBlock(raw, source, at, reading)
        : 'include' in raw
          ? readInclude(raw, source, at, reading)
          : readTask(raw, source, at, reading);
    if (item) items.push(item);
  }
  return items;
}

function readPlay(raw: unknown, source: Source, path: Path, reading: Reading): Play | undefined {
  const parsed = playSchema.safeParse(raw);
  if (!parsed.success) reading.problems.push(...schemaProblems(parsed.error, source, path, playSchema));
  const map = isMap(raw) ? raw : {};
  const tasks = readItems(map['tasks'], source, [...path, 'tasks'], reading);
  const handlers = readItems(map['handlers'], source, [...path, 'handlers'], reading).filter((item) => {
    if (item.kind === 'task' && item.keywords.name !== undefined) return true;
    const message =
      item.kind === 'task' ? 'a handler needs a name to be notified by' : 'a handler is a single task';
    reading.problems.push(item.source.error('parse.task', item.path, message));
    return false;
  }) as Task[];
  if (!parsed.success) return undefined;
  return { at: source.placeOf(path), source, path, keywords: parsed.data, tasks, handlers };
}

/** Reads a playbook with its includes and variable files; throws `Problems` with everything that is wrong in them. */
export function loadPlaybook(file: string, options: ParseOptions): Playbook {
  const path = resolve(file);
  const source = loadYaml(path, 'playbook', undefined, options.onSecret);
  const problems: DrillbookError[] = [];
  const files = [path];
  const reading: Reading = { options, problems, files, stack: [path] };
  if (Array.isArray(source.value)) {
    throw source.error(
      'parse.schema',
      [],
      'a playbook is a mapping with `name` and `plays`',
      'put the list of plays under `plays:`',
    );
  }
  const parsed = playbookSchema.safeParse(source.value);
  if (!parsed.success) problems.push(...schemaProblems(parsed.error, source, [], playbookSchema));
  const raw = isMap(source.value) && Array.isArray(source.value['plays']) ? source.value['plays'] : [];
  const plays = raw.map((play, i) => readPlay(play, source, ['plays', i], reading));
  const varsFiles = (parsed.data?.vars_files ?? []).map((name, i): VarsFile => {
    const at: Path = ['vars_files', i];
    const isLate = name.includes('{{');
    return { name, path: at, values: isLate ? undefined : readVars(name, at, source, reading) };
  });
  if (problems.length > 0 || !parsed.success) throw new Problems(problems);
  const { name, description, inputs = {}, confirm, invariants = [] } = parsed.data;
  const own = parsed.data.vars ?? {};
  const whole = plays.filter((play) => play !== undefined);
  return {
    file: path,
    source,
    name,
    description,
    inputs,
    confirm,
    invariants,
    vars: mergedVars(varsFiles, own),
    own,
    varsFiles,
    plays: whole,
    files,
  };
}

const mergedVars = (varsFiles: readonly VarsFile[], own: Vars): Vars =>
  Object.assign({}, ...varsFiles.map(({ values }) => values ?? {}), own) as Vars;

/** The variables of one file; what is wrong with it goes to the problems. */
function readVars(name: string, path: Path, source: Source, reading: Reading): Vars {
  const at = source.placeOf(path);
  try {
    const file = resolve(dirname(source.file), name);
    const inner = loadYaml(file, 'variables file', at, reading.options.onSecret);
    reading.files.push(inner.file);
    const values = vars.safeParse(inner.value ?? {});
    if (values.success) return values.data;
    reading.problems.push(...schemaProblems(values.error, inner, []));
  } catch (error) {
    collect(error, reading.problems, source.excerptOf(at));
  }
  return {};
}

/**
 * The playbook with the variable files whose paths are templates, once its inputs are known: `nameOf` renders a path.
 * Throws `Problems` as `loadPlaybook` does.
 */
export function withVarsFiles(
  playbook: Playbook,
  options: ParseOptions,
  nameOf: (template: string, from: string) => string,
): Playbook {
  if (playbook.varsFiles.every(({ values }) => values)) return playbook;
  const { source } = playbook;
  const reading: Reading = { options, problems: [], files: [...playbook.files], stack: [] };
  const varsFiles = playbook.varsFiles.map((file): VarsFile => {
    if (file.values) return file;
    try {
      const name = nameOf(file.name, 'vars_files');
      return { ...file, values: readVars(name, file.path, source, reading) };
    } catch (error) {
      if (!(error instanceof DrillbookError)) throw error;
      reading.problems.push(source.error(error.code, file.path, error.message, error.hint));
      return file;
    }
  });
  if (reading.problems.length > 0) throw new Problems(reading.problems);
  return { ...playbook, varsFiles, vars: mergedVars(varsFiles, playbook.own), files: reading.files };
}
