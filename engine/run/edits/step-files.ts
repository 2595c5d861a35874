import { globSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import type { Files } from '../../core/files.ts';
import { render } from '../../parse/template.ts';
import { localFile } from '../../plan/local-file.ts';
import { fullParams, paramMeta } from '../../plan/params.ts';
import { stepsOf } from '../../plan/plan.ts';
import type { Plan, Step } from '../../plan/plan.ts';
import { hostState } from '../host-state.ts';
import type { Pinned, Stamp } from './pinned.ts';
import { scopeOf } from '../scope.ts';
import type { World } from '../scope.ts';

const MAGIC = /[*?[{]/;

/** A world before the first step, for what can be told then. */
const worldOf = (plan: Plan): World => ({
  plan,
  states: new Map([...plan.inventory.hosts].map(([name, host]) => [name, hostState(host)])),
  roles: new Map(),
  run: { id: '', operator: '', is_check: false },
});

/** Names that a template may stand for: one for each host, where the run is not needed to tell. */
function namesOf(text: string, step: Step, world: World): string[] {
  if (!text.includes('{{')) return [text];
  const names = new Set<string>();
  for (const state of world.states.values()) {
    try {
      const name = render(text, scopeOf(state, step.vars, world), 'src');
      if (typeof name === 'string') names.add(name);
    } catch {
      // Only the run can tell.
    }
  }
  return [...names];
}

function pathsOf(name: string, step: Step, files: Files): string[] {
  const from = step.source.file;
  try {
    const at = name.split('/').findIndex((part) => MAGIC.test(part));
    if (at < 0) return [localFile(name, from, files)];
    const fixed = name.split('/').slice(0, at).join('/');
    const root = isAbsolute(name) ? fixed || '/' : localFile(fixed || '.', from, files);
    return globSync(name.split('/').slice(at).join('/'), { cwd: root })
      .sort()
      .map((found) => join(root, found));
  } catch {
    return []; // The step itself tells what is wrong with it.
  }
}

/**
 * The files of the jump host that a step reads, as far as they are known before it runs: those beside the playbook, and
 * packages wherever they are. Any other absolute path is the machine's own, and may be made by the run itself.
 */
export function stepFiles(step: Step, plan: Plan, files: Files, world = worldOf(plan)): readonly string[] {
  const { module } = step;
  if (!module) return [];
  const params = fullParams(module, step.params);
  if (params === null || typeof params !== 'object') return [];
  const texts = Object.entries(params).flatMap(([name, value]: [string, unknown]) =>
    paramMeta(module, name).localFile ? [value].flat() : [],
  );
  return texts
    .flatMap((text) => (typeof text === 'string' ? namesOf(text, step, world) : []))
    .filter((name) => step.moduleName === 'package' || !(isAbsolute(name) || name.startsWith('~')))
    .flatMap((name) => pathsOf(name, step, files));
}

/** The same, once they are pinned: each with what is known of it, of a folder all that is in it; with a short name. */
export function pinnedOf(step: Step, plan: Plan, files: Pinned): readonly StepFile[] {
  const { copy } = files;
  return stepFiles(step, plan, files).flatMap((path) => {
    const short = (inner: string): string => relative(dirname(path), inner);
    const entries = copy.folders.get(path) ?? [{ path, isFolder: false }];
    return entries.map((entry): StepFile => {
      const content = entry.isFolder ? 'folder' : copy.files.get(entry.path);
      return { path: entry.path, name: short(entry.path), content };
    });
  });
}

/** A file that a step reads, or a folder. */
export interface StepFile {
  readonly path: string;
  /** Its path as seen from where the step's own name ends. */
  readonly name: string;
  /** Undefined where it could not be read. */
  readonly content: Buffer | Stamp | 'folder' | undefined;
}

/** Reads what the steps of a plan will read, so that it stays the same from here on. */
export function pinStepFiles(plan: Plan, files: Pinned): void {
  const world = worldOf(plan);
  for (const play of plan.plays) {
    for (const step of [...stepsOf(play.nodes), ...play.handlers]) {
      for (const path of stepFiles(step, plan, files, world)) {
        try {
          files.pin(path, step.moduleName !== 'package');
        } catch {
          // As above.
        }
      }
    }
  }
}
