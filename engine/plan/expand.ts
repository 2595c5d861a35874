import { createHash } from 'node:crypto';
import { DrillbookError, Problems } from '../core/error.ts';
import type { Module } from '../core/module.ts';
import { compileCondition } from '../parse/condition.ts';
import type { Inventory } from '../parse/inventory.ts';
import { BUILT_IN } from '../parse/playbook.ts';
import type { BecomeKeyword, Block, Item, Play, Playbook, Task } from '../parse/playbook.ts';
import { renderText } from '../parse/template.ts';
import type { Path } from '../parse/yaml.ts';
import { needsRoles, selectHosts } from './hosts.ts';
import type { Inputs } from './inputs.ts';
import { isSecretInput } from './inputs.ts';
import { conditionProblems, templateProblems } from './names.ts';
import type { KnownNames } from './names.ts';
import { paramProblems } from './params.ts';
import { stepsOf } from './plan.ts';
import type { Plan, PlanNode, PlannedPlay, Step, Vars } from './plan.ts';

/** What the command line asks of the plan. */
export interface Selection {
  readonly limit?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly skipTags?: readonly string[] | undefined;
  /** Step id, or name, from which to begin. */
  readonly startAt?: string | undefined;
}

/** What blocks hand down to the tasks in them. */
interface Inherited {
  readonly when: readonly string[];
  readonly vars: readonly Vars[];
  readonly environment: readonly Vars[];
  readonly become: BecomeKeyword | undefined;
  readonly tags: readonly string[];
  readonly delegateTo: string | undefined;
  readonly isRunOnce: boolean;
  readonly isIgnored: boolean;
  readonly isSecret: boolean;
  readonly checkMode: boolean | undefined;
}

interface Expanding {
  readonly modules: ReadonlyMap<string, Module>;
  readonly problems: DrillbookError[];
  readonly ids: Map<string, number>;
  readonly selection: Selection;
  readonly inputs: ReadonlySet<string>;
  /** Grows as tasks register results. */
  readonly variables: Set<string>;
  readonly handlers: ReadonlySet<string>;
}

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\{\{.*?\}\}/g, '')
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60) || 'step';

function uniqueId(wanted: string, ids: Map<string, number>): string {
  const seen = (ids.get(wanted) ?? 0) + 1;
  ids.set(wanted, seen);
  return seen === 1 ? wanted : `${wanted}~${seen}`;
}

function isTagged(tags: readonly string[], { tags: wanted, skipTags }: Selection): boolean {
  if (skipTags?.some((tag) => tags.includes(tag))) return false;
  if (!wanted || wanted.length === 0) return !tags.includes('never');
  return tags.includes('always') || wanted.some((tag) => tag === 'all' || tags.includes(tag));
}

function inherit(from: Inherited, { keywords }: Block | Task): Inherited {
  return {
    when: [...from.when, ...(keywords.when ?? [])],
    vars: keywords.vars ? [...from.vars, keywords.vars] : from.vars,
    environment: keywords.environment ? [...from.environment, keywords.environment] : from.environment,
    become: keywords.become ?? from.become,
    tags: [...from.tags, ...(keywords.tags ?? [])],
    delegateTo: keywords.delegate_to ?? from.delegateTo,
    isRunOnce: keywords.run_once ?? from.isRunOnce,
    isIgnored: keywords.ignore_errors ?? from.isIgnored,
    isSecret: keywords.no_log ?? from.isSecret,
    checkMode: keywords.check_mode ?? from.checkMode,
  };
}

function describe(task: Task): string {
  const { params, module } = task;
  return typeof params === 'string' ? `${module}: ${params.split('\n')[0]?.slice(0, 70)}` : module;
}

/** Checks every name a block's or task's own keywords use, in the file and place where they stand. */
function checkKeywords(item: Block | Task, known: KnownNames, e: Expanding, extra: readonly string[]): void {
  const { source, path, keywords } = item;
  const {
    when,
    until,
    changed_when: changedWhen,
    failed_when: failedWhen,
    ...rest
  } = keywords as Task['keywords'];
  const own = new Set([...known.variables, ...extra]);
  const names = { ...known, variables: own };
  for (const [key, list] of Object.entries({
    when,
    until,
    changed_when: changedWhen,
    failed_when: failedWhen,
  })) {
    for (const text of list ?? []) {
      const results = key === 'when' ? [] : RESULT_NAMES;
      e.problems.push(...conditionProblems(text, source, [...path, key], names, results));
    }
  }
  e.problems.push(...templateProblems(rest, source, path, names));
}

