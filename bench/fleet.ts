import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from './shell.ts';

export interface FleetHost {
  readonly name: string;
  readonly address: string;
  readonly vars: Readonly<Record<string, string | number>>;
}

export interface Fleet {
  readonly folder: string;
  readonly hosts: readonly FleetHost[];
  readonly identityFile: string;
  readonly knownHosts: string;
  /** Empties every host, as before a first run. */
  reset(): void;
  remove(): void;
}

/** A /16 of 10.0.0.0/8 that no link of this machine uses. */
function freeNet(): string {
  const used = must('ip', '-o', '-4', 'addr') + must('ip', '-4', 'route');
  for (let second = 190; second < 250; second++) if (!used.includes(` 10.${second}.`)) return `10.${second}`;
  throw new Error('no free network between 10.190.0.0/16 and 10.249.0.0/16');
}

const sshdConfig = (folder: string): string => `
Port 22
HostKey ${folder}/host_key
AuthorizedKeysFile ${folder}/key.pub
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 1000
MaxSessions 1000
LogLevel ERROR
Subsystem sftp internal-sftp
# This machine's ~/.bashrc is no part of the measure, and ~/.ansible is not to be left here.
SetEnv HOME=${folder}/home
`;

async function answers(address: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const socket = connect(22, address);
    const isUp = await once(socket, 'data').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`the sshd of the fleet does not answer on ${address}:22`);
}

const hostOf = (index: number, net: string, folder: string): FleetHost => {
  const name = `host${index + 1}`;
  const address = `${net}.${Math.floor(index / 250)}.${(index % 250) + 1}`;
  const vars = { name, address, root: `${folder}/hosts/${name}`, server_id: 200 + index, port: 3306 };
  return { name, address, vars: { ...vars, buffer_pool: '512M', offset: (index % 2) + 1 } };
};

/**
 * A real sshd in a network namespace of its own that answers on `count` addresses; each "host" writes under its own
 * folder. `delayMs` is added to each way of the wire.
 */
export async function openFleet(count: number, delayMs = 0): Promise<Fleet> {
  const folder = mkdtempSync(join(tmpdir(), 'drillbook-bench-'));
  const id = process.pid.toString(36);
  const [space, near, far] = [`bench-${id}`, `bn${id}`, `bf${id}`];
  const net = freeNet();
  const hosts = Array.from({ length: count }, (_, index) => hostOf(index, net, folder));
  const inside = (...args: readonly string[]): string => must('ip', 'netns', 'exec', space, ...args);

  const remove = (): void => {
    try {
      // sshd's sessions are processes of their own; everything in the namespace is ours.
      for (const pid of must('ip', 'netns', 'pids', space).split('\n')) {
        if (pid !== '') process.kill(Number(pid), 'SIGKILL');
      }
      must('ip', 'netns', 'del', space);
    } catch {
      // It was never made, or is gone.
    }
    rmSync(folder, { recursive: true, force: true });
  };
  const reset = (): void => {
    rmSync(join(folder, 'hosts'), { recursive: true, force: true });
    for (const { vars } of hosts) mkdirSync(String(vars['root']), { recursive: true });
  };

  try {
    must('ip', 'netns', 'add', space);
    must('ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', space);
    must('ip', 'addr', 'add', `${net}.255.254/16`, 'dev', near);
    must('ip', 'link', 'set', near, 'up');
    inside('ip', 'link', 'set', 'lo', 'up');
    inside('ip', 'link', 'set', far, 'up');
    for (const { address } of hosts) inside('ip', 'addr', 'add', `${address}/16`, 'dev', far);
    if (delayMs > 0) {
      must('tc', 'qdisc', 'add', 'dev', near, 'root', 'netem', 'delay', `${delayMs / 2}ms`);
      inside('tc', 'qdisc', 'add', 'dev', far, 'root', 'netem', 'delay', `${delayMs / 2}ms`);
    }
    must('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key'));
    must('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'host_key'));
    const [type, key] = readFileSync(join(folder, 'host_key.pub'), 'utf8').split(' ');
    writeFileSync(
      join(folder, 'known_hosts'),
      hosts.map(({ address }) => `${address} ${type} ${key}\n`).join(''),
    );
    mkdirSync(join(folder, 'home'), { mode: 0o700 });
    writeFileSync(join(folder, 'sshd_config'), sshdConfig(folder));
    // sshd drops its rights in between and must still reach the key file.
    chmodSync(folder, 0o755);
    mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    spawn('ip', ['netns', 'exec', space, '/usr/sbin/sshd', '-D', '-f', join(folder, 'sshd_config')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    reset();
    await answers(hosts[0]?.address ?? '');
  } catch (error) {
    remove();
    throw error;
  }
  return {
    folder,
    hosts,
    identityFile: join(folder, 'key'),
    knownHosts: join(folder, 'known_hosts'),
    reset,
    remove,
  };
}
