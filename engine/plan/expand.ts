import { DrillbookError, Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Files } from '../core/files.ts';
import type { Module } from '../core/module.ts';
import { compileCondition } from '../parse/condition.ts';
import type { BecomeKeyword } from '../parse/playbook-schema.ts';
import type { Inventory } from '../parse/inventory.ts';
import { either, fieldsOf, knownOf } from '../parse/known.ts';
import type { Known } from '../parse/known.ts';
import { BUILT_IN, NONE } from '../parse/playbook.ts';
import type { Block, Item, Play, Playbook, Task } from '../parse/playbook.ts';
import { render } from '../parse/template.ts';
import type { Path } from '../parse/yaml.ts';
import {
  checkCycles,
  checkHandlers,
  checkKeywords,
  checkTask,
  dedupe,
  delegateProblems,
  inventoryProblems,
  inventoryTexts,
} from './checks.ts';
import { codeOf, confirmationsOf } from './confirmations.ts';
import {
  clusterOfInvariants,
  engineNames,
  givenBy,
  givenLater,
  inventoryNames,
  partialNames,
} from './engine-names.ts';
import type { Expanding, Inherited } from './expanding.ts';
import { needsRoles, selectHosts } from './hosts.ts';
import type { Inputs } from './inputs.ts';
import { missingProblems } from './left-out.ts';
import { conditionProblems, reservedProblems, templateProblems, withNames } from './names.ts';
import type { KnownNames } from './names.ts';
import { destroysWhat, paramProblems } from './params.ts';
import type { Plan, PlanNode, PlannedPlay, Step } from './plan.ts';
import { roleOf, roleProblems } from './roles.ts';
import { checkTags, isTagged, startAt } from './selection.ts';
import type { Selection } from './selection.ts';

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

/** What an inner `become` leaves out comes from the one around it; `true` alone is the one around it. */
function becomeInside(outer: BecomeKeyword | undefined, inner: BecomeKeyword | undefined) {
  if (typeof outer !== 'object' || inner === false) return inner ?? outer;
  return typeof inner === 'object' ? { ...outer, ...inner } : outer;
}

function inherit(from: Inherited, { keywords }: Block | Task): Inherited {
  return {
    when: [...from.when, ...(keywords.when ?? [])],
    vars: keywords.vars ? [...from.vars, keywords.vars] : from.vars,
    environment: keywords.environment ? [...from.environment, keywords.environment] : from.environment,
    become: becomeInside(from.become, keywords.become),
    tags: [...from.tags, ...(keywords.tags ?? [])],
    delegateTo: keywords.delegate_to ?? from.delegateTo,
    role: keywords.role ?? from.role,
    isRunOnce: keywords.run_once ?? from.isRunOnce,
    isIgnored: keywords.ignore_errors ?? from.isIgnored,
    isFatal: keywords.any_errors_fatal ?? from.isFatal,
    isSecret: keywords.no_log ?? from.isSecret,
    checkMode: keywords.check_mode ?? from.checkMode,
  };
}

/** The names that a task or block makes for itself. */
function ownNames({ vars = {}, loop }: Pick<Task['keywords'], 'vars' | 'loop'>): [string, Known][] {
  const own = Object.entries(vars).map(([name, value]): [string, Known] => [name, knownOf(value)]);
  if (loop === undefined) return own;
  const items = knownOf(loop);
  const item = typeof items === 'object' && 'items' in items ? items.items : 'any';
  return [...own, ['item', item], ['index', 'number']];
}

/** Where a task may be left out or fail, what only some hosts know is no mistake. */
const NOWHERE: Expanding['partial'] = new Map();

const namesOf = ({ variables, engine, later }: Expanding, partial = NOWHERE): KnownNames => ({
  variables,
  engine,
  later,
  partial,
});

function describe(task: Task): string {
  const { params, module } = task;
  return typeof params === 'string' ? `${module}: ${params.split('\n')[0]?.slice(0, 70)}` : module;
}

