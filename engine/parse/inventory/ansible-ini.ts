import { DrillbookError } from '../../core/error.ts';
import { suggest } from '../../core/nearest.ts';
import type { Place } from '../../core/place.ts';
import type { Path, Source } from '../yaml.ts';
import { addChild, addGroupVars, addHosts, groupOf } from './draft.ts';
import type { Draft } from './draft.ts';
import { expandHosts } from './host-range.ts';
import { pythonValue } from './python-literal.ts';
import { shellWords } from './shell-words.ts';

const SECTION = /^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$/;
const GROUP_NAME = /^([^:\]\s]+)\s*(?:#.*)?$/;
const KINDS = ['hosts', 'children', 'vars'];
const SECRET_LINE = /pass(word|phrase|wd)?\w*\s*=/i;

/** A text as a source of lines: paths are `[line, column]`, with a name behind them where a variable is meant. */
export function linesSource(file: string, text: string, isEncrypted = false): Source {
  const lines = text.split(/\r?\n/);
  const placeOf = ([line = 1, column = 1]: Path): Place => ({
    file,
    line: Number(line),
    column: Number(column),
  });
  const excerptOf = (at: Place): string | undefined => {
    const line = lines[at.line - 1];
    const isHidden = isEncrypted || line === undefined || line.length > 400 || SECRET_LINE.test(line);
    return isHidden ? undefined : line.trimEnd();
  };
  return {
    file,
    value: lines,
    placeOf,
    excerptOf,
    error(code, path, message, hint) {
      const at = placeOf(path);
      return new DrillbookError(code, message, { at, hint, excerpt: excerptOf(at) });
    },
  };
}

/** A section or child group that is named and not (yet) declared. */
interface Pending {
  readonly path: Path;
  readonly kind: 'children' | 'vars';
  readonly parents: string[];
}

/** Adds an inventory as Ansible's `ini` plugin reads it. */
export function addAnsibleIni(draft: Draft, source: Source): void {
  const wrong = (path: Path, message: string, hint?: string): void =>
    void draft.problems.push(source.error('parse.inventory', path, message, hint));
  const pending = new Map<string, Pending>();
  let group = 'ungrouped';
  let kind = 'hosts';

  function nest(parent: string, child: string, path: Path): void {
    if (!addChild(draft, parent, child)) wrong(path, `group \`${parent}\` contains itself`);
  }

  /** A group that was waited for is declared now. */
  function settle(name: string, path: Path): void {
    const waiting = pending.get(name);
    pending.delete(name);
    for (const parent of waiting?.parents ?? []) {
      nest(parent, name, path);
      if (pending.get(parent)?.kind === 'children') settle(parent, path);
    }
  }

  function onSection(name: string, found: string, path: Path): void {
    group = name;
    kind = found;
    if (!KINDS.includes(kind)) {
      wrong(path, `[${name}:${kind}]: unknown kind of section`, suggest(kind, KINDS));
      return;
    }
    if (kind === 'vars' && !draft.groups.has(name) && !pending.has(name))
      pending.set(name, { path, kind, parents: [] });
    groupOf(draft, name);
    if (kind !== 'vars') settle(name, path);
  }

  function onHost(line: string, number: number, indent: number): void {
    const words = shellWords(line);
    const [pattern, ...rest] = words;
    if (pattern === undefined) return;
    const at = [number, indent + pattern.column];
    if (pattern.text === '---') throw new Error('`---` begins a YAML file; this is read as INI');
    const expanded = expandHosts(pattern.text);
    if (pattern.text.endsWith(':') && expanded.port === undefined)
      throw new Error(`\`${pattern.text}\`: a port is missing behind the colon`);
    const values: Record<string, unknown> = {};
    for (const { text, column } of rest) {
      const split = text.indexOf('=');
      if (split < 1) wrong([number, indent + column], `\`${text}\`: NAME=VALUE is wanted behind a host`);
      else if (text.slice(0, split) !== '__proto__')
        values[text.slice(0, split)] = pythonValue(text.slice(split + 1));
    }
    addHosts(draft, group, expanded, { source, path: at, values, isAnsible: true });
  }

  function onVariable(line: string, path: Path): void {
    const split = line.indexOf('=');
    if (split < 1) return wrong(path, `\`${line}\`: NAME=VALUE is wanted in [${group}:vars]`);
    const name = line.slice(0, split).trim();
    if (name === '__proto__') return wrong(path, '`__proto__` is not allowed as a name');
    const values = { [name]: pythonValue(line.slice(split + 1).trim()) };
    addGroupVars(draft, group, { source, path, values, isAnsible: true });
  }

  function onChild(line: string, path: Path): void {
    const child = GROUP_NAME.exec(line)?.[1];
    if (child === undefined) return wrong(path, `\`${line}\`: the name of a group is wanted`);
    const waiting = pending.get(child);
    if (draft.groups.has(child) && !waiting) return nest(group, child, path);
    if (waiting) waiting.parents.push(group);
    else pending.set(child, { path, kind: 'children', parents: [group] });
  }

  for (const [i, raw] of (source.value as readonly string[]).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const indent = raw.length - raw.trimStart().length;
    const path = [i + 1, indent + 1];
    const section = SECTION.exec(line);
    if (section) {
      onSection(section[1] ?? '', section[2] ?? 'hosts', path);
    } else if (line.startsWith('[') && line.endsWith(']')) {
      wrong(
        path,
        `\`${line}\`: a section is written [group], [group:children] or [group:vars], without blanks`,
      );
    } else {
      try {
        if (kind === 'hosts') onHost(line, i + 1, indent);
        else if (kind === 'vars') onVariable(line, path);
        else if (kind === 'children') onChild(line, path);
      } catch (error) {
        wrong(path, (error as Error).message, error instanceof DrillbookError ? error.hint : undefined);
      }
    }
  }
  for (const [name, { path, kind: what, parents }] of pending) {
    const section = what === 'vars' ? `[${name}:vars]` : `[${parents.join(', ')}:children]`;
    const known = [...draft.groups.keys()].filter((one) => one !== name);
    wrong(path, `${section} names the group \`${name}\`, which is nowhere declared`, suggest(name, known));
  }
}
