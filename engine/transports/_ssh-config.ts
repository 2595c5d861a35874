import { globSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** What ssh_config says of a host; the first value wins, as in OpenSSH (ssh_config(5)). */
export interface SshSettings {
  readonly hostName: string | undefined;
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly identityFiles: readonly string[];
  readonly isIdentitiesOnly: boolean;
  readonly identityAgent: string | undefined;
  readonly proxyJump: string | undefined;
  readonly hostKeyAlias: string | undefined;
  readonly userKnownHosts: readonly string[] | undefined;
  readonly globalKnownHosts: readonly string[] | undefined;
  readonly connectTimeoutMs: number | undefined;
}

/** `~` and the user's home at the front of a path. */
export const expandHome = (path: string): string =>
  path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;

/** `*` and `?` as in the patterns of ssh_config and known_hosts. */
export function matchesPattern(pattern: string, name: string): boolean {
  const source = RegExp.escape(pattern.toLowerCase()).replaceAll('\\*', '.*').replaceAll('\\?', '.');
  return new RegExp(`^${source}$`, 's').test(name.toLowerCase());
}

/** A list of patterns holds for a name when one matches and no `!` one does. */
export function matchesList(patterns: readonly string[], names: readonly string[]): boolean {
  const hits = patterns.filter((pattern) =>
    names.some((name) => matchesPattern(pattern.replace(/^!/, ''), name)),
  );
  return hits.length > 0 && !hits.some((pattern) => pattern.startsWith('!'));
}

/** The words of a line; double quotes keep blanks, an unquoted `#` ends it. */
function words(line: string): string[] {
  const found: string[] = [];
  for (const [, quoted, word] of line.matchAll(/"([^"]*)"|([^\s"]+)/g)) {
    if (word?.startsWith('#') === true) break;
    found.push(quoted ?? word ?? '');
  }
  return found;
}

type Values = Map<string, string[]>;

interface Reading {
  readonly names: readonly string[];
  readonly user: string | undefined;
  readonly values: Values;
}

function matches(criteria: readonly string[], reading: Reading): boolean {
  for (let i = 0; i < criteria.length; i++) {
    const criterion = (criteria[i] ?? '').toLowerCase();
    if (criterion === 'all') continue;
    const list = (criteria[++i] ?? '').split(',');
    const hostName = reading.values.get('hostname')?.[0];
    const subjects: Record<string, readonly string[]> = {
      host: hostName === undefined ? reading.names : [hostName],
      originalhost: reading.names,
      user: [reading.user ?? reading.values.get('user')?.[0] ?? userInfo().username],
      localuser: [userInfo().username],
    };
    const isNegated = criterion.startsWith('!');
    const subject = subjects[criterion.replace(/^!/, '')];
    // `exec`, `canonical`, `final` and what comes later are not ours to run: such a block does not hold.
    if (subject === undefined || matchesList(list, subject) === isNegated) return false;
  }
  return true;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function readConfig(
  file: string,
  includeFrom: string,
  reading: Reading,
  isActiveAtStart: boolean,
  depth: number,
): void {
  let isActive = isActiveAtStart;
  for (const line of (readText(file) ?? '').split('\n')) {
    const split = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)$/.exec(line);
    if (split === null) continue;
    const key = (split[1] ?? '').toLowerCase();
    const values = words(split[2] ?? '');
    if (key === 'host') isActive = isActiveAtStart && matchesList(values, reading.names);
    else if (key === 'match') isActive = isActiveAtStart && matches(values, reading);
    else if (!isActive) continue;
    else if (key === 'include' && depth < 16) {
      for (const value of values) {
        const path = expandHome(value);
        for (const found of globSync(isAbsolute(path) ? path : join(includeFrom, path)).sort()) {
          readConfig(found, includeFrom, reading, true, depth + 1);
        }
      }
    } else if (key === 'identityfile') {
      reading.values.set(key, [...(reading.values.get(key) ?? []), ...values]);
    } else if (!reading.values.has(key)) reading.values.set(key, values);
  }
}

/** `names`: what the host is called on the command line of ssh, and its address where one is known. */
export function readSshConfig(
  names: readonly string[],
  options: {
    readonly file?: string | undefined;
    readonly user?: string | undefined;
    readonly port?: number | undefined;
  } = {},
): SshSettings {
  const reading: Reading = { names, user: options.user, values: new Map() };
  const userDirectory = join(homedir(), '.ssh');
  if (options.file === undefined) {
    readConfig(join(userDirectory, 'config'), userDirectory, reading, true, 0);
    readConfig('/etc/ssh/ssh_config', '/etc/ssh', reading, true, 0);
  } else {
    readConfig(expandHome(options.file), userDirectory, reading, true, 0);
  }

  const first = (key: string): string | undefined => reading.values.get(key)?.[0];
  const name = names[0] ?? '';
  const hostName = first('hostname')?.replaceAll('%h', name).replaceAll('%%', '%');
  const number = (text: string | undefined): number | undefined =>
    text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  const port = number(first('port'));
  const user = first('user');
  const letters: Readonly<Record<string, string>> = {
    '%': '%',
    d: homedir(),
    h: hostName ?? name,
    n: name,
    p: String(options.port ?? port ?? 22),
    r: options.user ?? user ?? userInfo().username,
    u: userInfo().username,
  };
  const expand = (path: string): string =>
    expandHome(path.replace(/%([%dhnpru])/g, (all, letter: string) => letters[letter] ?? all));
  const timeout = number(first('connecttimeout'));
  return {
    hostName,
    user,
    port,
    identityFiles: (reading.values.get('identityfile') ?? []).filter((path) => path !== 'none').map(expand),
    isIdentitiesOnly: first('identitiesonly')?.toLowerCase() === 'yes',
    identityAgent: first('identityagent'),
    proxyJump: first('proxyjump'),
    hostKeyAlias: first('hostkeyalias'),
    userKnownHosts: reading.values.get('userknownhostsfile')?.map(expand),
    globalKnownHosts: reading.values.get('globalknownhostsfile')?.map(expand),
    connectTimeoutMs: timeout === undefined ? undefined : timeout * 1000,
  };
}
