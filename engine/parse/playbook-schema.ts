import { z } from 'zod';
import { zDuration } from '../core/duration.ts';
import { becomeSchema } from './become.ts';

/** Names and values of variables. */
export const vars = z.record(z.string(), z.unknown());
const strings = z.union([z.string().transform((text) => [text]), z.array(z.string())]);
const tags = strings.transform((list) => list.flatMap((text) => text.split(',')).map((tag) => tag.trim()));
const conditions = z.union([
  z.boolean().transform((value) => [String(value)]),
  z.string().transform((text) => [text]),
  z.array(z.union([z.string(), z.boolean().transform(String)])),
]);

const becomeKeyword = z.union([z.boolean(), becomeSchema]);

const role = z.enum(['primary', 'standby', 'not_primary', 'any']).optional();

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
  tags: tags.optional().describe('Words for --tags and --skip-tags; a text may hold several, with commas'),
  become: becomeKeyword.optional().describe('Run as another user'),
  environment: z
    .record(
      z.string().regex(/^[A-Za-z_]\w*$/, 'a name of letters, digits and underscores'),
      z.union([z.string(), z.number(), z.boolean()]),
    )
    .optional(),
  delegate_to: z.string().optional().describe('Run on this host, with the variables of the original one'),
  role: role.describe(
    'What the witnesses of the host must say in the instant of the act; `any`: whatever is around it does not count',
  ),
  run_once: z.boolean().optional().describe('Run on the first host only; its result counts for all'),
  ignore_errors: z.boolean().optional().describe('Go on after a failure'),
  no_log: z.boolean().optional().describe('Keep parameters and result out of journal and views'),
  check_mode: z.boolean().optional().describe('false: run for real under --check; true: only ever look'),
  any_errors_fatal: z.boolean().optional().describe('A failure on one host ends the play for all'),
};

export const taskSchema = z.strictObject({
  ...shared,
  loop: z
    .union([z.string(), z.array(z.unknown()), vars])
    .optional()
    .describe('List, mapping (items with `key` and `value`), or a template that gives one'),
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
  notify: strings
    .optional()
    .describe('Handlers to run at the end of the play, by name or by what they listen to'),
  listen: strings
    .optional()
    .describe('Of a handler: further words that `notify` may use, also for several handlers'),
  on_interrupt: z.enum(['fail', 'rerun', 'skip', 'ask']).optional(),
  undo: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      'A task that puts back what this one changes: at the end of the play, after a failure too, last first',
    ),
  stays: z.boolean().optional().describe('true: what this task bends is meant to stay so after the run'),
  destroys: z.string().min(1).optional().describe('What it would destroy, for the operator who confirms it'),
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

const inputSchema = z.strictObject({
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
  hosts: z
    .union([z.string(), z.array(z.string()).min(1)])
    .transform((hosts) => (typeof hosts === 'string' ? hosts : hosts.join(',')))
    .describe('Role, group, host or pattern, or a list of them'),
  serial: z
    .union([serialSize, z.array(serialSize).min(1)])
    .optional()
    .describe('Hosts at a time: a number, a percentage, or a list of them'),
  order: z.enum(['inventory', 'standby_first', 'primary_first']).optional(),
  vars: vars.optional(),
  gather: z.union([z.boolean(), strings]).optional().describe('Facts wanted'),
  become: becomeKeyword.optional(),
  tags: tags.optional().describe('Words for --tags and --skip-tags; a text may hold several, with commas'),
  environment: shared.environment,
  role: shared.role,
  max_failures: z.number().int().min(0).optional(),
  any_errors_fatal: shared.any_errors_fatal,
  tasks: z.array(z.unknown()).optional(),
  handlers: z.array(z.unknown()).optional(),
});

/** Among the plays: all plays of another playbook, with its inputs, variables, invariants and confirmation. */
export const partSchema = z.strictObject({ include: z.string().describe('Playbook whose plays stand here') });

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

export type TaskKeywords = Omit<z.output<typeof taskSchema>, 'undo'>;
export type BlockKeywords = z.output<typeof blockSchema>;
export type Input = z.output<typeof inputSchema>;
export type BecomeKeyword = z.output<typeof becomeKeyword>;
export type Invariant = z.output<typeof invariantSchema>;
export type PlayKeywords = z.output<typeof playSchema>;
