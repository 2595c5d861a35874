import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { DrillbookError } from '../../core/error.ts';
import type { Become, Connection } from '../../core/host.ts';
import { suggest } from '../../core/nearest.ts';
import { render } from '../template.ts';
import type { Scope } from '../template.ts';
import type { Part } from './draft.ts';
import type { ConnectionText } from './schema.ts';
import { sshArguments } from './ssh-arguments.ts';

/** How a host is reached, and how its steps become another user. */
export interface Reached {
  readonly connection: Connection;
  readonly become: Become | undefined;
  readonly becoming: Become | undefined;
}

/** What Ansible's variables say; of several names for one thing the last one wins, as there. */
interface Told {
  text(...names: string[]): string | undefined;
  number(...names: string[]): number | undefined;
  flag(...names: string[]): boolean | undefined;
  fault(name: string, message: string, hint?: string): void;
}

type Fault = (name: string, message: string, hint?: string) => void;

/** Variables as a host's own connection sees them: rendered late, with the few names of Ansible's that files use there. */
function scopeOf(host: string, file: string, vars: Scope): Scope {
  const scope: Record<string, unknown> = {};
  const own = {
    inventory_hostname: host,
    inventory_hostname_short: host.split('.')[0],
    inventory_file: file,
    inventory_dir: dirname(file),
    ...vars,
  };
  for (const [name, value] of Object.entries(own)) {
    let isOpen = false;
    const get = (): unknown => {
      if (isOpen) throw new DrillbookError('parse.inventory', `\`${name}\` needs itself`);
      isOpen = true;
      try {
        return render(value, scope, name);
      } finally {
        isOpen = false;
      }
    };
    Object.defineProperty(scope, name, { get, enumerable: true, configurable: true });
  }
  return scope;
}

function toldBy(vars: Scope, scope: () => Scope, fault: Fault): Told {
  const valueOf = (names: readonly string[]): { name: string; value: unknown } | undefined => {
    const name = names.findLast((one) => vars[one] !== undefined && vars[one] !== null);
    if (name === undefined) return undefined;
    const written = vars[name];
    if (typeof written !== 'string' || !written.includes('{{')) return { name, value: written };
    try {
      return { name, value: render(written, scope(), name) };
    } catch (error) {
      fault(name, (error as Error).message, error instanceof DrillbookError ? error.hint : undefined);
      return undefined;
    }
  };
  const told = <T>(names: readonly string[], wanted: string, read: (value: unknown) => T | undefined) => {
    const found = valueOf(names);
    if (!found) return undefined;
    const value = read(found.value);
    if (value === undefined) fault(found.name, `\`${found.name}\`: ${wanted} is wanted`);
    return value;
  };
  const isText = (value: unknown): value is string | number =>
    typeof value === 'string' || typeof value === 'number';
  return {
    fault,
    text: (...names) => told(names, 'a text', (value) => (isText(value) ? String(value) : undefined)),
    number: (...names) =>
      told(names, 'a whole number', (value) =>
        isText(value) && /^\d{1,9}$/.test(String(value)) ? Number(value) : undefined,
      ),
    flag: (...names) =>
      told(names, 'yes or no', (value) => {
        const word = String(value).toLowerCase();
        if (['true', 'yes', 'on', 'y', 't', '1', '1.0'].includes(word)) return true;
        return ['false', 'no', 'off', 'n', 'f', '0', '0.0', ''].includes(word) ? false : undefined;
      }),
  };
}

const LOCAL = ['local', 'ansible.builtin.local'];
const SSH = [
  'ssh',
  'smart',
  'paramiko',
  'paramiko_ssh',
  'ansible.builtin.ssh',
  'ansible.builtin.paramiko_ssh',
];

const home = (path: string): string =>
  path.startsWith('~/') ? resolve(homedir(), path.slice(2)) : resolve(path);

