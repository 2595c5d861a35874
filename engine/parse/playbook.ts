import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { DrillbookError, Problems } from '../core/error.ts';
import { realPath } from '../core/files.ts';
import { nearest } from '../core/nearest.ts';
import type { Place } from '../core/place.ts';
import { Locked } from '../secrets/encrypted.ts';
import { ansibleHint } from './ansible.ts';
import { elsewhereHint } from './levels.ts';
import {
  blockSchema,
  includeSchema,
  partSchema,
  playSchema,
  playbookSchema,
  taskSchema,
  vars,
} from './playbook-schema.ts';
import type { BlockKeywords, Input, Invariant, PlayKeywords, TaskKeywords } from './playbook-schema.ts';
import { schemaProblems } from './schema.ts';
import { loadYaml } from './yaml.ts';
import type { Loading, Path, Source } from './yaml.ts';

export interface Task {
  readonly kind: 'task';
  readonly at: Place;
  readonly source: Source;
  readonly path: Path;
  readonly module: string;
  /** As written; templates not rendered. */
  readonly params: unknown;
  readonly keywords: TaskKeywords;
  readonly undo?: Task;
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

/** What the parser must be told: which modules there are. */
export interface ParseOptions extends Loading {
  readonly modules: readonly string[];
}

/** A playbook with something wrong in it, and what could be read all the same: more may be wrong with that. */
export class Misread extends Problems {
  readonly playbook: Playbook;

  constructor(problems: readonly DrillbookError[], playbook: Playbook) {
    super(problems);
    this.playbook = playbook;
  }
}

interface Reading {
  readonly options: ParseOptions;
  readonly problems: DrillbookError[];
  /** Names are not known for what could not be read: what uses them would seem wrong. */
  readonly lost: Path[];
  readonly files: string[];
  readonly stack: readonly string[];
}

export const isMap = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** Keywords that give names to what follows. */
const NAMING = ['vars', 'vars_files', 'inputs', 'register', 'loop', 'gather', 'plays'];

/** What a schema makes of keywords; where some are wrong, of the others. Tells what is wrong as `tell` words it. */
function readKeywords<S extends z.ZodType>(
  schema: S,
  raw: unknown,
  path: Path,
  { problems, lost }: Pick<Reading, 'problems' | 'lost'>,
  tell: (error: z.ZodError) => readonly DrillbookError[],
): z.output<S> | undefined {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  problems.push(...tell(parsed.error));
  const wrong = new Set(
    parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' ? issue.keys : [String(issue.path[0])],
    ),
  );
  const others = Object.entries(isMap(raw) ? raw : {}).filter(([key]) => !wrong.has(key));
  const rest = schema.safeParse(Object.fromEntries(others));
  if (!rest.success || !isMap(raw) || NAMING.some((key) => wrong.has(key))) lost.push(path);
  return rest.data;
}

/** Modules that belong to the language itself. */
export const BUILT_IN = ['flush'];
/** In place of a module that there is not. */
export const NONE = '';

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
    const hint =
      ansibleHint(key, modules) ??
      (used.length > 0 ? elsewhereHint(key, 'task') : undefined) ??
      (near === undefined ? 'see `drillbook modules` for the list' : `did you mean \`${near}\`?`);
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
  const read = readKeywords(taskSchema, own, path, reading, (error) =>
    schemaProblems(error, source, path, taskSchema),
  );
  if (read === undefined) return undefined;
  const at = source.placeOf(path);
  const { undo, ...rest } = read;
  if (module === undefined)
    return { kind: 'task', at, source, path, module: NONE, params: {}, keywords: rest };
  const undoing = undo && readUndo(undo, source, [...path, 'undo'], reading);
  const task: Task = { kind: 'task', at, source, path, module, params: raw[module], keywords: rest };
  return undoing ? { ...task, undo: undoing } : task;
}

/** What an undo may say of itself; everything else it has from its task. */
const UNDO_KEYWORDS = ['name', 'timeout', 'retries', 'delay'];

