import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../engine/core/host.ts';
import { ensurePackages } from '../_apt.ts';

/** A real sshd of our own on a loopback address, with its own keys. */
export interface Sshd {
  readonly directory: string;
  readonly port: number;
  readonly identityFile: string;
  readonly knownHosts: string;
  readonly process: ChildProcess;
  /** A host of an inventory that reaches it. */
  host(connection?: Partial<Host['connection']>, rest?: Partial<Host>): Host;
  stop(): Promise<void>;
}

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

/** The port on which a server of a test listens. */
export const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

export const keygen = (file: string, type = 'ed25519', passphrase = ''): void => {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', 'test', '-f', file]);
};

/** Resolves when something listens. */
export async function answering(port: number, address = '127.0.0.1'): Promise<void> {
  for (;;) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, address, () => socket.destroy());
      socket.once('close', (hadError) => resolve(!hadError));
      socket.once('error', () => undefined);
    });
    if (isUp) return;
  }
}

/** `settings` go over its own; `before`: words in front of its command, such as `unshare -m …`; `program` names its PAM service. */
export async function startSshd(
  settings: readonly string[] = [],
  before: readonly string[] = [],
  program = '/usr/sbin/sshd',
): Promise<Sshd> {
  await ensurePackages(['openssh-server', 'openssh-client', 'sudo', 'busybox']);
  const directory = mkdtempSync(join(tmpdir(), 'drillbook-sshd-'));
  // A user that is tried must be able to read authorized_keys.
  chmodSync(directory, 0o755);
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const at = (name: string): string => join(directory, name);
  const port = await freePort();
  keygen(at('host_ed25519'));
  keygen(at('host_ecdsa'), 'ecdsa');
  keygen(at('id'));
  writeFileSync(at('authorized_keys'), readFileSync(at('id.pub')), { mode: 0o644 });
  const hostKey = readFileSync(at('host_ed25519.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(at('known_hosts'), `# keys of the test\n[127.0.0.1]:${port} ${hostKey}\n`);
  const config = [
    ...settings,
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${at('host_ecdsa')}`,
    `HostKey ${at('host_ed25519')}`,
    `AuthorizedKeysFile ${at('authorized_keys')}`,
    `PidFile ${at('pid')}`,
    'PermitRootLogin yes',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication yes',
    'Subsystem sftp internal-sftp',
    // A shell that is not the first reads no ~/.bashrc: what this machine's user has there is not what is tested.
    'SetEnv SHLVL=1',
  ];
  writeFileSync(at('sshd_config'), `${config.join('\n')}\n`);
  const [command = '', ...args] = [...before, program, '-D', '-e', '-f', at('sshd_config')];
  const process = spawn(command, args, { stdio: 'ignore' });
  await answering(port);
  return {
    directory,
    port,
    identityFile: at('id'),
    knownHosts: at('known_hosts'),
    process,
    host: (connection = {}, rest = {}) => ({
      name: 'node1',
      groups: [],
      vars: {},
      connection: {
        transport: 'ssh',
        address: '127.0.0.1',
        port,
        user: 'root',
        identityFile: at('id'),
        knownHosts: at('known_hosts'),
        sshConfig: '/dev/null',
        ...connection,
      },
      ...rest,
    }),
    async stop() {
      const ended = new Promise((resolve) => process.once('exit', resolve));
      if (process.exitCode === null && process.signalCode === null) {
        process.kill();
        await ended;
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface TestUser {
  readonly name: string;
  readonly password: string;
  remove(): void;
}

/** A user of this machine for the time of a test. `sudo`: a rule for it, such as `ALL=(ALL) ALL`. */
export function addUser(sudo?: string): TestUser {
  const name = `drill${randomBytes(4).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  const rule = `/etc/sudoers.d/${name}`;
  execFileSync('useradd', ['-m', '-s', '/bin/sh', name]);
  execFileSync('chpasswd', { input: `${name}:${password}\n` });
  const uid = execFileSync('id', ['-u', name]).toString().trim();
  if (sudo !== undefined) writeFileSync(rule, `${name} ${sudo}\n`, { mode: 0o440 });
  return {
    name,
    password,
    remove() {
      rmSync(rule, { force: true });
      execFileSync('userdel', ['-r', '-f', name], { stdio: 'ignore' });
      rmSync(`/var/tmp/drillbook-${uid}`, { recursive: true, force: true });
    },
  };
}
