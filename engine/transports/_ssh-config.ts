import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, statSync } from 'node:fs';
import { homedir, hostname, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { configLine } from './_ssh-config-line.ts';
import type { ConfigLine } from './_ssh-config-line.ts';

/** `~` and the user's home at the front of a path. */
export const expandHome = (path: string): string =>
  path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;

/** `*` and `?` as in the patterns of ssh_config and known_hosts. */
export function matchesPattern(pattern: string, name: string): boolean {
  const source = RegExp.escape(pattern).replaceAll('\\*', '.*').replaceAll('\\?', '.');
  return new RegExp(`^${source}$`, 's').test(name);
}

/** A list of patterns holds for a name when one matches and no `!` one does. */
export function matchesList(patterns: readonly string[], names: readonly string[]): boolean {
  const hits = patterns.filter((pattern) =>
    names.some((name) => matchesPattern(pattern.replace(/^!/, ''), name)),
  );
  return hits.length > 0 && !hits.some((pattern) => pattern.startsWith('!'));
}

/** For names of hosts, whose case does not count. */
export const matchesHosts = (patterns: readonly string[], names: readonly string[]): boolean =>
  matchesList(
    patterns.map((pattern) => pattern.toLowerCase()),
    names.map((name) => name.toLowerCase()),
  );

/** Replaces `%h` and its like; a letter that is not known stays as it is. */
export const expandTokens = (text: string, letters: Readonly<Record<string, string>>): string =>
  text.replace(/%([%a-zA-Z])/g, (all, letter: string) => (letter === '%' ? '%' : (letters[letter] ?? all)));

/** Keyword → its values: of the line that came first, for the few that add up of all lines. */
export type Values = Map<string, readonly string[]>;

/** Those of which every line counts. */
const ADDED = ['identityfile', 'certificatefile'];
/** Those that are a command: the rest of the line. */
const COMMANDS = ['proxycommand', 'localcommand', 'remotecommand', 'knownhostscommand'];
/** A command of `Match exec` has this long. */
const EXEC_MS = 10_000;
const DEEPEST = 16;

interface Reading {
  /** What the host is called on the command line of ssh, and its address where one is known. */
  readonly names: readonly string[];
  readonly values: Values;
  /** The second time, when some `Match final` wants one. */
  isFinal: boolean;
  wantsFinal: boolean;
}

/** What the host is called as far as the lines before say. */
function hostNow({ names, values }: Reading): string {
  const [name = ''] = names;
  const told = values.get('hostname')?.[0];
  return told === undefined ? name : expandTokens(told, { h: name });
}

/** What the letters in file names and commands stand for. */
export function lettersOf(names: readonly string[], values: Values, host: string): Record<string, string> {
  const [name = ''] = names;
  const { username, uid } = userInfo();
  return {
    d: homedir(),
    h: host,
    i: String(uid),
    k: values.get('hostkeyalias')?.[0] ?? name,
    L: hostname().split('.')[0] ?? '',
    l: hostname(),
    n: name,
    p: values.get('port')?.[0] ?? '22',
    r: values.get('user')?.[0] ?? username,
    u: username,
  };
}

const ran = new Map<string, boolean>();

/** True where a command of `Match exec` ends with 0; each is run once. */
function succeeds(command: string): boolean {
  const known = ran.get(command);
  if (known !== undefined) return known;
  const { status } = spawnSync('/bin/sh', ['-c', command], { stdio: 'ignore', timeout: EXEC_MS });
  ran.set(command, status === 0);
  return status === 0;
}

function matches(criteria: readonly string[], reading: Reading): boolean {
  const { names, values } = reading;
  const { username } = userInfo();
  let isMatch = true;
  for (let i = 0; i < criteria.length; i++) {
    const word = (criteria[i] ?? '').toLowerCase();
    const isNegated = word.startsWith('!');
    const criterion = word.replace(/^!/, '');
    if (criterion === 'all') continue;
    let holds: boolean;
    if (criterion === 'final' || criterion === 'canonical') {
      if (criterion === 'final') reading.wantsFinal = true;
      holds = reading.isFinal;
    } else {
      const text = criteria[++i] ?? '';
      const list = text.split(',');
      if (criterion === 'host') {
        const known = values.has('hostname') || reading.isFinal ? [hostNow(reading)] : names;
        holds = matchesHosts(list, known);
      } else if (criterion === 'originalhost') holds = matchesHosts(list, names);
      else if (criterion === 'user') holds = matchesList(list, [values.get('user')?.[0] ?? username]);
      else if (criterion === 'localuser') holds = matchesList(list, [username]);
      else if (criterion === 'exec')
        holds = isMatch && succeeds(expandTokens(text, lettersOf(names, values, hostNow(reading))));
      // What came into ssh_config later: such a block does not hold.
      else return false;
    }
    if (holds === isNegated) isMatch = false;
  }
  return isMatch;
}

/** Takes a setting unless one that came before goes over it. */
export function take({ key, words, rest }: ConfigLine, values: Values): void {
  if (words.length === 0 && rest === '') return;
  // Of these two the one that comes first holds.
  if (key === 'proxyjump' && values.has('proxycommand')) return;
  if (key === 'proxycommand' && (values.get('proxyjump')?.[0] ?? 'none').toLowerCase() !== 'none') return;
  if (ADDED.includes(key)) values.set(key, [...new Set([...(values.get(key) ?? []), ...words.slice(0, 1)])]);
  else if (!values.has(key)) values.set(key, COMMANDS.includes(key) ? [rest] : words);
}

function readText(file: string, isChecked: boolean): string {
  try {
    const { uid, mode } = statSync(file);
    const isForeign = uid !== 0 && uid !== process.getuid?.();
    // It may name commands: whoever may write it may do what we may.
    if (isChecked && (isForeign || (mode & 0o022) !== 0))
      throw new DrillbookError('usage.ssh-config', `${file} may be written by others, so it is not read`, {
        hint: `chmod 600 ${file}`,
      });
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof DrillbookError) throw error;
    return '';
  }
}

