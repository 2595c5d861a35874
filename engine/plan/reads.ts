import type { z } from 'zod';
import { compileCondition } from '../parse/condition.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Playbook } from '../parse/playbook.ts';
import { compile, eachTemplate } from '../parse/template.ts';
import type { Reference } from '../parse/template.ts';
import { paramMeta } from './params.ts';
import type { PlannedPlay, Step, Vars } from './plan.ts';

/** A name that a step reads, by itself or through a variable; `via` are the variables on the way. */
export interface Read extends Pick<Reference, 'root' | 'rest' | 'isOptional'> {
  readonly via: readonly string[];
}

const inTemplates = (value: unknown): readonly Reference[] => {
  const found: Reference[] = [];
  eachTemplate(value, [], (text) => found.push(...compile(text).references));
  return found;
};

const inCondition = (text: unknown): readonly Reference[] => {
  try {
    return typeof text === 'string' ? compileCondition(text).references : [];
  } catch {
    return []; // Told where the plan is made.
  }
};

/** Parameters are templates, but for those that are conditions. */
const inParams = ({ params, module }: Step): readonly Reference[] =>
  params === null || typeof params !== 'object'
    ? inTemplates(params)
    : Object.entries(params).flatMap(([name, value]) =>
        module && paramMeta(module, name).cel ? [value].flat().flatMap(inCondition) : inTemplates(value),
      );

/** What a step's own files say: the template that it renders, be it the module's. */
function inFiles({ params, module }: Step, templates: ReadonlyMap<string, string>): readonly Reference[] {
  if (!module) return [];
  return Object.entries(module.params.shape).flatMap(([name, type]) => {
    if (!paramMeta(module, name).template) return [];
    const given = params !== null && typeof params === 'object' ? (params as Vars)[name] : undefined;
    const path = given ?? (type as z.ZodType).safeParse(undefined).data;
    const text = [...templates].find(([file]) => file === path || file.endsWith(`/${String(path)}`))?.[1];
    return text === undefined ? [] : inTemplates(text);
  });
}

function ownReads(step: Step): readonly Reference[] {
  const { keywords, environment, become, delegateTo, name } = step;
  const conditions = [step.when, step.until, step.changedWhen ?? [], step.failedWhen ?? []].flat();
  const { loop, label, notify } = keywords;
  return [
    ...inParams(step),
    ...inTemplates([loop, label, notify, environment, become, delegateTo, name]),
    ...conditions.flatMap(({ references }) => references),
  ];
}

/** What of a plan is read. */
export interface Reading {
  readonly playbook: Playbook;
  readonly inventory: Inventory;
  /** Template files by their paths. */
  readonly templates: ReadonlyMap<string, string>;
}

/** What a variable is where a step reads it, strongest layer first; undefined for what is no variable. */
type Lookup = (name: string) => readonly unknown[] | undefined;

function lookupFor(step: Step, play: PlannedPlay, { playbook, inventory }: Reading): Lookup {
  const layers: Vars[] = [...step.vars.toReversed(), play.play.keywords.vars ?? {}, playbook.vars];
  return (name) => {
    const layer = layers.find((vars) => Object.hasOwn(vars, name));
    if (layer) return [layer[name]];
    const own = [...inventory.hosts.values()].flatMap(({ vars }) =>
      Object.hasOwn(vars, name) ? [vars[name]] : [],
    );
    return own.length > 0 ? own : undefined;
  };
}

/** Every name that the step reads which is no variable written down: facts, roles, results, and what `set` sets. */
export function readsOf(step: Step, play: PlannedPlay, reading: Reading): readonly Read[] {
  const lookup = lookupFor(step, play, reading);
  const seen = new Set<string>();
  const follow = (references: readonly Reference[], via: readonly string[]): readonly Read[] =>
    references.flatMap(({ root, rest, isOptional }): readonly Read[] => {
      const values = lookup(root);
      if (values === undefined) return [{ root, rest, isOptional, via }];
      if (seen.has(root)) return [];
      seen.add(root);
      return follow(inTemplates(values), [...via, root]);
    });
  return follow([...ownReads(step), ...inFiles(step, reading.templates)], []);
}
