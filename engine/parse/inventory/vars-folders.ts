import { basename, extname, join } from 'node:path';
import { DrillbookError } from '../../core/error.ts';
import { disk } from '../../core/files.ts';
import type { Entry, Files } from '../../core/files.ts';
import { loadYaml } from '../yaml.ts';
import type { Loading } from '../yaml.ts';
import { isMapping } from './ansible-yaml.ts';
import type { Part } from './draft.ts';

const ENDINGS = ['', '.yml', '.yaml', '.json'];

/** The files of a folder of variables, as Ansible goes through it: by name, hidden ones and backups left out. */
function filesIn(folder: string, files: Files): string[] {
  return (files.list(folder) ?? []).flatMap(({ path, isFolder }) => {
    const name = basename(path);
    if (name.startsWith('.') || name.endsWith('~')) return [];
    if (isFolder) return extname(name) === '' ? filesIn(path, files) : [];
    return ENDINGS.includes(extname(name)) ? [path] : [];
  });
}

/** One variables file; undefined where it is empty. */
function readVars(path: string, loading: Loading): Part | undefined {
  const source = loadYaml(path, 'variables file', undefined, { ...loading, isAnsible: true });
  if (source.value === null || source.value === undefined) return undefined;
  if (!isMapping(source.value))
    throw new DrillbookError('parse.inventory', `${path}: a mapping of names to values is wanted`, {
      at: source.placeOf([]),
    });
  return { vars: { source, path: [], values: source.value, isAnsible: true }, file: path };
}

/** Gives what `group_vars` and `host_vars` in these folders say of a group or host; every file is read once. */
export function varsFolders(
  folders: readonly string[],
  loading: Loading,
): (kind: 'group' | 'host', name: string) => readonly Part[] {
  const files = loading.files ?? disk;
  const read = new Map<string, Part | undefined>();
  const partOf = (path: string): Part | undefined => {
    if (!read.has(path)) read.set(path, readVars(path, loading));
    return read.get(path);
  };
  const entries = new Map<string, Map<string, Entry>>();
  for (const folder of folders) {
    for (const kind of ['group', 'host']) {
      const inside = join(folder, `${kind}_vars`);
      entries.set(inside, new Map((files.list(inside) ?? []).map((entry) => [basename(entry.path), entry])));
    }
  }
  return (kind, name) =>
    folders.flatMap((folder) => {
      const inside = entries.get(join(folder, `${kind}_vars`));
      // The first that is there: a folder or a file of that very name before one with an ending.
      const found = ENDINGS.map((ending) => inside?.get(`${name}${ending}`)).find((entry) => entry);
      if (!found) return [];
      const paths = found.isFolder ? filesIn(found.path, files) : [found.path];
      return paths.flatMap((path) => partOf(path) ?? []);
    });
}
