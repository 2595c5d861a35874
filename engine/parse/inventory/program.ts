import { DrillbookError } from '../../core/error.ts';
import type { Files } from '../../core/files.ts';
import type { Place } from '../../core/place.ts';
import type { Path, Source } from '../yaml.ts';
import { addChild, addGroupVars, addHosts, groupOf } from './draft.ts';
import type { Draft, Placed } from './draft.ts';
import { isMapping } from './ansible-yaml.ts';

/** What a program printed, as a source: its places are paths in the JSON. */
function jsonSource(file: string, printed: Buffer, args: string): Source {
  const at: Place = { file, line: 1, column: 1 };
  const fault = (code: string, path: Path, message: string, hint?: string): DrillbookError => {
    const where = path.length === 0 ? '' : `${path.join('.')}: `;
    return new DrillbookError(code, `${file} ${args} printed: ${where}${message}`, { at, hint });
  };
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(printed), (key, inner: unknown) =>
      key === '__proto__' ? undefined : inner,
    );
  } catch (cause) {
    throw new DrillbookError(
      'parse.program',
      `${file} ${args} printed no JSON: ${(cause as Error).message}`,
      {
        at,
        hint: 'messages belong on standard error',
      },
    );
  }
  return { file, value, placeOf: () => at, excerptOf: () => undefined, error: fault };
}

/** Adds what a program prints for `--list` (and, without `_meta.hostvars`, for `--host` of each host). */
export function addProgram(draft: Draft, file: string, files: Files, list: Buffer): void {
  const source = jsonSource(file, list, '--list');
  const wrong = (path: Path, message: string): void =>
    void draft.problems.push(source.error('parse.inventory', path, message));
  const placed = (path: Path, values: Readonly<Record<string, unknown>>): Placed => ({
    source,
    path,
    values,
    isAnsible: true,
  });
  if (!isMapping(source.value)) throw source.error('parse.inventory', [], 'a mapping of groups is wanted');
  const { _meta: meta, ...groups } = source.value;
  const seen = new Set<string>();

  function addGroup(name: string, said: unknown): void {
    groupOf(draft, name);
    const isShort = isMapping(said) && !['hosts', 'vars', 'children'].some((key) => key in said);
    // A group without sections is a host with its variables.
    const group = Array.isArray(said) ? { hosts: said } : isShort ? { hosts: [name], vars: said } : said;
    if (!isMapping(group)) return wrong([name], 'a group is a mapping or a list of hosts');
    const { hosts = [], vars = {}, children = [] } = group;
    const isList = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((one) => typeof one === 'string');
    if (!isList(hosts)) wrong([name, 'hosts'], 'a list of names is wanted');
    else {
      addHosts(draft, name, { names: hosts, port: undefined }, undefined);
      for (const host of hosts) seen.add(host);
    }
    if (!isMapping(vars)) wrong([name, 'vars'], 'a mapping is wanted');
    else if (Object.keys(vars).length > 0) addGroupVars(draft, name, placed([name, 'vars'], vars));
    if (!isList(children)) return wrong([name, 'children'], 'a list of names is wanted');
    for (const child of children)
      if (!addChild(draft, name, child)) wrong([name, 'children'], `group \`${name}\` contains itself`);
  }

  for (const [name, group] of Object.entries(groups)) addGroup(name, group);
  const known = isMapping(meta) && 'hostvars' in meta ? meta['hostvars'] : undefined;
  if (known !== undefined && !isMapping(known))
    return wrong(['_meta', 'hostvars'], 'a mapping of hosts is wanted');
  for (const host of seen) {
    const own = known ? (known[host] ?? {}) : variablesOf(file, host, files);
    if (!isMapping(own)) wrong(['_meta', 'hostvars', host], 'a mapping of variables is wanted');
    else if (Object.keys(own).length > 0)
      draft.hosts.get(host)?.push({ vars: placed(['_meta', 'hostvars', host], own), file });
  }
}

function variablesOf(file: string, host: string, files: Files): unknown {
  const printed = files.output(file, ['--host', host]);
  return printed === undefined || printed.toString().trim() === ''
    ? {}
    : jsonSource(file, printed, `--host ${host}`).value;
}