function stepOf(task: Task, from: Inherited, prefix: string, e: Expanding): Step {
  const { source, path, keywords, module: moduleName } = task;
  const module = e.modules.get(moduleName);
  const merged = inherit(from, task);
  const name = keywords.name ?? describe(task);
  const own = ownNames(keywords);
  const isGuarded = merged.when.length > 0 || merged.isIgnored || merged.delegateTo !== undefined;
  const compile = (texts: readonly string[] | undefined) =>
    (texts ?? []).flatMap((text) => {
      try {
        return [compileCondition(text)];
      } catch {
        return []; // reported by checkKeywords, with its place
      }
    });
  const when = compile(merged.when);
  const asked = when.flatMap(({ references }) =>
    references.filter(({ isOptional }) => isOptional).map(({ root, rest }) => [root, ...rest].join('.')),
  );
  const known = { ...namesOf(e, isGuarded ? NOWHERE : e.partial), asked };
  checkKeywords(task, known, e, own);
  if (module) {
    const names = withNames(known, own);
    const place = [...path, moduleName];
    e.problems.push(...paramProblems(module, moduleName, task.params, source, place, names, e));
  }
  checkTask(task, e);
  for (const [key, value] of givenBy(task, module)) {
    const before = e.registered.get(key);
    const both = before === undefined ? value : either(before, value);
    e.variables.set(key, both);
    e.registered.set(key, both);
    e.partial.delete(key);
  }
  const destroys = keywords.destroys ?? (module && destroysWhat(module, task.params));
  const id = uniqueId(keywords.id ?? `${prefix}/${slug(name)}`, e.ids);
  return {
    kind: 'step',
    id,
    name,
    at: task.at,
    source,
    path,
    moduleName,
    module,
    params: task.params,
    keywords,
    when,
    until: compile(keywords.until),
    changedWhen: keywords.changed_when && compile(keywords.changed_when),
    failedWhen: keywords.failed_when && compile(keywords.failed_when),
    vars: merged.vars,
    environment: merged.environment,
    become: merged.become,
    delegateTo: merged.delegateTo,
    role: roleOf(module, merged, destroys, e.pattern),
    destroys,
    isRunOnce: merged.isRunOnce,
    isIgnored: merged.isIgnored,
    isFatal: merged.isFatal,
    isSecret: merged.isSecret,
    checkMode: merged.checkMode,
    tags: merged.tags,
    isSelected: isTagged(merged.tags, e.selection),
    ...(keywords.stays === true ? { isLasting: true } : {}),
    ...(task.undo ? { undo: undoOf(task, task.undo, id, merged, prefix, e) } : {}),
  };
}

/** All is as for its task, but for conditions and role: what was changed is put back, whatever has become of them. */
function undoOf(task: Task, undo: Task, id: string, from: Inherited, prefix: string, e: Expanding): Step {
  const variables = new Map([...e.variables, ...ownNames({ vars: task.keywords.vars })]);
  // The task may have changed the role itself.
  const inner = { ...e, variables, ids: new Map<string, number>(), pattern: '' };
  const step = stepOf(
    undo,
    { ...from, when: [], role: undefined, isIgnored: false, isFatal: false },
    prefix,
    inner,
  );
  return {
    ...step,
    id: `${id}/undo`,
    name: undo.keywords.name ?? `Undo: ${task.keywords.name ?? describe(task)}`,
  };
}

function expandItems(items: readonly Item[], from: Inherited, prefix: string, e: Expanding): PlanNode[] {
  return items.map((item): PlanNode => {
    if (item.kind === 'task') return stepOf(item, from, prefix, e);
    const merged = inherit(from, item);
    const own = ownNames({ vars: item.keywords.vars });
    checkKeywords(item, namesOf(e), e, own);
    // A block's variables are known inside it only.
    const outer = own.map(([name]) => [name, e.variables.get(name)] as const);
    for (const [name, value] of own) e.variables.set(name, value);
    const part = (list: readonly Item[]) => expandItems(list, merged, prefix, e);
    const rescue = (list: readonly Item[]) => {
      const isFirst = !e.variables.has('failure');
      e.variables.set('failure', 'any');
      const nodes = part(list);
      if (isFirst) e.variables.delete('failure');
      return nodes;
    };
    const node: PlanNode = {
      kind: 'block',
      id: uniqueId(item.keywords.id ?? `${prefix}/${slug(item.keywords.name ?? 'block')}`, e.ids),
      block: part(item.block),
      rescue: rescue(item.rescue),
      always: part(item.always),
    };
    for (const [name, value] of outer)
      if (e.registered.has(name)) continue;
      else if (value === undefined) e.variables.delete(name);
      else e.variables.set(name, value);
    return node;
  });
}

/** `hosts:` as far as it can be told now: inputs and the playbook's variables are known before the run. */
function patternOf(written: string, playbook: Playbook, inputs: Inputs): string {
  const scope = {
    ...playbook.vars,
    ...inputs.overrides,
    inputs: { ...inputs.defaults, ...inputs.given },
  };
  let pattern = written;
  try {
    for (let depth = 0; depth < 5 && pattern.includes('{{'); depth++)
      pattern = String(render(pattern, scope, 'hosts'));
  } catch {
    return written;
  }
  return pattern;
}

