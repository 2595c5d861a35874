import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';

const ENGINE = resolve(import.meta.dirname, '../engine');

/** A file imports from its own folder or from one further down this list. */
const ORDER = [
  'cli',
  'report',
  'console',
  'drill',
  'rules',
  'lab',
  'run',
  'plan',
  'cluster',
  'modules',
  'transports',
  'parse',
  'secrets',
  'core',
];

/** Files that views and the console may take from run: its events, and how they are folded. */
const EVENTS_OF_RUN = ['run/journal/history.ts', 'run/journal/journal.ts'];

const folderOf = (path: string): string => path.split(sep)[0] ?? '';

/** What is wrong with `file` (relative to engine/) importing `specifier`; undefined when it may. */
function complaint(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = relative(ENGINE, resolve(ENGINE, dirname(file), specifier));
  if (target.startsWith('..')) return target.endsWith('package.json') ? undefined : 'leaves engine/';
  const [from, to] = [folderOf(file), folderOf(target)];
  if (!ORDER.includes(to)) return `engine/${to} has no place in the order`;
  const name = target.split(sep).at(-1) ?? '';
  // Under modules/ the prefix says `no module`: what reads a system is there for the cluster's adapters too.
  if (name.startsWith('_') && from !== to && to !== 'modules') return `${target} is internal to its folder`;
  if (from === to) return undefined;
  if (from === 'modules' && to === 'transports') return 'modules and transports never import each other';
  if ((from === 'report' || from === 'console') && to === 'run' && !EVENTS_OF_RUN.includes(target))
    return `${from} takes only events from run`;
  return ORDER.indexOf(to) > ORDER.indexOf(from) ? undefined : `${from} stands below ${to}`;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;

const importsOf = (text: string): string[] =>
  [...text.matchAll(IMPORT)].flatMap(([, fixed, late]) => fixed ?? late ?? []);

function* filesUnder(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.name.endsWith('.ts')) yield path;
  }
}

const FILES = [...filesUnder(ENGINE)].map((path) => ({
  file: relative(ENGINE, path),
  imports: importsOf(readFileSync(path, 'utf8')),
}));

test('imports run one way, from the command line down to the core', () => {
  const wrong = FILES.flatMap(({ file, imports }) =>
    imports.flatMap((specifier) => {
      const why = complaint(file, specifier);
      return why === undefined ? [] : [`${file} imports ${specifier}: ${why}`];
    }),
  );
  expect(wrong).toEqual([]);
});

test('every folder has its place in the order', () => {
  const folders = new Set(FILES.map(({ file }) => folderOf(file)));
  expect([...folders].filter((folder) => !ORDER.includes(folder))).toEqual([]);
});

test('no two files import each other, by whatever way round', () => {
  const known = new Map(
    FILES.map(({ file, imports }) => [
      file,
      imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => relative(ENGINE, resolve(ENGINE, dirname(file), specifier))),
    ]),
  );
  const types = new Map(FILES.map(({ file }) => [file, readFileSync(join(ENGINE, file), 'utf8')] as const));
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) return void circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
    if (done.has(file)) return;
    for (const next of known.get(file) ?? []) {
      // An import of types is gone when the program runs.
      const specifier = relative(dirname(file), next).replace(/^(?!\.)/, './');
      const isTypeOnly = !new RegExp(
        `(?:import|export)\\s+(?!type\\b)[^;'"]*?from\\s+['"]${RegExp.escape(specifier)}['"]`,
      ).test(types.get(file) ?? '');
      if (!isTypeOnly) visit(next, [...way, file]);
    }
    done.add(file);
  };
  for (const file of known.keys()) visit(file, []);
  expect(circles).toEqual([]);
});

test.each([
  ['core/error.ts', "import { x } from '../parse/yaml.ts';", 'core stands below parse'],
  ['parse/yaml.ts', "import type { X } from '../plan/plan.ts';", 'parse stands below plan'],
  ['plan/plan.ts', "export { x } from '../run/run.ts';", 'plan stands below run'],
  ['modules/shell.ts', "import { x } from '../transports/ssh.ts';", 'modules and transports never'],
  ['transports/ssh.ts', "import { x } from '../modules/shell.ts';", 'transports stands below modules'],
  ['report/plain.ts', "import { x } from '../run/runner.ts';", 'report takes only events from run'],
  ['report/plain.ts', "const x = await import('../cli/main.ts');", 'report stands below cli'],
  ['cli/run.ts', "import {\n  a,\n  b,\n} from '../transports/_frame.ts';", 'is internal to its folder'],
  ['cli/run.ts', "import { x } from '../helpers/x.ts';", 'has no place in the order'],
  ['cli/run.ts', "import { x } from '../../test/x.ts';", 'leaves engine/'],
])('a planted import is found: %s with %s', (file, text, wanted) => {
  expect(importsOf(text).map((specifier) => complaint(file, specifier))).toEqual([
    expect.stringContaining(wanted),
  ]);
});

test.each([
  ['cli/run.ts', "import { x } from '../core/error.ts';"],
  ['modules/mysql/query.ts', "import { x } from './_connect.ts';"],
  ['modules/mysql/query.ts', "import { x } from '../_sh.ts';"],
  ['report/plain.ts', "import type { X } from '../core/event.ts';"],
  ['cli/run.ts', "import { z } from 'zod';"],
])('a right import is let through: %s with %s', (file, text) => {
  expect(importsOf(text).map((specifier) => complaint(file, specifier))).toEqual([undefined]);
});

test('modules, plans and parsers read the operator’s files through the run, which may have its own copy of them', () => {
  // What packages are there, and of which version: their content is too large to be kept.
  const free = ['modules/registry.ts', 'modules/_package-file.ts'];
  const straight = FILES.filter(
    ({ file, imports }) =>
      ['modules', 'plan', 'parse'].includes(folderOf(file)) &&
      imports.some((specifier) => /^node:fs(\/promises)?$/.test(specifier)) &&
      !free.includes(file),
  );
  expect(straight.map(({ file }) => file)).toEqual([]);
});

test('every test that has a part for `npm run matrix` is run by it', () => {
  const top = resolve(ENGINE, '..');
  const { scripts } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as {
    scripts: { matrix: string };
  };
  const full = [...filesUnder(join(top, 'test'))].filter(
    (file) =>
      file.endsWith('.test.ts') &&
      importsOf(readFileSync(file, 'utf8')).some((one) => /\/_full\.ts$/.test(one)),
  );
  expect(full.length).toBeGreaterThan(10);
  const run = scripts.matrix.split(' ');
  expect(full.map((file) => relative(top, file)).filter((file) => !run.includes(file))).toEqual([]);
});
