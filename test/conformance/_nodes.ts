import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePackages } from '../_apt.ts';
import { freePort, startSshd } from '../transports/_sshd.ts';

/** The same hosts, as each engine wants to be told of them. */
export interface Inventories {
  readonly ours: string;
  readonly theirs: string;
}

/** Three real nodes, and the inventories by which each engine reaches them. */
export interface Nodes {
  readonly folder: string;
  readonly inventories: Inventories;
  /** With the host `gone`, which nobody can reach. */
  readonly withGone: Inventories;
  /** For Ansible's processes. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const NAMES = ['a', 'b', 'c'] as const;

/** Variables of all hosts, of the group `pair`, and of one host: each names what sets it. */
const ALL = { from_all: 'all', from_group: 'all', from_host: 'all', from_play: 'all', list: ['x', 'y', 'z'] };
const PAIR = { from_group: 'group', from_host: 'group' };
const hostVars = (name: string): object => ({ own: `of ${name}`, from_host: `host ${name}` });

export async function startNodes(): Promise<Nodes> {
  await ensurePackages(['ansible-core']);
  const folder = mkdtempSync(join(tmpdir(), 'drillbook-conformance-'));
  mkdirSync(join(folder, 'home'), { mode: 0o700 });
  mkdirSync(join(folder, 'control'));
  const home = `SetEnv HOME=${join(folder, 'home')} NODE=`;
  const sshds = await Promise.all(NAMES.map((name) => startSshd([`${home}${name}`, 'MaxSessions 100'])));
  const deadPort = await freePort();
  const knownHosts = join(folder, 'known_hosts');
  writeFileSync(knownHosts, sshds.map((sshd) => readFileSync(sshd.knownHosts, 'utf8')).join(''));
  const hosts = [
    ...NAMES.map((name, i) => ({ name, port: sshds[i]?.port ?? 0, key: sshds[i]?.identityFile ?? '' })),
    { name: 'gone', port: deadPort, key: sshds[0]?.identityFile ?? '' },
  ];
  const write = (name: string, value: unknown): string => {
    const path = join(folder, name);
    // JSON is YAML too.
    writeFileSync(path, JSON.stringify(value, null, 1));
    return path;
  };
  const known = (hasGone: boolean) => hosts.filter(({ name }) => hasGone || name !== 'gone');
  const groups = { pair: ['a', 'b'], other: ['c'], ends: ['a', 'c'] };
  const ours = (hasGone: boolean): string =>
    write(`ours-${hasGone}.yml`, {
      connection: { address: '127.0.0.1', user: 'root', known_hosts: knownHosts, ssh_config: '/dev/null' },
      vars: ALL,
      hosts: Object.fromEntries(
        known(hasGone).map(({ name, port, key }) => [
          name,
          { connection: { port, identity_file: key }, vars: hostVars(name) },
        ]),
      ),
      groups: { ...entries(groups, (names) => ({ hosts: names })), pair: { hosts: groups.pair, vars: PAIR } },
    });
  const theirs = (hasGone: boolean): string =>
    write(`theirs-${hasGone}.json`, {
      all: {
        vars: { ...ALL, ansible_host: '127.0.0.1', ansible_user: 'root' },
        hosts: Object.fromEntries(
          known(hasGone).map(({ name, port, key }) => [
            name,
            { ansible_port: port, ansible_ssh_private_key_file: key, ...hostVars(name) },
          ]),
        ),
        children: {
          ...entries(groups, (names) => ({ hosts: Object.fromEntries(names.map((name) => [name, {}])) })),
          pair: { hosts: { a: {}, b: {} }, vars: PAIR },
        },
      },
    });
  writeFileSync(
    join(folder, 'ansible.cfg'),
    `[defaults]
gathering = explicit
vars_plugins_enabled =
interpreter_python = /usr/bin/python3
callback_plugins = ${join(import.meta.dirname, 'ansible/callbacks')}
stdout_callback = trail
local_tmp = ${join(folder, 'local')}
retry_files_enabled = False
[inventory]
enable_plugins = yaml
[ssh_connection]
pipelining = True
retries = 0
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=${knownHosts}
control_path_dir = ${join(folder, 'control')}
`,
  );
  const config = join(folder, 'ansible.cfg');
  return {
    folder,
    inventories: { ours: ours(false), theirs: theirs(false) },
    withGone: { ours: ours(true), theirs: theirs(true) },
    env: {
      HOME: join(folder, 'home'),
      ANSIBLE_CONFIG: config,
      ANSIBLE_NOCOLOR: '1',
      LC_ALL: 'C.UTF-8',
      PYTHONDONTWRITEBYTECODE: '1',
    },
    async stop() {
      for (const name of readdirSync(join(folder, 'control'))) {
        // A master that is gone already is what is wanted.
        const path = `ControlPath=${join(folder, 'control', name)}`;
        tried(() => execFileSync('ssh', ['-O', 'exit', '-o', path, 'x'], { stdio: 'ignore' }));
      }
      await Promise.all(sshds.map((sshd) => sshd.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const entries = <T, U>(map: Readonly<Record<string, T>>, of: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(map).map(([name, value]) => [name, of(value)]));

function tried(work: () => unknown): void {
  try {
    work();
  } catch {
    // Told by what comes after.
  }
}