/** In `until`, `changed_when` and `failed_when` the task's own result is there by these names too. */
const RESULT_NAMES = ['result'];

function stepOf(task: Task, from: Inherited, prefix: string, e: Expanding): Step {
  const { source, path, keywords, module: moduleName } = task;
  const module = e.modules.get(moduleName);
  const merged = inherit(from, task);
  const name = keywords.name ?? describe(task);
  const loopNames = keywords.loop === undefined ? [] : ['item', 'index'];
  const own = [...Object.keys(keywords.vars ?? {}), ...loopNames];
  const known: KnownNames = { variables: e.variables, inputs: e.inputs };
  // A registered name is known to its own `until` already.
  const registered = keywords.register === undefined ? [] : [keywords.register];
  checkKeywords(task, known, e, [...own, ...registered]);
  if (module) {
    const names = { ...known, variables: new Set([...e.variables, ...own]) };
    e.problems.push(...paramProblems(module, moduleName, task.params, source, [...path, moduleName], names));
  }
  for (const [i, handler] of (keywords.notify ?? []).entries()) {
    if (e.handlers.has(handler) || handler.includes('{{')) continue;
    e.problems.push(
      source.error('plan.notify', [...path, 'notify', i], `no handler of this play is named \`${handler}\``),
    );
  }
  if (keywords.register !== undefined) e.variables.add(keywords.register);
  if (moduleName === 'set' && task.params !== null && typeof task.params === 'object') {
    for (const key of Object.keys(task.params)) e.variables.add(key);
  }
  const compile = (texts: readonly string[] | undefined) =>
    (texts ?? []).flatMap((text) => {
      try {
        return [compileCondition(text)];
      } catch {
        return []; // reported by checkKeywords, with its place
      }
    });
  return {
    kind: 'step',
    id: uniqueId(keywords.id ?? `${prefix}/${slug(name)}`, e.ids),
    name,
    at: task.at,
    source,
    path,
    moduleName,
    module,
    params: task.params,
    keywords,
    when: compile(merged.when),
    until: compile(keywords.until),
    changedWhen: keywords.changed_when && compile(keywords.changed_when),
    failedWhen: keywords.failed_when && compile(keywords.failed_when),
    vars: merged.vars,
    environment: merged.environment,
    become: merged.become,
    delegateTo: merged.delegateTo,
    isRunOnce: merged.isRunOnce,
    isIgnored: merged.isIgnored,
    isSecret: merged.isSecret,
    checkMode: merged.checkMode,
    tags: merged.tags,
    isSelected: isTagged(merged.tags, e.selection),
  };
}

function expandItems(items: readonly Item[], from: Inherited, prefix: string, e: Expanding): PlanNode[] {
  return items.map((item): PlanNode => {
    if (item.kind === 'task') return stepOf(item, from, prefix, e);
    const merged = inherit(from, item);
    const known: KnownNames = { variables: e.variables, inputs: e.inputs };
    const own = Object.keys(item.keywords.vars ?? {});
    checkKeywords(item, known, e, own);
    // A block's variables are known inside it only.
    const added = own.filter((name) => !e.variables.has(name));
    for (const name of added) e.variables.add(name);
    const part = (list: readonly Item[]) => expandItems(list, merged, prefix, e);
    const node: PlanNode = {
      kind: 'block',
      id: uniqueId(item.keywords.id ?? `${prefix}/${slug(item.keywords.name ?? 'block')}`, e.ids),
      block: part(item.block),
      rescue: part(item.rescue),
      always: part(item.always),
    };
    for (const name of added) e.variables.delete(name);
    return node;
  });
}

function inventoryNames(inventory: Inventory, hosts: readonly string[]): Set<string> {
  return new Set(hosts.flatMap((host) => Object.keys(inventory.hosts.get(host)?.vars ?? {})));
}

