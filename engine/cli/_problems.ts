import { DrillbookError, Problems } from '../core/error.ts';
import type { Module } from '../core/module.ts';
import { loadModule } from '../modules/registry.ts';
import { Misread } from '../parse/playbook.ts';
import type { Playbook } from '../parse/playbook.ts';
import { modulesUsed } from '../plan/expand.ts';

/** A playbook as far as it could be read; what is wrong with it goes to the problems. */
export function readable(load: () => Playbook, problems: DrillbookError[]): Playbook {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof Misread)) throw error;
    problems.push(...error.problems);
    return error.playbook;
  }
}

/** What an error tells; throws what is none of ours. */
export function problemsIn(error: unknown): readonly DrillbookError[] {
  if (error instanceof Problems) return error.problems;
  if (error instanceof DrillbookError) return [error];
  throw error;
}

/** The modules of a playbook by their names. */
export const modulesOf = async (playbook: Playbook): Promise<ReadonlyMap<string, Module>> =>
  new Map(
    await Promise.all(
      [...modulesUsed(playbook)].map(async (name) => [name, await loadModule(name)] as const),
    ),
  );
