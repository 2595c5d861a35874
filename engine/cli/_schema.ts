import { loadModule, moduleNames } from '../modules/registry.ts';
import { inventorySchema } from '../parse/inventory.ts';
import {
  blockSchema,
  includeSchema,
  playbookSchema,
  partSchema,
  playSchema,
  taskSchema,
} from '../parse/playbook-schema.ts';
import { BUILT_IN } from '../parse/playbook.ts';
import { drillSchema } from '../drill/schema.ts';
import { jsonSchemaOf, type JsonSchema } from './_reference.ts';

const DRAFT = 'https://json-schema.org/draft/2020-12/schema';
const TEMPLATE: JsonSchema = { type: 'string', pattern: '\\{\\{' };
const ITEMS: JsonSchema = { type: 'array', items: { $ref: '#/$defs/item' } };

/** Any value may be a template instead, also one that is no text. */
function templated(schema: JsonSchema): JsonSchema {
  if (schema.type === 'string' && schema.enum === undefined && schema['pattern'] === undefined) return schema;
  const { description, default: preset, ...rest } = schema;
  return {
    anyOf: [rest, TEMPLATE],
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
  };
}

async function moduleSchema(name: string): Promise<JsonSchema> {
  const { params, shorthand, summary } = await loadModule(name);
  const { properties = {}, required = [], ...rest } = jsonSchemaOf(params);
  const own = Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, templated(value)]));
  const whole: JsonSchema = { ...rest, properties: own, required, description: summary };
  if (shorthand !== undefined) return { anyOf: [whole, { type: 'string' }], description: summary };
  return required.length === 0 ? { anyOf: [whole, { type: 'null' }], description: summary } : whole;
}

const withTasks = (schema: JsonSchema, keys: readonly string[]): JsonSchema => ({
  ...schema,
  properties: { ...schema.properties, ...Object.fromEntries(keys.map((key) => [key, ITEMS])) },
});

/** JSON Schema of a playbook, from the schemas and modules that lint uses; for editors. */
export async function playbookJsonSchema(): Promise<object> {
  const modules = await Promise.all(
    moduleNames().map(async (name) => [name, await moduleSchema(name)] as const),
  );
  const task = jsonSchemaOf(taskSchema);
  const names = [...modules.map(([name]) => name), ...BUILT_IN];
  const builtIn = BUILT_IN.map((name) => [name, { description: 'a word of the language itself' }] as const);
  const playbook = jsonSchemaOf(playbookSchema);
  const block = withTasks(jsonSchemaOf(blockSchema), ['block', 'rescue', 'always']);
  return {
    $schema: DRAFT,
    title: 'drillbook playbook',
    ...playbook,
    properties: {
      ...playbook.properties,
      plays: {
        type: 'array',
        minItems: 1,
        items: { anyOf: [{ $ref: '#/$defs/play' }, jsonSchemaOf(partSchema)] },
      },
    },
    $defs: {
      play: withTasks(jsonSchemaOf(playSchema), ['tasks', 'handlers']),
      item: {
        anyOf: [{ ...block, required: ['block'] }, jsonSchemaOf(includeSchema), { $ref: '#/$defs/task' }],
      },
      task: {
        ...task,
        properties: {
          ...task.properties,
          ...Object.fromEntries([...modules, ...builtIn]),
          undo: { $ref: '#/$defs/task', description: task.properties?.['undo']?.description },
        },
        oneOf: names.map((name) => ({ required: [name] })),
      },
    },
  };
}

/** JSON Schema of an inventory. */
export const inventoryJsonSchema = (): object => ({
  $schema: DRAFT,
  title: 'drillbook inventory',
  ...jsonSchemaOf(inventorySchema),
});

/** JSON Schema of a drill. */
export const drillJsonSchema = (): object => ({
  $schema: DRAFT,
  title: 'drillbook drill',
  ...jsonSchemaOf(drillSchema),
});
