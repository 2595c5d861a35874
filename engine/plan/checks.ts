import type { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { placeText } from '../core/place.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Known } from '../parse/known.ts';
import type { Block, Play, Playbook, Task } from '../parse/playbook.ts';
import type { Path, Source } from '../parse/yaml.ts';
import { cycleOf } from './cycles.ts';
import type { Expanding } from './expanding.ts';
import { resultOf } from './engine-names.ts';
import { conditionProblems, reservedProblems, templateProblems, withNames } from './names.ts';
import type { KnownNames } from './names.ts';
import { stepsOf } from './plan.ts';
import type { PlannedPlay } from './plan.ts';

/** Checks every name a block's or task's own keywords use, in the file and place where they stand. */
export function checkKeywords(
  item: Block | Task,
  known: KnownNames,
  e: Expanding,
  own: readonly (readonly [string, Known])[],
): void {
  const { source, path, keywords } = item;
  checkId(item, e);
  const { vars = {} } = keywords;
  e.problems.push(...reservedProblems(Object.keys(vars), source, (name) => [...path, 'vars', name]));
  const circle = cycleOf(vars);
  if (circle) e.problems.push(circleProblem(circle, source, [...path, 'vars', circle[0] ?? '']));
  const {
    when,
    until,
    changed_when: changedWhen,
    failed_when: failedWhen,
    ...rest
  } = keywords as Task['keywords'];
  const names = withNames(known, own);
  // Before a step ends its own result is there by these names.
  const ended = item.kind === 'task' ? withNames(names, resultNames(item, e)) : names;
  for (const [key, list] of Object.entries({
    when,
    until,
    changed_when: changedWhen,
    failed_when: failedWhen,
  })) {
    for (const text of list ?? []) {
      const inForce = key === 'when' ? names : ended;
      e.problems.push(...conditionProblems(text, source, [...path, key], inForce));
    }
  }
  e.problems.push(...templateProblems(rest, source, path, names));
}

/** What a task bends, and how that ends. */
function checkBending({ source, path, keywords, module, undo }: Task, e: Expanding): void {
  const refuse = (key: string, message: string, hint?: string): void =>
    void e.problems.push(source.error('plan.undo', [...path, key], message, hint));
  const isLook = (name: string): boolean => e.modules.get(name)?.kind === 'query' || !e.modules.has(name);
  if (undo) {
    if (isLook(module)) refuse('undo', `\`${module}\` changes nothing, so there is nothing to undo`);
    if (isLook(undo.module)) refuse('undo', `\`${undo.module}\` changes nothing, so it undoes nothing`);
    if (keywords.loop !== undefined)
      refuse(
        'undo',
        'a loop has no undo',
        'put the tasks into a block, and what puts them right under `always`',
      );
    if (keywords.stays === true) refuse('stays', 'what stays is not undone: `stays` or `undo`');
  }
  if (keywords.stays === true && !e.modules.get(module)?.obligation)
    refuse('stays', `\`${module}\` bends nothing that would have to be put right`);
}

/** What can be wrong with a task beside its names and parameters. */
export function checkTask(task: Task, e: Expanding): void {
  const { source, path, keywords, module, params } = task;
  checkBending(task, e);
  const hasTemplates = [...e.handlers].some((name) => name.includes('{{'));
  for (const [i, handler] of (keywords.notify ?? []).entries()) {
    if (e.handlers.has(handler) || handler.includes('{{') || hasTemplates) continue;
    const message = `no handler of this play is named \`${handler}\``;
    e.problems.push(
      source.error('plan.notify', [...path, 'notify', i], message, suggest(handler, e.handlers)),
    );
  }
  if (keywords.listen && e.isHandlers !== true) {
    const message = 'only a handler listens';
    e.problems.push(source.error('plan.notify', [...path, 'listen'], message, 'it stands under `handlers`'));
  }
  if (typeof keywords.loop === 'string' && !keywords.loop.includes('{{')) {
    const message = 'loop: a list or a mapping is wanted, or a template that gives one';
    e.problems.push(source.error('plan.loop', [...path, 'loop'], message));
  }
  const { register } = keywords;
  if (register !== undefined)
    e.problems.push(...reservedProblems([register], source, () => [...path, 'register']));
  if (module === 'set' && params !== null && typeof params === 'object') {
    e.problems.push(...reservedProblems(Object.keys(params), source, (name) => [...path, 'set', name]));
  }
}

/** An `id` stands for one step: a second place with the same one would make resume mistake the two. */
function checkId({ source, path, at, keywords }: Block | Task, e: Expanding): void {
  if (keywords.id === undefined) return;
  const place = placeText(at);
  const first = e.explicit.get(keywords.id);
  if (first === undefined) e.explicit.set(keywords.id, place);
  else if (first !== place)
    e.problems.push(
      source.error('plan.id', [...path, 'id'], `the id \`${keywords.id}\` is taken already, at ${first}`),
    );
}

/** In `until`, `changed_when` and `failed_when`. */
function resultNames({ module, keywords }: Task, e: Expanding): [string, Known][] {
  const result = resultOf(e.modules.get(module), false);
  return [
    ['result', result],
    ...(keywords.register === undefined ? [] : [[keywords.register, result] as [string, Known]]),
  ];
}

const circleProblem = (circle: readonly string[], source: Source, path: Path): DrillbookError =>
  source.error('plan.cycle', path, `variables that need one another: ${circle.join(' → ')}`);

/** Variables that can never have a value, in the file and place where the first of them stands. */
export function checkCycles(
  play: Play,
  playbook: Playbook,
  inventory: Inventory,
  hosts: readonly string[],
  e: Expanding,
): void {
  for (const host of hosts.length > 0 ? hosts : [undefined]) {
    const own = host === undefined ? {} : inventory.hosts.get(host)?.vars;
    const vars = Object.entries({ ...own, ...playbook.vars, ...play.keywords.vars });
    const circle = cycleOf(Object.fromEntries(vars.filter(([key]) => !e.overrides.has(key))));
    const [name = ''] = circle ?? [];
    if (!circle) continue;
    const placed = inventory.settings
      .get(host ?? '')
      ?.get(name)
      ?.at(-1)?.placed;
    if (Object.hasOwn(play.keywords.vars ?? {}, name))
      e.problems.push(circleProblem(circle, play.source, [...play.path, 'vars', name]));
    else if (Object.hasOwn(playbook.vars, name))
      e.problems.push(circleProblem(circle, playbook.source, ['vars', name]));
    else if (placed) e.problems.push(circleProblem(circle, placed.source, [...placed.path, name]));
  }
}

/** Handlers that notify one another in a circle would never come to an end; a second one of a name would never run. */
export function checkHandlers(play: Play, e: Expanding): void {
  const places = new Map<string, string>();
  for (const { keywords, source, path, at } of play.handlers) {
    const { name = '' } = keywords;
    const first = places.get(name);
    places.set(name, first ?? placeText(at));
    if (first === undefined) continue;
    const message = `there is a handler \`${name}\` in this play already, at ${first}`;
    const hint = 'several handlers may `listen` to one word';
    e.problems.push(source.error('plan.handler', [...path, 'name'], message, hint));
  }
  const notifies = Object.fromEntries(
    play.handlers.map(({ keywords }) => [
      keywords.name ?? '',
      (keywords.notify ?? []).map((name) => `{{[${name}]}}`),
    ]),
  );
  const circle = cycleOf(notifies);
  if (!circle) return;
  const first = play.handlers.find(({ keywords }) => keywords.name === circle[0]) ?? play;
  const message = `handlers notify one another in a circle: ${circle.join(' → ')}`;
  e.problems.push(first.source.error('plan.notify', [...first.path, 'notify'], message));
}

/** Hosts of `delegate_to` that are in no inventory; `localhost` is the jump host. */
export function delegateProblems(plays: readonly PlannedPlay[], { hosts }: Inventory): DrillbookError[] {
  if (hosts.size === 0) return [];
  const steps = plays.flatMap(({ nodes, handlers }) => [...stepsOf(nodes), ...handlers]);
  return steps.flatMap(({ delegateTo = 'localhost', source, path }) => {
    if (delegateTo === 'localhost' || delegateTo.includes('{{') || hosts.has(delegateTo)) return [];
    const message = `delegate_to: no host \`${delegateTo}\` in the inventory`;
    const hint = suggest(delegateTo, [...hosts.keys(), 'localhost']);
    return [source.error('plan.delegate', [...path, 'delegate_to'], message, hint)];
  });
}

/** Every text of an inventory's variables and settings. */
export const inventoryTexts = ({ vars, clusters }: Inventory): unknown => [
  vars.map(({ values }) => values),
  [...clusters.values()].map(({ settings }) => settings),
];

/** Names of variables that `texts` speak of, or that such a variable speaks of itself. */
function namesSpokenOf(texts: unknown, { vars }: Inventory): Set<string> {
  const values = new Map<string, unknown[]>();
  for (const placed of vars)
    for (const [name, value] of Object.entries(placed.values))
      values.set(name, [...(values.get(name) ?? []), value]);
  const spokenOf = new Set<string>();
  const hear = (text: string): void => {
    for (const [word] of text.matchAll(/[A-Za-z_]\w*/g)) {
      if (spokenOf.has(word) || !values.has(word)) continue;
      spokenOf.add(word);
      hear(JSON.stringify(values.get(word)));
    }
  };
  hear(JSON.stringify(texts));
  return spokenOf;
}

/**
 * Templates in variables and cluster settings; connections are taken as written. What was written for Ansible may be
 * Jinja, and may use names of Ansible's: it is held to the language where `texts` of the playbook speak of it.
 */
export function inventoryProblems(inventory: Inventory, names: KnownNames, texts: unknown): DrillbookError[] {
  const { hosts, vars, clusterPlaces } = inventory;
  if (hosts.size === 0) return [];
  const settings = [...clusterPlaces.values()].map(({ settings: own }) => own);
  const spokenOf = vars.some(({ isAnsible }) => isAnsible)
    ? namesSpokenOf([texts, settings], inventory)
    : new Set();
  return [
    ...vars.flatMap(({ source, path, values, isAnsible }) =>
      Object.entries(values).flatMap(([name, value]) =>
        isAnsible && !spokenOf.has(name) ? [] : templateProblems(value, source, [...path, name], names),
      ),
    ),
    ...vars.flatMap(({ source, path, values, isAnsible }) =>
      isAnsible ? [] : reservedProblems(Object.keys(values), source, (name) => [...path, name]),
    ),
    ...[...clusterPlaces.values()].flatMap(({ source, path, settings: own }) =>
      templateProblems(own, source, [...path, 'settings'], names),
    ),
  ];
}

/** The same mistake reached by two ways is one mistake. */
export function dedupe(problems: readonly DrillbookError[]): DrillbookError[] {
  const seen = new Map(
    problems.map((problem) => [
      `${problem.at?.file}:${problem.at?.line}:${problem.at?.column}:${problem.message}`,
      problem,
    ]),
  );
  return [...seen.values()];
}
