import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fleet } from './fleet.ts';
import type { Side } from './shell.ts';

const HERE = import.meta.dirname;
const PLAYBOOK = join(HERE, 'tasks-30.yml');

/** What npm links as `drillbook`: the whole way in is measured. */
const { bin } = JSON.parse(readFileSync(join(HERE, '../package.json'), 'utf8')) as {
  bin: { drillbook: string };
};
const MAIN = join(HERE, '..', bin.drillbook);

export const drillbook = (...args: readonly string[]): Side => ({
  command: [process.execPath, MAIN, ...args],
});

/** Every playbook that comes with drillbook. */
export const LINT_ALL: Side = drillbook('lint', join(HERE, '../playbooks'));

/** A run of one command on this machine: nearly all of it is its start. */
export function oneStep(folder: string): Side {
  const [playbook, inventory] = [join(folder, 'one.yml'), join(folder, 'inventory.yml')];
  writeFileSync(playbook, "name: One\nplays: [{ hosts: all, tasks: [{ command: 'true' }] }]\n");
  writeFileSync(inventory, 'connection: { transport: local }\nhosts: { here: {} }\n');
  return drillbook('run', playbook, '-i', inventory, '--state', join(folder, 'state'), '--output', 'plain');
}

/** The same fleet as drillbook, the floor and Ansible want to be told. */
export interface Sides {
  readonly drillbook: Side;
  readonly floor: Side;
  readonly ansible: Side;
}

export function sidesFor(fleet: Fleet, count: number): Sides {
  const hosts = fleet.hosts.slice(0, count);
  const folder = join(fleet.folder, `sides-${count}`);
  const inventory = join(folder, 'inventory.yml');
  mkdirSync(join(folder, 'control'), { recursive: true });
  const { identityFile, knownHosts } = fleet;
  // JSON is YAML too.
  writeFileSync(
    inventory,
    JSON.stringify({
      connection: { user: 'root', identity_file: identityFile, known_hosts: knownHosts },
      hosts: Object.fromEntries(
        hosts.map(({ name, address, vars }) => [name, { connection: { address }, vars }]),
      ),
    }),
  );
  writeFileSync(join(folder, 'fleet.json'), JSON.stringify({ hosts, identityFile, knownHosts }));
  // `name` and `port` are words of Ansible's own, but it only warns of them.
  writeFileSync(
    join(folder, 'ansible.json'),
    JSON.stringify({
      all: {
        hosts: Object.fromEntries(
          hosts.map(({ name, address, vars }) => [
            name,
            { ansible_host: address, ...vars, ansible_port: 22 },
          ]),
        ),
      },
    }),
  );
  writeFileSync(
    join(folder, 'ansible.cfg'),
    `[defaults]
forks = 50
gathering = explicit
interpreter_python = /usr/bin/python3
remote_user = root
private_key_file = ${identityFile}
[ssh_connection]
pipelining = True
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=${knownHosts}
control_path_dir = ${join(folder, 'control')}
`,
  );
  return {
    drillbook: drillbook(
      'run',
      PLAYBOOK,
      '-i',
      inventory,
      '--state',
      join(folder, 'state'),
      '--output',
      'plain',
    ),
    floor: { command: [process.execPath, join(HERE, 'floor.ts'), join(folder, 'fleet.json')] },
    ansible: {
      command: ['ansible-playbook', '-i', join(folder, 'ansible.json'), join(HERE, 'ansible/tasks-30.yml')],
      env: { ANSIBLE_CONFIG: join(folder, 'ansible.cfg'), ANSIBLE_NOCOLOR: '1', LC_ALL: 'C.UTF-8' },
    },
  };
}
