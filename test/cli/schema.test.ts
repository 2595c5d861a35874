import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { inventoryJsonSchema, playbookJsonSchema } from '../../engine/cli/_schema.ts';
import { BUILT_IN } from '../../engine/parse/playbook.ts';
import { moduleNames } from '../../engine/modules/registry.ts';

interface Written {
  readonly $defs: { readonly task: { oneOf?: readonly unknown[] } };
}

const schema = structuredClone(await playbookJsonSchema()) as Written;
const oneOf = schema.$defs.task.oneOf;
// zod reads JSON Schema back, but passes over `required` that stands without properties.
delete schema.$defs.task.oneOf;
const reader = z.fromJSONSchema(schema as unknown as Parameters<typeof z.fromJSONSchema>[0]);
const isValid = (yaml: string): boolean => reader.safeParse(parse(yaml)).success;
const tasks = (text: string): string => `{ name: x, plays: [{ hosts: all, tasks: ${text} }] }`;

test('the schema of playbooks takes what lint takes', () => {
  expect(isValid(readFileSync('bench/tasks-30.yml', 'utf8'))).toBe(true);
  expect(isValid(tasks(`[{ command: 'true' }]`))).toBe(true);
  expect(isValid(tasks(`[{ block: [{ shell: date }], rescue: [{ include: a.yml }] }]`))).toBe(true);
});

test('a template may stand for a value that is no text', () => {
  expect(isValid(tasks(`[{ file: { path: /a, state: directory, recurse: '{{all}}' } }]`))).toBe(true);
  expect(isValid(tasks(`[{ file: { path: /a, state: directory, recurse: all } }]`))).toBe(false);
});

test('an unknown module, parameter or keyword is not valid', () => {
  expect(isValid(tasks(`[{ fil: { path: /a } }]`))).toBe(false);
  expect(isValid(tasks(`[{ file: { path: /a, stat: directory } }]`))).toBe(false);
  expect(isValid(tasks(`[{ command: 'true', registr: x }]`))).toBe(false);
  expect(isValid(tasks(`[{ file: { state: directory } }]`))).toBe(false);
});

test('a task has exactly one of the modules', () => {
  expect(oneOf).toEqual([...moduleNames(), ...BUILT_IN].map((name) => ({ required: [name] })));
});

test('the schema of inventories takes hosts and refuses strange keys', () => {
  const inventory = z.fromJSONSchema(inventoryJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  expect(inventory.safeParse({ hosts: { a: { connection: { address: '10.0.0.1' } } } }).success).toBe(true);
  expect(inventory.safeParse({ hosts: { a: { conection: {} } } }).success).toBe(false);
});
