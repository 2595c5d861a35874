import type { Plan, PlannedPlay, Vars } from '../../plan/plan.ts';
import type { Edit } from './differences.ts';
import { usesOfInvariants } from './uses.ts';

/** Label → value of all that a plan is made of beside its steps. */
type Surroundings = ReadonlyMap<string, unknown>;

function playsOf({ plays }: Plan): [string, unknown][] {
  const headers = ({ play, hosts }: PlannedPlay): [string, unknown][] => {
    const { serial, order, max_failures } = play.keywords;
    return Object.entries({ hosts, serial, order, max_failures });
  };
  return plays.flatMap((play, i) =>
    headers(play).map(([name, value]): [string, unknown] => [`${name} of play ${i + 1}`, value]),
  );
}

function inventoryOf({ inventory: { hosts, groups, clusters } }: Plan): [string, unknown][] {
  const ofHosts = [...hosts].flatMap(([name, { connection, become }]): [string, unknown][] => [
    [`connection of ${name}`, connection],
    [`become of ${name}`, become],
  ]);
  return [
    ['hosts', [...hosts.keys()]],
    ...[...groups].map(([name, members]): [string, unknown] => [`group ${name}`, members]),
    ...ofHosts,
    ...[...clusters].flatMap(([name, { stack, nodes, settings }]): [string, unknown][] => [
      [`cluster ${name}`, { stack, nodes }],
      ...Object.entries(settings).map(([key, value]): [string, unknown] => [
        `${key} of cluster ${name}`,
        value,
      ]),
    ]),
  ];
}

function surroundings(plan: Plan): Surroundings {
  const { invariants, playbook } = plan;
  return new Map([
    ...playsOf(plan),
    ...invariants.map(({ name, condition }): [string, unknown] => [`invariant ${name}`, condition.text]),
    ...[...usesOfInvariants(plan)].map(([what, value]): [string, unknown] => [`invariants: ${what}`, value]),
    ['confirm', playbook.confirm] as const,
    ...inventoryOf(plan),
  ]);
}

/** What was edited that belongs to no step; `given` are the values of -e. */
export function editsAround(
  before: { readonly plan: Plan; readonly given: Vars },
  after: { readonly plan: Plan; readonly given: Vars },
): readonly Edit[] {
  const [was, now] = [surroundings(before.plan), surroundings(after.plan)];
  const labels = [...new Set([...was.keys(), ...now.keys()])];
  const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  return [
    ...labels
      .filter((what) => !isSame(was.get(what), now.get(what)))
      .map((what) => ({ what, before: was.get(what), after: now.get(what) })),
    ...Object.entries(after.given)
      .filter(([name, value]) => !isSame(before.given[name], value))
      .map(([name, value]) => ({ what: `-e ${name}`, before: before.given[name], after: value })),
  ];
}
