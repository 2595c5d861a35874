import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { z } from 'zod';
import { loadModule, moduleFile, moduleNames } from '../../engine/modules/registry.ts';

const ENGINE = join(import.meta.dirname, '../../engine');
const TASK_WORDS = new Set(
  (
    'name id when loop label until retries delay timeout register changed_when failed_when ignore_errors notify tags ' +
    'vars become environment delegate_to run_once no_log check_mode on_interrupt undo'
  ).split(' '),
);

test('a file is a module, named after its path', () => {
  expect(moduleNames()).toContain('line_in_file');
  expect(moduleNames()).not.toContain('registry');
  expect(moduleNames().filter((name) => name.startsWith('_') || name.includes('-'))).toEqual([]);
  expect([...moduleNames()].sort()).toEqual(moduleNames());
});

test('an unknown name is refused with the nearest known one', async () => {
  await expect(loadModule('comand')).rejects.toMatchObject({
    code: 'parse.module',
    message: '`comand`: unknown module',
    hint: 'did you mean `command`?',
  });
});

test('all examples lint, but for what only a playbook of theirs would bring', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-examples-'));
  const file = join(dir, 'book.yml');
  const tasks = await Promise.all(
    moduleNames().map(async (name) => (await loadModule(name)).examples.trim()),
  );
  writeFileSync(
    file,
    `name: Examples\nplays:\n  - hosts: all\n    tasks:\n${tasks.join('\n').replace(/^/gm, '      ')}\n`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, ['engine/cli/main.ts', 'lint', file, '--no-color'], {
    encoding: 'utf8',
  });
  rmSync(dir, { recursive: true });
  const told = `${stdout}${stderr}`.split('\n').filter((line) => line.includes(': error: '));
  expect(told.length).toBeGreaterThan(0);
  expect(
    told.filter((line) => !/is not on this machine|no handler of this play|unknown input/.test(line)),
  ).toEqual([]);
});

test('a module is loaded once', () => {
  expect(loadModule('command')).toBe(loadModule('command'));
});

/** `description` of the parameter, also where it is wrapped as optional or with a default. */
function described(schema: z.ZodType): string | undefined {
  if (schema.description !== undefined) return schema.description;
  const inner = (schema.def as { innerType?: z.ZodType }).innerType;
  return inner === undefined ? undefined : described(inner);
}

const isTask = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** Tests of modules by their path below test/; those that need a node share a file. */
const tests = new Map(
  readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && path !== 'registry.test.ts')
    .map((path) => [join('modules', path), readFileSync(join(import.meta.dirname, path), 'utf8')]),
);

describe.each(moduleNames())('%s', (name) => {
  test('has a summary of one line and says what it returns', async () => {
    const module = await loadModule(name);
    expect(module.summary).toMatch(/^[^\n]{10,160}$/);
    expect(Object.keys(module.returns)).not.toEqual([]);
    for (const [field, type] of Object.entries(module.returns)) expect(described(type), field).toMatch(/\S/);
  });

  // A page of the system's manual, a section of a product's, a page of our own that is there.
  test('names its source, down to the page or section', async () => {
    const { source } = await loadModule(name);
    expect(source).toMatch(/^\S.{4,120}$/);
    for (const one of source.split(/; |, (?=[\w.-]+\(|docs\/)/)) {
      const [, page, part] = /^(docs\/[\w-]+\.md) \((.+)\)$/.exec(one) ?? [];
      if (page !== undefined) expect(readFileSync(page, 'utf8').split('\n')).toContain(`## ${part}`);
      else expect(one).toMatch(/^[\w.-]+\([1-8]\)$|^.+(manual|guide|documentation)( V\S+)?, \S/);
    }
  });

  test('describes every parameter, in snake_case', async () => {
    const module = await loadModule(name);
    for (const [param, schema] of Object.entries(module.params.shape)) {
      expect(described(schema as z.ZodType), param).toMatch(/\S{2,}/);
      expect(param).toMatch(/^[a-z][a-z0-9_]*$/);
    }
    if (module.shorthand !== undefined) expect(Object.keys(module.params.shape)).toContain(module.shorthand);
  });

  test('has examples that are valid tasks', async () => {
    const module = await loadModule(name);
    const tasks: unknown = parse(module.examples);
    expect(Array.isArray(tasks) && tasks.length > 0).toBe(true);
    for (const task of Array.isArray(tasks) ? tasks : []) {
      if (!isTask(task)) throw new Error('an example is no task');
      expect(Object.keys(task).filter((word) => word !== name && !TASK_WORDS.has(word))).toEqual([]);
      const value = task[name];
      const isShort =
        value !== null && value !== undefined && !isTask(value) && module.shorthand !== undefined;
      const params = isShort ? { [module.shorthand ?? '']: value } : (value ?? {});
      const outcome = module.params.safeParse(params);
      // What a template gives is seen when it is rendered.
      const own = (outcome.error?.issues ?? []).filter(
        ({ path }) => !String((params as Record<string, unknown>)[String(path[0])]).includes('{{'),
      );
      expect(own).toEqual([]);
    }
  });

  test('refuses a parameter it does not know', async () => {
    const module = await loadModule(name);
    if (name === 'set') return;
    const outcome = module.params.safeParse({ not_a_parameter: 1 });
    expect(outcome.error?.issues.map((issue) => issue.code)).toContain('unrecognized_keys');
  });

  test('has a test', () => {
    const mirror = relative(ENGINE, moduleFile(name) ?? '').replace(/\.ts$/, '.test.ts');
    const isTested = tests.has(mirror) || [...tests.values()].some((text) => text.includes(`'${name}'`));
    expect(isTested, `test/${mirror}, or a test beside it that names '${name}'`).toBe(true);
  });
});