/** Hosts that a play may run on; all where its pattern is not known yet. */
function candidatesOf(
  pattern: string,
  { source, path }: Play,
  inventory: Inventory,
  e: Expanding,
): readonly string[] {
  const all = [...inventory.hosts.keys()];
  if (pattern.includes('{{')) return all;
  try {
    return selectHosts(pattern, inventory);
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    e.problems.push(source.error(error.code, [...path, 'hosts'], error.message, error.hint));
    return all;
  }
}

/** What a play hands down to its tasks. */
const inheritedFrom = ({ keywords }: Play, playbook: Playbook): Inherited => ({
  when: [],
  vars: [playbook.vars, keywords.vars ?? {}],
  environment: keywords.environment ? [keywords.environment] : [],
  become: keywords.become,
  tags: keywords.tags ?? [],
  delegateTo: undefined,
  role: keywords.role,
  isRunOnce: false,
  isIgnored: false,
  isFatal: keywords.any_errors_fatal ?? false,
  isSecret: false,
  checkMode: undefined,
});

function expandPlay(
  play: Play,
  playbook: Playbook,
  inventory: Inventory,
  inputs: Inputs,
  facts: Module | undefined,
  e: Expanding,
): PlannedPlay {
  const { keywords, source, path } = play;
  const pattern = patternOf(keywords.hosts, playbook, inputs);
  const hosts = candidatesOf(pattern, play, inventory, e);
  checkCycles(play, playbook, inventory, hosts, e);
  checkHandlers(play, e);
  e.problems.push(
    ...reservedProblems(Object.keys(keywords.vars ?? {}), source, (key) => [...path, 'vars', key]),
  );
  const name = keywords.name ?? keywords.hosts;
  const prefix = uniqueId(slug(name), e.ids);
  const layers = [playbook.vars, keywords.vars ?? {}].flatMap((vars) => ownNames({ vars }));
  const given = Object.entries(inputs.overrides).map(([key, value]) => [key, knownOf(value)] as const);
  const over = [...layers, ...e.registered, ...given];
  const names = new Map([...inventoryNames(inventory, hosts), ...over]);
  const partial = partialNames(inventory, hosts);
  for (const [key] of over) partial.delete(key);
  const inner: Expanding = {
    ...e,
    pattern,
    variables: names,
    partial,
    handlers: new Set(play.handlers.flatMap(({ keywords: own }) => [own.name ?? '', ...(own.listen ?? [])])),
  };
  const base = inheritedFrom(play, playbook);
  const own = { hosts: keywords.hosts, vars: keywords.vars, environment: keywords.environment };
  e.problems.push(...templateProblems(own, source, path, namesOf(inner)));
  const isGathering = keywords.gather !== undefined && keywords.gather !== false;
  const gather = isGathering && facts ? [gatherStep(play, facts, base, prefix, inner)] : [];
  const nodes = [...gather, ...expandItems(play.tasks, base, prefix, inner)];
  // Tags choose tasks; what those notify has to run, unless it was left out by name.
  const selection = { skipTags: e.selection.skipTags };
  const handlers = expandItems(play.handlers, base, `${prefix}/handlers`, {
    ...inner,
    selection,
    isHandlers: true,
  }) as Step[];
  for (const [variable, value] of names) e.variables.set(variable, value);
  return { id: prefix, name, play, hosts: pattern, nodes, handlers };
}

