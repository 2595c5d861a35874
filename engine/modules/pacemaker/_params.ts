import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';

const word = z
  .string()
  .regex(/^[A-Za-z_][\w.-]*$/, 'letters, digits, `_`, `-` and `.` are allowed, first a letter');

/** Id of a resource, group or clone. */
export const resourceId = word;

/** `wait` of what changes the configuration. */
export const zWait = zDuration
  .default(120_000)
  .describe('How long the cluster may take to do what follows from it; 0: no waiting');

/** Pacemaker writes line breaks and tabs as other characters. */
export const zValue = z
  .union([z.string().regex(/^\P{Cc}*$/u, 'text without line breaks and tabs'), z.number(), z.boolean()])
  .transform(String);
const time = z
  .union([z.string().regex(/^\d+(ms|s|m|min|h)?$/, 'a time: 10s, 2min, or a number of seconds'), z.number()])
  .transform(String);
export const zOptions = z.record(z.string().regex(/^[\w.#:-]+$/, 'the name of an option'), zValue);

const nodeName = z.string().regex(/^[\w.-]+$/, 'the name of a node');
const attributeName = z.string().regex(/^[\w.#-]+$/, 'the name of a node attribute');

export const zOperation = z.strictObject({
  name: word.describe('monitor, start, stop, promote, …'),
  interval: time.default('0s').describe('How often, for monitor'),
  timeout: time.optional().describe('How long it may take'),
  role: z.enum(['Promoted', 'Unpromoted', 'Started', 'Stopped']).optional().describe('Only in this role'),
  on_fail: z
    .enum(['ignore', 'block', 'stop', 'restart', 'standby', 'fence', 'demote'])
    .optional()
    .describe('What its failure brings about'),
});
export type Operation = z.output<typeof zOperation>;

export const zResource = z.strictObject({
  name: resourceId.describe('Id of the resource'),
  agent: z
    .string()
    .regex(
      /^(ocf:[\w.-]+:[\w.-]+|(systemd|lsb|stonith):[\w.@-]+)$/,
      'ocf:PROVIDER:AGENT, systemd:UNIT or stonith:AGENT',
    )
    .describe('What starts and watches it: `ocf:heartbeat:IPaddr2`, `systemd:UNIT`'),
  options: zOptions.default({}).describe('Options of the agent; all that it is to have'),
  operations: z
    .array(zOperation)
    .default([])
    .describe(
      'Operations that differ from what the agent advises; a monitor here takes the place of all advised ones',
    ),
  meta: zOptions.default({}).describe('Meta attributes: migration-threshold, failure-timeout, …'),
  promotable: zOptions
    .optional()
    .describe(
      'Runs on all nodes, promoted on one: meta attributes of the clone NAME-clone (promoted-max, clone-max, notify, …)',
    ),
  clone: zOptions.optional().describe('Runs on all nodes: meta attributes of the clone NAME-clone'),
});
export type WantedResource = z.output<typeof zResource>;

export const zGroup = z.strictObject({
  name: resourceId.describe('Id of the group'),
  resources: z
    .array(resourceId)
    .min(1)
    .describe('Its resources, on one node, started in this order and stopped in the other'),
});
export type WantedGroup = z.output<typeof zGroup>;

const score = z.union([z.literal('INFINITY'), z.literal('-INFINITY'), z.int()]).transform(String);

const actionOf = z.enum(['start', 'stop', 'promote', 'demote']).default('start');

export const zColocation = z.strictObject({
  resource: resourceId.describe('Where this one runs …'),
  with: resourceId.describe('… depends on where this one does'),
  with_role: z.enum(['Promoted', 'Unpromoted', 'Started']).optional().describe('In this role of `with`'),
  score: score.default('INFINITY').describe('How much: INFINITY is a must, -INFINITY a must not'),
});
export const zOrder = z.strictObject({
  first: resourceId.describe('Before'),
  first_action: actionOf.describe('What is done first'),
  then: resourceId.describe('After'),
  then_action: actionOf.describe('What is done then'),
  kind: z.enum(['Mandatory', 'Optional', 'Serialize']).default('Mandatory').describe('How strictly'),
});
const zByNode = z.strictObject({
  resource: resourceId.describe('Where it runs'),
  node: nodeName.describe('Node'),
  score: score.default('INFINITY').describe('How much it is wanted there'),
});
const zByAttribute = z.strictObject({
  resource: resourceId.describe('Where it must not run'),
  attribute: attributeName.describe('Node attribute, as ocf:pacemaker:ping keeps one'),
  minimum: z.int().describe('Below this, and where there is none, the resource does not run'),
  role: z.enum(['Promoted', 'Started']).optional().describe('Only in this role'),
});
export type ByAttribute = z.output<typeof zByAttribute>;
export const zLocation = z.union([zByNode, zByAttribute]);

export const zConstraint = z.union([
  z.strictObject({ colocation: zColocation }),
  z.strictObject({ order: zOrder }),
  z.strictObject({ location: zLocation }),
]);
export type WantedConstraint = z.output<typeof zConstraint>;
