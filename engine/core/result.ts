import { z } from 'zod';
import type { Module } from './module.ts';

export type Fields = Readonly<Record<string, z.ZodType>>;

/** What the engine says of every step, beside what its module gives. */
export const ENGINE_FIELDS = {
  changed: z.boolean().describe('whether it changed anything, or would'),
  failed: z.boolean().describe('whether it went wrong'),
  skipped: z.boolean().describe('whether it was left out'),
  msg: z.string().optional().describe('why it ended so'),
  attempts: z.int().optional().describe('how often it was tried, where it may be tried more than once'),
  would_change: z.boolean().optional().describe('of a state in check mode: whether it would change anything'),
  is_foreseen: z.literal(true).optional().describe('of an action in check mode: it has only been foretold'),
  is_unforeseeable: z.literal(true).optional().describe('in check mode: what it would give cannot be told'),
} satisfies Fields;

/** What a step that went wrong may have: which of it there is depends on what went wrong. */
export const FAILURE_FIELDS = {
  code: z.union([z.int(), z.string()]).optional().describe('exit code, or the kind of the failure'),
  stdout: z.string().optional().describe('standard output'),
  stderr: z.string().optional().describe('standard error'),
  stderr_lines: z.array(z.string()).optional().describe('standard error as a list of lines'),
  output: z.string().optional().describe('what a terminal showed'),
  log: z.array(z.string()).optional().describe('the end of a log'),
  errno: z.int().optional().describe("number of a database server's error"),
  host: z.string().optional().describe('the host that could not be reached'),
  bug: z.string().optional().describe("where the engine's own mistake lies"),
} satisfies Fields;

const LOOP_FIELDS = {
  item: z.unknown().describe('the item'),
} satisfies Fields;

/**
 * All that `register` may get of a step of this module, by name; of a step with a loop, `results` holds that of each
 * item. A field that may be missing is optional.
 */
export function registeredFields(module: Pick<Module, 'returns'>, hasLoop: boolean): Fields {
  const own = { ...partial(FAILURE_FIELDS), ...ENGINE_FIELDS, ...partial(module.returns) };
  if (!hasLoop) return own;
  return {
    ...ENGINE_FIELDS,
    results: z.array(z.object({ ...own, ...LOOP_FIELDS })).describe('one for each item'),
  };
}

/** None of it is sure to be there: the step may have failed, or been left out. */
const partial = (fields: Fields): Fields =>
  Object.fromEntries(
    Object.entries(fields).map(([name, type]) => [name, type.optional().describe(type.description ?? name)]),
  );

/** What a module said, held against what it declares: one line for each field that is not declared, missing or of another type. */
export function resultProblems(
  module: Pick<Module, 'returns'>,
  result: unknown,
  hasFailed: boolean,
): readonly string[] {
  const declared = hasFailed
    ? z.strictObject({ ...FAILURE_FIELDS, ...partial(module.returns) })
    : z.strictObject(module.returns);
  const { error } = declared.safeParse(result);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.') || 'result'}: ${message}`);
}