function gatherStep(play: Play, facts: Module, base: Inherited, prefix: string, e: Expanding): Step {
  const { gather } = play.keywords;
  const params = Array.isArray(gather) ? { gather } : {};
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

/** Modules a playbook uses, handlers and gathering included. */
export function modulesUsed(playbook: Playbook): Set<string> {
  const used = new Set<string>();
  const visit = (items: readonly Item[]): void => {
    for (const item of items) {
      if (item.kind === 'task') {
        used.add(item.module);
        if (item.undo) used.add(item.undo.module);
      } else for (const part of [item.block, item.rescue, item.always]) visit(part);
    }
  };
  for (const play of playbook.plays) {
    visit(play.tasks);
    visit(play.handlers);
    if (play.keywords.gather) used.add('facts');
  }
  for (const name of [...BUILT_IN, NONE]) used.delete(name);
  return used;
}

const usesRoles = (value: unknown): boolean =>
  /cluster\.(primary|standby)\b/.test(JSON.stringify(value) ?? '');

function invariantsOf(playbook: Playbook, inventory: Inventory, e: Expanding) {
  const { source } = playbook;
  const isWithoutCluster = inventory.hosts.size > 0 && inventory.clusters.size === 0;
  const engine = new Map([...e.engine, ['cluster', clusterOfInvariants(e.engine)] as const]);
  const variables = new Map([
    ...inventoryNames(inventory, [...inventory.hosts.keys()]),
    ...ownNames({ vars: playbook.vars }),
  ]);
  return playbook.invariants.flatMap(({ name, that }, i) => {
    const path = ['invariants', i, 'that'];
    const wrong = conditionProblems(that, source, path, { variables, engine });
    e.problems.push(...wrong);
    if (wrong.length > 0) return [];
    const condition = compileCondition(that);
    if (isWithoutCluster && condition.references.some(({ root }) => root === 'cluster')) {
      const message = 'speaks of a cluster, and the inventory has no cluster';
      e.problems.push(source.error('plan.invariant', path, message));
    }
    return [{ name, condition }];
  });
}

/** What the operator confirms is said before any host is asked. */
function confirmProblems({ confirm, source }: Playbook, engine: Expanding['engine']): DrillbookError[] {
  const cluster = fieldsOf({ name: 'text', stack: 'text', nodes: { items: 'text' } });
  const known = new Map([...engine].filter(([name]) => name === 'inputs')).set('cluster', cluster);
  return templateProblems(confirm, source, ['confirm'], { variables: new Map(), engine: known });
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
  files: Files = disk,
): Plan {
  const problems: DrillbookError[] = [];
  const e: Expanding = {
    modules,
    problems,
    ids: new Map(),
    selection,
    engine: engineNames(playbook, inventory, modules.get('facts')),
    later: givenLater(playbook),
    overrides: new Set(Object.keys(inputs.overrides)),
    variables: new Map(Object.keys(inputs.overrides).map((name) => [name, 'any'])),
    partial: new Map(),
    registered: new Map(),
    explicit: new Map(),
    handlers: new Set(),
    files,
    templates: new Map(),
    pattern: '',
  };
  if (selection.limit !== undefined) selectHosts(selection.limit, inventory);
  let plays = playbook.plays.map((play) =>
    expandPlay(play, playbook, inventory, inputs, modules.get('facts'), e),
  );
  const raw = playbook.plays.map((play) => [play.keywords, play.tasks.map(rawOf), play.handlers.map(rawOf)]);
  problems.push(...templateProblems(playbook.vars, playbook.source, ['vars'], namesOf(e)));
  const ofInventory = inventoryNames(inventory, [...inventory.hosts.keys()]);
  const names: KnownNames = { variables: ofInventory, engine: e.engine };
  problems.push(
    ...inventoryProblems(inventory, names, [raw, playbook.vars]),
    ...reservedProblems(Object.keys(playbook.vars), playbook.source, (name) => ['vars', name]),
  );
  problems.push(...delegateProblems(plays, inventory), ...roleProblems(plays, inventory, selection.limit));
  problems.push(...confirmProblems(playbook, e.engine));
  const invariants = invariantsOf(playbook, inventory, e);
  if (problems.length > 0) throw new Problems(dedupe(problems));
  checkTags(plays, selection);
  if (selection.startAt !== undefined) {
    plays = startAt(plays, selection.startAt);
    const reading = { playbook, inventory, templates: e.templates };
    const missing = missingProblems(plays, reading, e.overrides);
    if (missing.length > 0) throw new Problems(dedupe(missing));
  }
  const confirmations = confirmationsOf(playbook, plays, inventory, inputs);
  return {
    playbook,
    inventory,
    inputs,
    limit: selection.limit,
    invariants,
    plays,
    files: [...playbook.files, inventory.file],
    templates: [...e.templates.values()],
    templateFiles: e.templates,
    code: codeOf(playbook, inventory, inputs, selection.limit, confirmations),
    confirmations,
    needsStatus:
      invariants.length > 0 ||
      needsRoles(selection.limit ?? '') ||
      plays.some(
        ({ play, hosts }) =>
          needsRoles(hosts) || hosts.includes('{{') || play.keywords.order?.includes('_first') === true,
      ) ||
      usesRoles([raw, playbook.vars, inventoryTexts(inventory), [...e.templates.values()]]),
  };
}

/** A task without its source, so that it can be searched as text. */
function rawOf(item: Item): unknown {
  if (item.kind === 'task') return [item.keywords, item.params, item.undo && rawOf(item.undo)];
  return [item.keywords, ...[item.block, item.rescue, item.always].map((part) => part.map(rawOf))];
}