function fromAnsible(told: Told): Connection {
  const kind = told.text('ansible_connection');
  const options: (readonly [string, string])[] = [];
  for (const name of ['ansible_ssh_args', 'ansible_ssh_common_args', 'ansible_ssh_extra_args']) {
    try {
      options.push(...sshArguments(told.text(name) ?? ''));
    } catch (error) {
      told.fault(name, `\`${name}\`: ${(error as Error).message}`);
    }
  }
  if (told.flag('ansible_host_key_checking', 'ansible_ssh_host_key_checking') === false)
    options.push(['StrictHostKeyChecking', 'no']);
  const config = options.find(([key]) => key === '-F')?.[1];
  const key = told.text('ansible_private_key_file', 'ansible_ssh_private_key_file');
  const timeout = told.number('ansible_timeout', 'ansible_ssh_timeout');
  const isLocal = kind !== undefined && LOCAL.includes(kind);
  const isSsh = kind === undefined || SSH.includes(kind);
  return {
    transport: isLocal ? 'local' : 'ssh',
    address: told.text('ansible_host', 'ansible_ssh_host'),
    port: told.number('ansible_port', 'ansible_ssh_port'),
    user: told.text('ansible_user', 'ansible_ssh_user'),
    password: told.text('ansible_password', 'ansible_ssh_pass', 'ansible_ssh_password'),
    identityFile: key === undefined ? undefined : home(key),
    passphrase: told.text('ansible_private_key_passphrase', 'ansible_ssh_private_key_passphrase'),
    sshConfig: config === undefined ? undefined : home(config),
    sshOptions: options.length === 0 ? undefined : options.filter(([name]) => name !== '-F'),
    connectTimeoutMs: timeout === undefined ? undefined : timeout * 1000,
    unusable:
      isLocal || isSsh
        ? undefined
        : `ansible_connection is \`${kind}\`, and drillbook knows ssh and local alone`,
  };
}

/** The settings that are there, so that they go over others. */
const given = <T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, own]) => own !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

function fromParts(parts: readonly Part[]): Partial<Connection> {
  const paths = ['identity_file', 'known_hosts', 'ssh_config'] as const;
  const layers = parts.flatMap(({ connection, file }): ConnectionText[] => {
    if (!connection) return [];
    const found: ConnectionText = { ...connection };
    for (const key of paths) {
      const path = connection[key];
      if (path !== undefined) found[key] = path.startsWith('~/') ? home(path) : resolve(dirname(file), path);
    }
    return [found];
  });
  const merged: ConnectionText = Object.assign({}, ...layers);
  const options = Object.entries(merged.ssh_options ?? {}).map(([key, value]): readonly [string, string] => [
    key,
    typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value),
  ]);
  return given({
    transport: merged.transport,
    address: merged.address,
    port: merged.port,
    user: merged.user,
    password: merged.password,
    identityFile: merged.identity_file,
    passphrase: merged.passphrase,
    knownHosts: merged.known_hosts,
    sshConfig: merged.ssh_config,
    sshOptions: options.length === 0 ? undefined : options,
    proxyJump: merged.proxy_jump,
    connectTimeoutMs: merged.connect_timeout,
    reconnectTimeoutMs: merged.reconnect_timeout,
  });
}

const METHODS = ['sudo', 'su', 'doas'] as const;

function becomeOf(parts: readonly Part[], told: Told): Pick<Reached, 'become' | 'becoming'> {
  const word = told.text('ansible_become_method')?.replace(/^(?:ansible\.builtin|community\.general)\./, '');
  const method = METHODS.find((one) => one === word);
  if (word !== undefined && method === undefined)
    told.fault(
      'ansible_become_method',
      `\`ansible_become_method\`: ${word} is not known here`,
      suggest(word, METHODS),
    );
  const ansible = given({
    user: told.text('ansible_become_user', 'ansible_sudo_user'),
    method,
    password: told.text('ansible_become_password', 'ansible_become_pass', 'ansible_sudo_pass'),
  });
  const own = parts.flatMap(({ become }) => become ?? []);
  const isAlways = own.length > 0 || told.flag('ansible_become') === true;
  if (!isAlways && Object.keys(ansible).length === 0) return { become: undefined, becoming: undefined };
  const how = Object.assign({ user: 'root', method: 'sudo' }, ansible, ...own.map(given)) as Become;
  return { become: isAlways ? how : undefined, becoming: how };
}

/**
 * How a host is reached: drillbook's own `connection` and `become`, over what Ansible's variables say. `fault` hears what
 * is wrong with one of those.
 */
export function reach(
  host: string,
  parts: readonly Part[],
  vars: Scope,
  file: string,
  fault: Fault,
): Reached {
  let scope: Scope | undefined;
  const told = toldBy(vars, () => (scope ??= scopeOf(host, file, vars)), fault);
  const connection = { ...fromAnsible(told), ...fromParts(parts) };
  return { connection, ...becomeOf(parts, told) };
}
