import { dirname, extname, join, resolve } from 'node:path';
import { DrillbookError } from '../../core/error.ts';
import { disk } from '../../core/files.ts';
import { loadText, loadYaml, parseYaml } from '../yaml.ts';
import type { Loading } from '../yaml.ts';
import { addAnsibleIni, linesSource } from './ansible-ini.ts';
import { addAnsibleYaml, isAnsibleYaml, isMapping } from './ansible-yaml.ts';
import { addHosts } from './draft.ts';
import type { Draft } from './draft.ts';
import { expandHosts } from './host-range.ts';
import { addOurs } from './ours.ts';
import { addProgram } from './program.ts';

/** What `-i` names: a path, several of them with commas, or hosts (`a,b` or `a,`). Paths are made absolute. */
export function partsOfSpec(spec: string, files = disk): readonly { path?: string; hosts?: string }[] {
  const isThere = (path: string): boolean => files.find([resolve(path)]) !== undefined;
  if (!spec.includes(',') || isThere(spec)) return [{ path: resolve(spec) }];
  const words = spec.split(',').filter((word) => word.trim() !== '');
  return words.some(isThere) ? words.map((word) => ({ path: resolve(word) })) : [{ hosts: spec }];
}

/** The same in one text, its paths absolute, so that it means the same from any folder. */
export const absoluteSpec = (specs: readonly string[]): string =>
  specs
    .flatMap((spec) => partsOfSpec(spec))
    .map(({ path, hosts = '' }) => path ?? hosts)
    .join(',');

/** Left out in a folder, as Ansible does. */
const IGNORED =
  /^\.|^(?:host_vars|group_vars|vars_plugins)$|(?:\.pyc|\.pyo|\.swp|\.bak|~|\.rpm|\.md|\.txt|\.rst|\.orig|\.ini|\.cfg|\.retry)$/;

const isYamlName = (path: string): boolean => ['.yml', '.yaml', '.json'].includes(extname(path));

/** A text without an ending in its name: INI where a line is a section or no YAML could be it. */
const looksLikeIni = (text: string): boolean =>
  /^\s*\[[^\]\s,]+\]\s*(?:#.*)?$/m.test(text) || !/^[^#\s][^\n]*:(?:\s|$)/m.test(text);

function addYaml(draft: Draft, path: string, loading: Loading): void {
  const source = loadYaml(path, 'inventory', undefined, { ...loading, isAnsible: true });
  if (isMapping(source.value) && typeof source.value['plugin'] === 'string')
    throw source.error(
      'parse.inventory',
      ['plugin'],
      'an inventory plugin of Ansible’s, which only Ansible can run',
      'give an executable that runs `exec ansible-inventory -i THIS --list`, or what that prints',
    );
  if (isAnsibleYaml(source.value)) addAnsibleYaml(draft, source);
  else addOurs(draft, loadYaml(path, 'inventory', undefined, loading));
}

/** Whatever stands after a `=` of an encrypted file: a word of a host's line, or the rest of a group's. */
function hearLines(text: string, { onSecret }: Loading): void {
  const names = new Set([...text.matchAll(/^\[?([^\s=\]:]+)/gm)].map(([, name]) => name));
  for (const [, rest = '', word = ''] of text.matchAll(/=[ \t]*(?=([^\r\n]*))("[^"\n]*"|'[^'\n]*'|\S*)/g))
    for (const value of [rest.trim(), word].map((one) => one.replace(/^(["'])(.*)\1$/, '$2')))
      if (!names.has(value)) onSecret?.(value, true);
}

function addFile(draft: Draft, path: string, loading: Loading): void {
  const files = loading.files ?? disk;
  const printed = files.output(path, ['--list']);
  if (printed !== undefined) return addProgram(draft, path, files, printed);
  if (isYamlName(path)) return addYaml(draft, path, loading);
  const { text, isEncrypted } = loadText(path, 'inventory', undefined, loading);
  if (text.startsWith('#!')) {
    const at = { file: path, line: 1, column: 1 };
    const hint = `chmod +x ${path}`;
    throw new DrillbookError('parse.inventory', `${path} is a program that may not be run`, { at, hint });
  }
  if (extname(path) !== '.ini' && !looksLikeIni(text)) return addYaml(draft, path, loading);
  if (isEncrypted) hearLines(text, loading);
  addAnsibleIni(draft, linesSource(path, text, isEncrypted));
}

function addPath(draft: Draft, path: string, loading: Loading, onFile: (path: string) => void): void {
  const entries = (loading.files ?? disk).list(path);
  if (!entries) {
    onFile(path);
    return addFile(draft, path, loading);
  }
  for (const { path: inner } of entries)
    if (!IGNORED.test(inner.slice(path.length + 1))) addPath(draft, inner, loading, onFile);
}

/** Where an inventory comes from. */
export interface Origin {
  /** Every file that was read, in order. */
  readonly files: readonly string[];
  /** Beside which `group_vars` and `host_vars` are looked for. */
  readonly folders: readonly string[];
}

/** Reads everything that `-i` names into a draft. */
export function readSources(draft: Draft, spec: string, loading: Loading): Origin {
  const disks = loading.files ?? disk;
  const files: string[] = [];
  const folders: string[] = [];
  for (const { path, hosts } of partsOfSpec(spec, disks)) {
    if (path !== undefined) {
      addPath(draft, path, loading, (file) => files.push(file));
      folders.push(disks.list(path) ? path : dirname(path));
      continue;
    }
    const source = parseYaml('-i', JSON.stringify(hosts));
    for (const word of (hosts ?? '').split(',').map((one) => one.trim()))
      if (word !== '')
        addHosts(draft, 'ungrouped', expandHosts(word), { source, path: [], values: {}, isAnsible: true });
  }
  return {
    files: files.length > 0 ? files : [join(process.cwd(), 'inventory')],
    folders: [...new Set(folders)],
  };
}