function readUndo(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Task | undefined {
  const task = readTask(raw, source, path, reading);
  const strange = Object.keys(raw).filter((key) => key !== task?.module && !UNDO_KEYWORDS.includes(key));
  if (!task || strange.length === 0) return task;
  const message = `\`${strange[0]}\` is no keyword of an undo: it has ${UNDO_KEYWORDS.join(', ')}, all else from its task`;
  reading.problems.push(source.error('parse.undo', [...path, strange[0] ?? ''], message));
  return undefined;
}

const PARTS = ['block', 'rescue', 'always'] as const;

function readBlock(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Block | undefined {
  const own = Object.fromEntries(Object.entries(raw).filter(([key]) => !PARTS.some((part) => part === key)));
  const keywords = readKeywords(blockSchema, own, path, reading, (error) =>
    schemaProblems(error, source, path, blockSchema, (word) => elsewhereHint(word, 'block')),
  );
  const [block, rescue, always] = PARTS.map((part) => readItems(raw[part], source, [...path, part], reading));
  if (!keywords || !block || !rescue || !always) return undefined;
  const at = source.placeOf(path);
  return { kind: 'block', at, source, path, keywords, block, rescue, always };
}

/** Each time a file is included counts. */
const MOST_FILES = 1000;

function readInclude(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Block | undefined {
  const block = includeOf(raw, source, path, reading);
  if (block === undefined) reading.lost.push(path);
  return block;
}

function includeOf(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Block | undefined {
  const parsed = includeSchema.safeParse(raw);
  if (!parsed.success) {
    reading.problems.push(
      ...schemaProblems(parsed.error, source, path, includeSchema, (word) => elsewhereHint(word, 'include')),
    );
    return undefined;
  }
  const { include, ...keywords } = parsed.data;
  const file = resolve(dirname(source.file), include);
  const at = source.placeOf([...path, 'include']);
  if (isTooMuch(file, source, [...path, 'include'], reading)) return undefined;
  try {
    const inner = loadYaml(file, 'included file', at, reading.options);
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

/** Files that include one another, or too many of them; the problem is told. */
function isTooMuch(file: string, source: Source, path: Path, { stack, files, problems }: Reading): boolean {
  if (files.length > MOST_FILES) {
    const message = `more than ${MOST_FILES} files are included`;
    if (!problems.some((problem) => problem.message === message))
      problems.push(source.error('parse.include', path, message));
    return true;
  }
  const isAgain = stack.some((name) => name === file || realPath(name) === realPath(file));
  if (isAgain) {
    const chain = [...stack, file].map((name) => name.split('/').at(-1)).join(' → ');
    problems.push(source.error('parse.include', path, `files include one another: ${chain}`));
  }
  return isAgain;
}

function collect(error: unknown, problems: DrillbookError[], excerpt?: string): void {
  if (error instanceof Locked) throw error;
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
    reading.lost.push(path);
    return [];
  }
  const items: Item[] = [];
  for (const [i, raw] of value.entries()) {
    const at = [...path, i];
    if (!isMap(raw)) {
      reading.problems.push(
        source.error('parse.task', at, 'a task is a mapping: `- name: …`, then its module'),
      );
      reading.lost.push(at);
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
  const tell = (error: z.ZodError): readonly DrillbookError[] =>
    schemaProblems(error, source, path, playSchema, (word) => elsewhereHint(word, 'play'));
  const map = isMap(raw) ? raw : {};
  const keywords = readKeywords(playSchema, raw, path, reading, tell);
  const tasks = readItems(map['tasks'], source, [...path, 'tasks'], reading);
  const handlers = readItems(map['handlers'], source, [...path, 'handlers'], reading).filter((item) => {
    if (item.kind === 'task' && item.keywords.name !== undefined && !item.undo) return true;
    const message =
      item.kind !== 'task'
        ? 'a handler is a single task'
        : item.undo
          ? 'a handler has no undo: it runs at the end of the play itself'
          : 'a handler needs a name to be notified by';
    reading.problems.push(item.source.error('parse.task', item.path, message));
    return false;
  }) as Task[];
  if (!keywords) return undefined;
  return { at: source.placeOf(path), source, path, keywords, tasks, handlers };
}

/** Reads a file of tasks, such as an include, with its own includes; throws `Problems`. */
export function loadTasks(file: string, options: ParseOptions): void {
  const path = resolve(file);
  const problems: DrillbookError[] = [];
  const source = loadYaml(path, 'file of tasks', undefined, options);
  readItems(source.value, source, [], { options, problems, lost: [], files: [path], stack: [path] });
  if (problems.length > 0) throw new Problems(problems);
}

/** Reads a playbook with its includes and variable files; throws `Problems` with everything that is wrong in them. */
export const loadPlaybook = (file: string, options: ParseOptions): Playbook =>
  readPlaybook(file, options, []);

function readPlaybook(file: string, options: ParseOptions, stack: readonly string[], from?: Place): Playbook {
  const path = resolve(file);
  const source = loadYaml(path, 'playbook', from, options);
  const problems: DrillbookError[] = [];
  const files = [path];
  const reading: Reading = { options, problems, lost: [], files, stack: [...stack, path] };
  if (Array.isArray(source.value)) {
    throw source.error(
      'parse.schema',
      [],
      'a playbook is a mapping with `name` and `plays`',
      'put the list of plays under `plays:`',
    );
  }
  const tell = (error: z.ZodError): readonly DrillbookError[] =>
    schemaProblems(error, source, [], playbookSchema, (word) => elsewhereHint(word, 'playbook'));
  const parsed = readKeywords(playbookSchema, source.value, [], reading, tell);
  const raw = isMap(source.value) && Array.isArray(source.value['plays']) ? source.value['plays'] : [];
  const parts = raw.map((play, i) => {
    const at: Path = ['plays', i];
    return isMap(play) && 'include' in play
      ? readPart(play, source, at, reading)
      : readPlay(play, source, at, reading);
  });
  const varsFiles = (parsed?.vars_files ?? []).map((name, i): VarsFile => {
    const at: Path = ['vars_files', i];
    const isLate = name.includes('{{');
    return { name, path: at, values: isLate ? undefined : readVars(name, at, source, reading) };
  });
  if (parsed === undefined || reading.lost.length > 0) throw new Problems(problems);
  const { name, description } = parsed;
  const own = parsed.vars ?? {};
  const included = parts.filter((part) => part !== undefined && 'plays' in part);
  const confirm = [parsed.confirm, ...included.map((one) => one.confirm)].filter(
    (text) => text !== undefined,
  );
  const playbook: Playbook = {
    file: path,
    source,
    name,
    description,
    inputs: Object.assign({}, ...included.map((one) => one.inputs), parsed.inputs) as Playbook['inputs'],
    confirm: confirm.length === 0 ? undefined : confirm.join('\n'),
    invariants: [...(parsed.invariants ?? []), ...included.flatMap((one) => one.invariants)],
    vars: unitedVars(included, mergedVars(varsFiles, own), { ...reading, source }),
    own,
    varsFiles,
    plays: parts.flatMap((part) => (part === undefined ? [] : 'plays' in part ? part.plays : [part])),
    files,
  };
  if (problems.length > 0) throw new Misread(problems, playbook);
  return playbook;
}

/** Variables of playbooks within another are its own; two that differ would be one of the two by accident. */
function unitedVars(
  parts: readonly Playbook[],
  own: Vars,
  { source, problems }: Reading & { source: Source },
): Vars {
  const united: Record<string, unknown> = {};
  for (const part of parts)
    for (const [name, value] of Object.entries(part.vars)) {
      if (name in united && !(name in own) && JSON.stringify(united[name]) !== JSON.stringify(value))
        problems.push(
          source.error(
            'parse.include',
            ['plays'],
            `\`${name}\` has another value in ${part.file} than in a playbook before it`,
            'give it a value in this playbook',
          ),
        );
      united[name] = value;
    }
  return { ...united, ...own };
}

/** A playbook that stands among the plays of another. */
function readPart(
  raw: Record<string, unknown>,
  source: Source,
  path: Path,
  reading: Reading,
): Playbook | undefined {
  const parsed = partSchema.safeParse(raw);
  if (!parsed.success) {
    reading.problems.push(...schemaProblems(parsed.error, source, path, partSchema));
    reading.lost.push(path);
    return undefined;
  }
  const at: Path = [...path, 'include'];
  const file = resolve(dirname(source.file), parsed.data.include);
  if (isTooMuch(file, source, at, reading)) return undefined;
  const take = (part: Playbook): Playbook => {
    reading.files.push(...part.files);
    for (const { name, values } of part.varsFiles)
      if (values === undefined)
        reading.problems.push(
          source.error('parse.include', at, `vars_files ${name} of an included playbook depends on inputs`),
        );
    return part;
  };
  try {
    return take(readPlaybook(file, reading.options, reading.stack, source.placeOf(at)));
  } catch (error) {
    collect(error, reading.problems, source.excerptOf(source.placeOf(at)));
    if (error instanceof Misread) return take(error.playbook);
    reading.lost.push(path);
    return undefined;
  }
}

const mergedVars = (varsFiles: readonly VarsFile[], own: Vars): Vars =>
  Object.assign({}, ...varsFiles.map(({ values }) => values ?? {}), own) as Vars;

/** The variables of one file; what is wrong with it goes to the problems. */
function readVars(name: string, path: Path, source: Source, reading: Reading): Vars {
  const at = source.placeOf(path);
  try {
    const file = resolve(dirname(source.file), name);
    const inner = loadYaml(file, 'variables file', at, reading.options);
    reading.files.push(inner.file);
    const values = vars.safeParse(inner.value ?? {});
    if (values.success) return values.data;
    reading.problems.push(...schemaProblems(values.error, inner, []));
    reading.lost.push(path);
  } catch (error) {
    reading.lost.push(path);
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
  const reading: Reading = { options, problems: [], lost: [], files: [...playbook.files], stack: [] };
  const varsFiles = playbook.varsFiles.map((file): VarsFile => {
    if (file.values) return file;
    try {
      const name = nameOf(file.name, 'vars_files');
      return { ...file, values: readVars(name, file.path, source, reading) };
    } catch (error) {
      if (!(error instanceof DrillbookError) || error instanceof Locked) throw error;
      reading.problems.push(source.error(error.code, file.path, error.message, error.hint));
      return file;
    }
  });
  if (reading.problems.length > 0) throw new Problems(reading.problems);
  const vars = { ...playbook.vars, ...mergedVars(varsFiles, playbook.own) };
  return { ...playbook, varsFiles, vars, files: reading.files };
}