function expandPlay(
  play: Play,
  playbook: Playbook,
  inventory: Inventory,
  facts: Module | undefined,
  e: Expanding,
): PlannedPlay {
  const { keywords, source, path } = play;
  let hosts: readonly string[] = [];
  try {
    hosts = selectHosts(keywords.hosts, inventory);
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    const isTemplate = keywords.hosts.includes('{{');
    if (!isTemplate) e.problems.push(source.error(error.code, [...path, 'hosts'], error.message, error.hint));
    else hosts = [...inventory.hosts.keys()];
  }
  const name = keywords.name ?? keywords.hosts;
  const prefix = uniqueId(slug(name), e.ids);
  const names = new Set([
    ...inventoryNames(inventory, hosts),
    ...Object.keys(playbook.vars),
    ...Object.keys(keywords.vars ?? {}),
    ...e.variables,
  ]);
  const inner: Expanding = {
    ...e,
    variables: names,
    handlers: new Set(play.handlers.map((handler) => handler.keywords.name ?? '')),
  };
  const base: Inherited = {
    when: [],
    vars: [playbook.vars, keywords.vars ?? {}],
    environment: keywords.environment ? [keywords.environment] : [],
    become: keywords.become,
    tags: keywords.tags ?? [],
    delegateTo: undefined,
    isRunOnce: false,
    isIgnored: false,
    isSecret: false,
    checkMode: undefined,
  };
  e.problems.push(
    ...templateProblems({ vars: keywords.vars, environment: keywords.environment }, source, path, {
      variables: names,
      inputs: e.inputs,
    }),
  );
  const gather =
    keywords.gather === undefined || keywords.gather === false || !facts
      ? []
      : [gatherStep(play, facts, base, prefix, inner)];
  const nodes = [...gather, ...expandItems(play.tasks, base, prefix, inner)];
  const handlers = expandItems(play.handlers, base, `${prefix}/handlers`, inner) as Step[];
  for (const variable of names) e.variables.add(variable);
  return { id: prefix, name, play, hosts: keywords.hosts, nodes, handlers };
}

function gatherStep(play: Play, facts: Module, base: Inherited, prefix: string, e: Expanding): Step {
  const { gather } = play.keywords;
  const params = Array.isArray(gather) ? { subset: gather } : {};
  const path: Path = [...play.path, 'gather'];
  const task: Task = {
    kind: 'task',
    at: play.at,
    source: play.source,
    path,
    module: 'facts',
    params,
    keywords: { name: 'Gather facts' },
  };
  return { ...stepOf(task, base, prefix, e), module: facts, isSelected: true, isGathering: true };
}

/** Leaves out every step before the one named; an unknown name is an error with the nearest right one. */
function startAt(plays: readonly PlannedPlay[], wanted: string): PlannedPlay[] {
  const all = plays.flatMap((play) => [...stepsOf(play.nodes)]);
  const index = all.findIndex((step) => step.id === wanted || step.name === wanted);
  if (index < 0)
    throw new DrillbookError('usage.start-at', `--start-at: no step \`${wanted}\` in this playbook`, {
      hint: 'see `drillbook plan` for the steps',
    });
  const before = new Set(all.slice(0, index).filter((step) => step.moduleName !== 'facts'));
  const map = (nodes: readonly PlanNode[]): PlanNode[] =>
    nodes.map((node) =>
      node.kind === 'step'
        ? { ...node, isSelected: node.isSelected && !before.has(node) }
        : { ...node, block: map(node.block), rescue: map(node.rescue), always: map(node.always) },
    );
  return plays.map((play) => ({ ...play, nodes: map(play.nodes) }));
}

/** Modules a playbook uses, handlers and gathering included. */
export function modulesUsed(playbook: Playbook): Set<string> {
  const used = new Set<string>();
  const visit = (items: readonly Item[]): void => {
    for (const item of items) {
      if (item.kind === 'task') used.add(item.module);
      else for (const part of [item.block, item.rescue, item.always]) visit(part);
    }
  };
  for (const play of playbook.plays) {
    visit(play.tasks);
    visit(play.handlers);
    if (play.keywords.gather) used.add('facts');
  }
  for (const name of BUILT_IN) used.delete(name);
  return used;
}

