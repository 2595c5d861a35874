import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import type { Module } from '../core/module.ts';
import { suggest } from '../core/nearest.ts';

const ROOT = import.meta.dirname;

let files: ReadonlyMap<string, string> | undefined;

/** A module's file is its name: `mysql/query.ts` is `mysql.query`, `line-in-file.ts` is `line_in_file`. */
function scan(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (folder: string, prefix: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.name.startsWith('_') || entry.name.startsWith('.')) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path, `${prefix}${entry.name}.`);
      else if (entry.name.endsWith('.ts') && path !== import.meta.filename) {
        found.set((prefix + entry.name.slice(0, -'.ts'.length)).replaceAll('-', '_'), path);
      }
    }
  };
  visit(ROOT, '');
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Names of all modules, sorted. Nothing is loaded for it. */
export const moduleNames = (): readonly string[] => [...(files ??= scan()).keys()];

/** Where the module lies, for reference pages and tests. */
export const moduleFile = (name: string): string | undefined => (files ??= scan()).get(name);

const loaded = new Map<string, Promise<Module>>();

/** The module of that name; loaded once. Throws `parse.module` for an unknown name. */
export function loadModule(name: string): Promise<Module> {
  let module = loaded.get(name);
  if (module === undefined) {
    const path = moduleFile(name);
    if (path === undefined) {
      const hint = suggest(name, moduleNames());
      return Promise.reject(new DrillbookError('parse.module', `\`${name}\`: unknown module`, { hint }));
    }
    module = import(path).then((file: { default: Module }) => file.default);
    loaded.set(name, module);
  }
  return module;
}
