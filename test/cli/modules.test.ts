import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { zDuration } from '../../engine/core/duration.ts';
import {
  modulesPage,
  referenceOf,
  typeText,
  jsonSchemaOf,
  type Reference,
} from '../../engine/cli/_reference.ts';
import { moduleNames } from '../../engine/modules/registry.ts';

const drillbook = (...args: readonly string[]) =>
  spawnSync(process.execPath, ['engine/cli/main.ts', ...args], { encoding: 'utf8' });

test('docs/modules.md is what the modules say now (else: npm run docs)', async () => {
  expect(readFileSync('docs/modules.md', 'utf8')).toBe(await modulesPage());
});

test('every module is told with a summary, described parameters, and examples that use it', async () => {
  for (const name of moduleNames()) {
    const reference = await referenceOf(name);
    expect(reference.summary, name).not.toBe('');
    expect(reference.examples, name).toContain(`${name}:`);
    const undescribed = reference.parameters.filter(({ description }) => description === '');
    expect(
      undescribed.map((parameter) => `${name}.${parameter.name}`),
      'parameters without a description',
    ).toEqual([]);
  }
});

test('modules NAME --output json gives the reference alone on standard output', () => {
  const { stdout, status } = drillbook('modules', 'file', '--output', 'json');
  const reference = JSON.parse(stdout) as Reference;
  expect(status).toBe(0);
  expect(reference).toMatchObject({ name: 'file', kind: 'state', shorthand: 'path' });
  expect(reference.parameters[0]).toMatchObject({ name: 'path', isRequired: true });
});

test('modules lists all names, and an unknown one gets the nearest', () => {
  const { stdout } = drillbook('modules');
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s/)[0]),
  ).toEqual(moduleNames());
  const { stderr, status } = drillbook('modules', 'fille');
  expect(stderr).toContain('did you mean `file`?');
  expect(status).toBe(2);
});

test('types are told in a few words', () => {
  const text = (schema: z.ZodType): string => typeText(jsonSchemaOf(schema));
  expect(text(z.enum(['present', 'absent']))).toBe('present | absent');
  expect(text(z.union([z.string(), z.array(z.number())]))).toBe('string or list of number');
  expect(text(z.record(z.string(), z.string()))).toBe('mapping of string');
  expect(text(z.unknown())).toBe('anything');
  expect(text(zDuration.default(90_000).describe('x'))).toBe('duration');
  expect(jsonSchemaOf(z.object({ wait: zDuration.default(90_000) })).properties?.['wait']?.default).toBe(
    '1m30s',
  );
});