function readFile(file: string, includeFrom: string, reading: Reading, isChecked: boolean, depth = 0): void {
  let isActive = true;
  for (const text of readText(file, isChecked).split('\n')) {
    const line = configLine(text);
    if (line === undefined) continue;
    const { key, words } = line;
    if (key === 'host') isActive = matchesList(words, reading.isFinal ? [hostNow(reading)] : reading.names);
    else if (key === 'match') isActive = matches(words, reading);
    else if (!isActive) continue;
    else if (key === 'include' && depth < DEEPEST) {
      for (const word of words) {
        const path = expandHome(word);
        for (const found of globSync(isAbsolute(path) ? path : join(includeFrom, path)).sort())
          readFile(found, includeFrom, reading, isChecked, depth + 1);
      }
    } else take(line, reading.values);
  }
}

/**
 * What ssh_config says of a host, as `ssh -G` would: the first value of each keyword holds (ssh_config(5)). `before` goes
 * over all files, as options of ssh's command line do.
 */
export function readConfig(
  names: readonly string[],
  before: readonly (readonly [string, string])[] = [],
  file?: string,
): Values {
  const reading: Reading = { names, values: new Map(), isFinal: false, wantsFinal: false };
  for (const [key, value] of before) {
    const line = configLine(`${key} ${value}`);
    if (line) take(line, reading.values);
  }
  const userDirectory = join(homedir(), '.ssh');
  const readAll = (): void => {
    if (file !== undefined) return readFile(expandHome(file), userDirectory, reading, false);
    readFile(join(userDirectory, 'config'), userDirectory, reading, true);
    readFile('/etc/ssh/ssh_config', '/etc/ssh', reading, false);
  };
  readAll();
  if (reading.wantsFinal) {
    reading.values.set('hostname', [hostNow(reading)]);
    reading.isFinal = true;
    readAll();
  }
  return reading.values;
}
