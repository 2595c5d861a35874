import { dirname, resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
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

/** Every condition with where it stands. */
function* conditionsOf(drill: DrillWords): Generator<readonly [readonly string[], Path, KnownNames]> {
  yield [drill.steady.that, ['steady', 'that'], STEADY];
  for (const [i, one] of drill.expect.entries()) yield [one.that, ['expect', i, 'that'], KNOWN];
  for (const [i, one] of drill.then.entries())
    if (one.when !== undefined) yield [one.when, ['then', i, 'when'], KNOWN];
}

/** What is wrong with a drill beyond its shape. */
function* problemsOf(drill: DrillWords, source: Source, loading: Loading): Generator<DrillbookError> {
  for (const [texts, path, known] of conditionsOf(drill))
    for (const text of texts) yield* conditionProblems(text, source, path, known);
  for (const [i, { run }] of drill.then.entries()) {
    const path = playbookOf(source, run);
    const files = loading.files ?? disk;
    if (files.find([path]) !== undefined) continue;
    const there = (files.list(dirname(path)) ?? []).map((entry) => entry.path.slice(dirname(path).length + 1));
    const hint = suggest(run.split('/').at(-1) ?? run, there);
    yield source.error('parse.drill', ['then', i, 'run'], `there is no playbook ${run}`, hint);
  }
  const last = Math.max(...drill.faults.map((fault) => fault.after + fault.for));
  for (const [i, { name, within }] of drill.expect.entries())
    if (within > last)
      yield source.error(
        'parse.drill',
        ['expect', i, 'within'],
        `\`${name}\` may come when the faults are over already (after ${last / 1000} s)`,
        'let the fault last longer with `for`, or expect it sooner',
      );
  for (const [i, fault] of drill.faults.entries())
    if (kindOf(fault).kind === 'conflicting_row' && kindOf(fault).on === 'primary')
      yield source.error(
        'parse.drill',
        ['faults', i, 'conflicting_row'],
        'a conflicting row breaks the replication into a standby, not the primary',
      );
}

/** Reads a drill file; throws `Problems` with everything that is wrong in it. */
export function loadDrill(file: string, loading: Loading = {}): Drill {
  const source = loadYaml(resolve(file), 'drill', undefined, loading);
  const parsed = drillSchema.safeParse(source.value);
  if (!parsed.success) throw new Problems(schemaProblems(parsed.error, source, [], drillSchema));
  const problems = [...problemsOf(parsed.data, source, loading)];
  if (problems.length > 0) throw new Problems(problems);
  return { ...parsed.data, file: source.file, source };
}
