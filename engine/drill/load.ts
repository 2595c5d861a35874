import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import type { DrillbookError } from '../core/error.ts';
import { Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Cluster } from '../core/host.ts';
import { suggest } from '../core/nearest.ts';
import { fieldsOf } from '../parse/known.ts';
import type { Known } from '../parse/known.ts';
import { schemaProblems } from '../parse/schema.ts';
import { loadYaml } from '../parse/yaml.ts';
import type { Loading, Path, Source } from '../parse/yaml.ts';
import { clusterOfInvariants } from '../plan/engine-names.ts';
import { conditionProblems } from '../plan/names.ts';
import type { KnownNames } from '../plan/names.ts';
import { drillSchema, kindOf } from './schema.ts';
import type { DrillWords } from './schema.ts';

/** A drill file, read and checked. */
export interface Drill extends DrillWords {
  readonly file: string;
  readonly source: Source;
}

/** What conditions of a drill may use. */
const NAMES: ReadonlyMap<string, Known> = new Map<string, Known>([
  ['cluster', clusterOfInvariants(new Map())],
  ['before', fieldsOf({ primary: 'text', standby: 'text' })],
]);
const KNOWN: KnownNames = { variables: new Map(), engine: NAMES };
const STEADY: KnownNames = {
  variables: new Map(),
  engine: new Map([...NAMES].filter(([name]) => name === 'cluster')),
};

/** Playbooks are named from the folder of the drill. */
export const playbookOf = ({ file }: Pick<Drill, 'file'>, run: string): string => resolve(dirname(file), run);

/** A drill as far as its shape is right: parts that are not are left out. */
type Rough = Partial<DrillWords>;

/** Every condition with where it stands. */
function* conditionsOf(drill: Rough): Generator<readonly [readonly string[], Path, KnownNames]> {
  yield [drill.steady?.that ?? [], ['steady', 'that'], STEADY];
  for (const [i, one] of drill.expect?.entries() ?? []) yield [one.that, ['expect', i, 'that'], KNOWN];
  for (const [i, one] of drill.then?.entries() ?? [])
    if (one.when !== undefined) yield [one.when, ['then', i, 'when'], KNOWN];
}

/** Without a fault it is a playbook that is measured: what is wrong with such a drill. */
function* unplanned({ then = [], expect = [] }: Rough, source: Source): Generator<DrillbookError> {
  if (then[0] === undefined || then[0].when !== undefined)
    yield source.error(
      'parse.drill',
      ['faults'],
      'nothing goes wrong, and no playbook is run in any case',
      'give a fault, or a playbook of `then` without `when`',
    );
  if (expect.length > 0)
    yield source.error(
      'parse.drill',
      ['expect', 0],
      'nothing is expected by itself of a drill without a fault',
    );
}

/** What is wrong with a drill beyond its shape. */
function* problemsOf(drill: Rough, source: Source, loading: Loading): Generator<DrillbookError> {
  const { faults = [], expect = [], then = [] } = drill;
  for (const [texts, path, known] of conditionsOf(drill))
    for (const text of texts) yield* conditionProblems(text, source, path, known);
  for (const [i, { run }] of then.entries()) {
    const path = playbookOf(source, run);
    const files = loading.files ?? disk;
    if (files.find([path]) !== undefined) continue;
    const there = (files.list(dirname(path)) ?? []).map((entry) =>
      entry.path.slice(dirname(path).length + 1),
    );
    const hint = suggest(run.split('/').at(-1) ?? run, there);
    yield source.error('parse.drill', ['then', i, 'run'], `there is no playbook ${run}`, hint);
  }
  if (drill.faults?.length === 0) yield* unplanned(drill, source);
  const last =
    Math.max(...faults.map((fault) => fault.after + fault.for)) -
    Math.min(...faults.map(({ after }) => after));
  for (const [i, { name, within }] of expect.entries())
    if (faults.length > 0 && within > last)
      yield source.error(
        'parse.drill',
        ['expect', i, 'within'],
        `\`${name}\` may come when the faults are over already (after ${last / 1000} s)`,
        'let the fault last longer with `for`, or expect it sooner',
      );
  for (const [i, fault] of faults.entries())
    if (kindOf(fault).kind === 'conflicting_row' && kindOf(fault).on === 'primary')
      yield source.error(
        'parse.drill',
        ['faults', i, 'conflicting_row'],
        'a conflicting row breaks the replication into a standby, not the primary',
      );
}

/** Throws `Problems` where a fault would strike what is none of the pair: no lock and no question covers it. */
export function checkNodes({ faults, source }: Drill, { name, nodes }: Cluster): void {
  const words = ['primary', 'standby', ...nodes];
  const problems = faults.flatMap((fault, i) => {
    const { kind, on } = kindOf(fault);
    if (words.includes(on)) return [];
    const why = `\`${on}\` is no node of cluster ${name}, nor primary or standby`;
    return [source.error('parse.drill', ['faults', i, kind, 'on'], why, suggest(on, words))];
  });
  if (problems.length > 0) throw new Problems(problems);
}

/** The parts of a drill whose shape is right, though that of others is not. */
function roughly(value: unknown): Rough {
  const { shape } = drillSchema;
  const whole = value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
  const parts = (Object.keys(shape) as (keyof typeof shape)[]).flatMap((key) => {
    const part = shape[key].safeParse(whole[key]);
    return part.success ? [[key, part.data]] : [];
  });
  return Object.fromEntries(parts) as Rough;
}

/** A fault whose kind is misspelt lacks one too; once is enough. */
function withoutEchoes(error: z.ZodError): z.ZodError {
  const { issues } = error;
  const at = (path: readonly PropertyKey[]): string => path.join('/');
  const misspelt = new Set(
    issues.flatMap(({ code, path }) => (code === 'unrecognized_keys' ? [at(path)] : [])),
  );
  return new z.ZodError(issues.filter(({ code, path }) => code !== 'custom' || !misspelt.has(at(path))));
}

/** Reads a drill file; throws `Problems` with everything that is wrong in it. */
export function loadDrill(file: string, loading: Loading = {}): Drill {
  const source = loadYaml(resolve(file), 'drill', undefined, loading);
  const parsed = drillSchema.safeParse(source.value);
  const misshapen = parsed.success
    ? []
    : schemaProblems(withoutEchoes(parsed.error), source, [], drillSchema);
  const problems = [...misshapen, ...problemsOf(parsed.data ?? roughly(source.value), source, loading)];
  if (!parsed.success || problems.length > 0) throw new Problems(problems);
  return { ...parsed.data, file: source.file, source };
}