function confirmationsOf(
  playbook: Playbook,
  plays: readonly PlannedPlay[],
  inventory: Inventory,
  inputs: Inputs,
): string[] {
  const clusters = [...inventory.clusters.values()];
  const first = clusters[0];
  const scope = {
    inputs: { ...inputs.defaults, ...inputs.given },
    cluster: first
      ? { name: clusters.map((cluster) => cluster.name).join(', '), stack: first.stack, nodes: first.nodes }
      : { name: 'these hosts' },
  };
  const own = playbook.confirm === undefined ? [] : [renderText(playbook.confirm, scope, 'confirm')];
  const steps = plays.flatMap((play) => [...stepsOf(play.nodes), ...play.handlers]);
  const destroying = steps.filter((step) => step.module?.destroys && step.isSelected);
  return [...own, ...destroying.map((step) => `${step.name} (${step.moduleName})`)];
}

function codeOf(playbook: Playbook, inventory: Inventory, inputs: Inputs, limit: string | undefined): string {
  const open = Object.entries(inputs.given).filter(([name]) => {
    const input = playbook.inputs[name];
    return input && !isSecretInput(input);
  });
  const text = JSON.stringify([
    playbook.name,
    [...inventory.hosts.keys()],
    [...inventory.clusters.keys()],
    open,
    limit ?? '',
  ]);
  return createHash('sha256').update(text).digest('hex').slice(0, 6);
}

const usesRoles = (value: unknown): boolean =>
  /cluster\.(primary|standby)\b/.test(JSON.stringify(value) ?? '');

function invariantsOf(playbook: Playbook, problems: DrillbookError[]) {
  return playbook.invariants.flatMap((invariant, i) => {
    try {
      return [{ ...invariant, condition: compileCondition(invariant.that) }];
    } catch (error) {
      if (!(error instanceof DrillbookError)) throw error;
      problems.push(playbook.source.error(error.code, ['invariants', i, 'that'], error.message, error.hint));
      return [];
    }
  });
}

/**
 * The whole plan of a run: pure, nothing is touched. Throws `Problems` with every error that can be known now.
 * Variables of the inventory are checked here too, in the inventory's own file.
 */
export function makePlan(
  playbook: Playbook,
  inventory: Inventory,
  inputs: Inputs,
  modules: ReadonlyMap<string, Module>,
  selection: Selection = {},
): Plan {
  const problems: DrillbookError[] = [];
  const declared = new Set(Object.keys(playbook.inputs));
  const e: Expanding = {
    modules,
    problems,
    ids: new Map(),
    selection,
    inputs: declared,
    variables: new Set(Object.keys(inputs.overrides)),
    handlers: new Set(),
  };
  if (selection.limit !== undefined) selectHosts(selection.limit, inventory);
  let plays = playbook.plays.map((play) => expandPlay(play, playbook, inventory, modules.get('facts'), e));
  const known: KnownNames = { variables: e.variables, inputs: declared };
  problems.push(...templateProblems(playbook.vars, playbook.source, ['vars'], known));
  const names: KnownNames = {
    variables: inventoryNames(inventory, [...inventory.hosts.keys()]),
    inputs: declared,
  };
  problems.push(...templateProblems(inventory.source.value, inventory.source, [], names));
  const invariants = invariantsOf(playbook, problems);
  if (problems.length > 0) throw new Problems(dedupe(problems));
  if (selection.startAt !== undefined) plays = startAt(plays, selection.startAt);
  const raw = playbook.plays.map((play) => [play.keywords, play.tasks.map(rawOf), play.handlers.map(rawOf)]);
  return {
    playbook,
    inventory,
    inputs,
    limit: selection.limit,
    invariants,
    plays,
    files: [...playbook.files, inventory.file],
    code: codeOf(playbook, inventory, inputs, selection.limit),
    confirmations: confirmationsOf(playbook, plays, inventory, inputs),
    needsStatus:
      invariants.length > 0 ||
      plays.some(
        ({ play }) => needsRoles(play.keywords.hosts) || play.keywords.order?.includes('_first') === true,
      ) ||
      usesRoles(raw),
  };
}

/** A task without its source, so that it can be searched as text. */
function rawOf(item: Item): unknown {
  if (item.kind === 'task') return [item.keywords, item.params];
  return [item.keywords, ...[item.block, item.rescue, item.always].map((part) => part.map(rawOf))];
}

/** The same mistake reached by two ways is one mistake. */
function dedupe(problems: readonly DrillbookError[]): DrillbookError[] {
  const seen = new Map(
    problems.map((problem) => [
      `${problem.at?.file}:${problem.at?.line}:${problem.at?.column}:${problem.message}`,
      problem,
    ]),
  );
  return [...seen.values()];
}
