import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Connection, Host, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { ensurePackages } from '../_apt.ts';
import { addUser, keygen, startSshd } from './_sshd.ts';
import type { Sshd, TestUser } from './_sshd.ts';

/** The key of all codes here, as the file of google-authenticator has it (base 32 of ten zero bytes). */
const SECRET = 'A'.repeat(16);
const PAM_SERVICE = 'drillbook-two-factors';

/** The code of this moment (RFC 6238). */
function codeNow(): string {
  const count = Buffer.alloc(8);
  count.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac('sha1', Buffer.alloc(10)).update(count).digest();
  const at = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

let directory: string;
let sshd: Sshd;
let user: TestUser;
const open: Transport[] = [];
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  await ensurePackages(['libpam-google-authenticator', 'busybox']);
  sshd = await startSshd();
  user = addUser();
  directory = mkdtempSync(join(tmpdir(), 'drillbook-login-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()));
  await Promise.all(stops.splice(0).map((stop) => stop()));
});
afterAll(async () => {
  user.remove();
  rmSync(directory, { recursive: true, force: true });
  rmSync(`/etc/pam.d/${PAM_SERVICE}`, { force: true });
  await sshd.stop();
});

type Ask = (question: string, isSecret: boolean) => Promise<string>;

const to = (host: Host, ask?: Ask): Transport => {
  const transport = openTransport(host, { redactor: new Redactor(), ask });
  open.push(transport);
  return transport;
};

async function server(settings: readonly string[], program?: string): Promise<Sshd> {
  const started = await startSshd(settings, [], program);
  stops.push(() => started.stop());
  return started;
}

const failureOf = (transport: Transport): Promise<{ message: string; code: string; hint?: string }> =>
  transport.open().then(
    () => Promise.reject(new Error('it was let in')),
    (error: unknown) => error as { message: string; code: string; hint?: string },
  );

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

describe('a password', { timeout: 60_000 }, () => {
  const PAM = ['UsePAM yes', 'KbdInteractiveAuthentication yes', 'PasswordAuthentication no'];
  const nobody = { identityFile: '/missing' };

  it('is given to PAM, which asks for it by keyboard-interactive', async () => {
    const pam = await server(PAM);
    const transport = to(pam.host({ user: user.name, password: user.password, ...nobody }));
    expect((await transport.sh('id -un')).stdout).toBe(`${user.name}\n`);
  });

  it('that PAM refuses is tried once, and shown nowhere', async () => {
    const pam = await server([...PAM, 'MaxAuthTries 6']);
    const { message, code } = await failureOf(
      to(pam.host({ user: user.name, password: 'not-this-one', ...nobody })),
    );
    expect(code).toBe('host.auth');
    expect(message).toContain('password by keyboard-interactive');
    expect(message).not.toContain('not-this-one');
    const both = await server(['UsePAM yes', 'KbdInteractiveAuthentication yes']);
    const refused = await failureOf(to(both.host({ user: user.name, password: 'not-this-one', ...nobody })));
    expect(refused.message).toContain('tried password; /missing');
  });
});

describe('two factors', { timeout: 60_000 }, () => {
  /** An sshd whose PAM wants a code and then the password. */
  async function twoFactors(settings: readonly string[]): Promise<Sshd> {
    const own = mkdtempSync(join(directory, 'pam-'));
    const secret = join(own, 'secret');
    writeFileSync(secret, `${SECRET}\n" TOTP_AUTH\n`, { mode: 0o600 });
    writeFileSync(
      `/etc/pam.d/${PAM_SERVICE}`,
      `auth required pam_google_authenticator.so secret=${secret} user=root no_increment_hotp\n` +
        'auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n',
    );
    const program = join(own, PAM_SERVICE);
    symlinkSync('/usr/sbin/sshd', program);
    chmodSync(directory, 0o755);
    return server(['UsePAM yes', 'KbdInteractiveAuthentication yes', ...settings], program);
  }

  it('are asked for on the terminal, but for the password that is known', async () => {
    const pam = await twoFactors(['PasswordAuthentication no']);
    const asked: [string, boolean][] = [];
    const ask: Ask = (question, isSecret) => {
      asked.push([question, isSecret]);
      return Promise.resolve(codeNow());
    };
    const host = pam.host({ user: user.name, password: user.password, identityFile: '/missing' });
    expect((await to(host, ask).sh('id -un')).stdout).toBe(`${user.name}\n`);
    expect(asked).toEqual([['node1: Verification code: ', true]]);
  });

  it('behind a key are asked for only when the key was taken', async () => {
    const pam = await twoFactors(['AuthenticationMethods publickey,keyboard-interactive']);
    const asked: string[] = [];
    const ask: Ask = (question) => {
      asked.push(question);
      return Promise.resolve(question.includes('code') ? codeNow() : user.password);
    };
    expect((await to(pam.host({ user: user.name }), ask).sh('id -un')).stdout).toBe(`${user.name}\n`);
    expect(asked).toEqual(['node1: Verification code: ', 'node1: Password: ']);
    keygen(join(directory, 'stranger'));
    await failureOf(to(pam.host({ user: user.name, identityFile: join(directory, 'stranger') }), ask));
    expect(asked).toHaveLength(2);
  });

  it('are told where there is no terminal to ask on', async () => {
    const pam = await twoFactors(['PasswordAuthentication no']);
    const host = pam.host({ user: user.name, password: user.password, identityFile: '/missing' });
    const { message } = await failureOf(to(host));
    expect(message).toContain('it asks for `Verification code:`, and there is no terminal to ask on');
  });

  it('may take as long as it takes, whatever the time for a handshake', async () => {
    const pam = await twoFactors(['PasswordAuthentication no']);
    const ask: Ask = () => new Promise((resolve) => setTimeout(() => resolve(codeNow()), 2500));
    const connection: Partial<Connection> = {
      password: user.password,
      identityFile: '/missing',
      connectTimeoutMs: 2000,
    };
    await to(pam.host({ user: user.name, ...connection }), ask).open();
  });

  it.each(['publickey,password', 'password,publickey'])('of sshd itself: %s', async (methods) => {
    const strict = await server([`AuthenticationMethods ${methods}`]);
    const transport = to(strict.host({ user: user.name, password: user.password }));
    expect((await transport.sh('id -un')).stdout).toBe(`${user.name}\n`);
  });
});

describe('an encrypted key', { timeout: 60_000 }, () => {
  const locked = (name: string): string => {
    const key = join(directory, name);
    copyFileSync(sshd.identityFile, key);
    chmodSync(key, 0o600);
    execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', key]);
    return key;
  };

  it('asks for its passphrase once, for all hosts', async () => {
    const identityFile = locked('locked-1');
    const asked: string[] = [];
    const ask: Ask = (question) => {
      asked.push(question);
      return Promise.resolve(asked.length === 1 ? 'shut sesame' : 'open sesame');
    };
    await Promise.all([1, 2, 3].map(() => to(sshd.host({ identityFile }), ask).open()));
    const question = `Passphrase of ${identityFile}: `;
    expect(asked).toEqual([question, question]);
  });

  it('asks nothing where the host does not take it, and tells when no passphrase was right', async () => {
    const identityFile = locked('locked-2');
    const asked: string[] = [];
    const ask: Ask = (question) => {
      asked.push(question);
      return Promise.resolve('shut sesame');
    };
    const deaf = await server(['PubkeyAuthentication no']);
    await failureOf(to(deaf.host({ identityFile }), ask));
    expect(asked).toEqual([]);
    const { message } = await failureOf(to(sshd.host({ identityFile }), ask));
    expect(message).toContain(`the passphrase of ${identityFile} is wrong`);
    expect(asked).toHaveLength(3);
  });
});

describe('an agent', { timeout: 60_000 }, () => {
  it('is forwarded only when it is asked for, and a host that forbids it is reached all the same', async () => {
    const socket = join(directory, 'agent');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    try {
      const env = { ...process.env, SSH_AUTH_SOCK: socket };
      const add = (): boolean => spawnSync('ssh-add', ['-q', sshd.identityFile], { env }).status === 0;
      while (!add()) await new Promise((resolve) => setImmediate(resolve));
      const LIST = 'ssh-add -l 2>&1 || true';
      const withAgent = (options: readonly (readonly [string, string])[]): Partial<Connection> => ({
        sshOptions: [['IdentityAgent', socket], ...options],
      });
      const off = await to(sshd.host(withAgent([]))).sh(LIST);
      expect(off.stdout).toContain('Could not open a connection');
      const on = await to(sshd.host(withAgent([['ForwardAgent', 'yes']]))).sh(LIST);
      expect(on.stdout).toMatch(/^256 SHA256:\S+ test \(ED25519\)/);
      const strict = await server(['AllowAgentForwarding no']);
      const denied = await to(strict.host(withAgent([['ForwardAgent', 'yes']]))).sh('echo in');
      expect(denied.stdout).toBe('in\n');
    } finally {
      agent.kill();
    }
  });
});

describe('options of ssh', { timeout: 60_000 }, () => {
  const knownIn = (name: string): { path: string; options: [string, string][] } => {
    const path = file(name, '');
    return {
      path,
      options: [
        ['UserKnownHostsFile', path],
        ['GlobalKnownHostsFile', '/dev/null'],
      ],
    };
  };

  it('note the key of a new host down where ssh_config says so, and never take a changed one', async () => {
    const { path, options } = knownIn('known-new');
    const host = (policy: string): Host =>
      sshd.host({ knownHosts: undefined, sshOptions: [['StrictHostKeyChecking', policy], ...options] });
    expect((await failureOf(to(host('ask')))).code).toBe('host.key-unknown');
    await to(host('accept-new')).open();
    expect(readFileSync(path, 'utf8')).toMatch(
      new RegExp(`^\\[127\\.0\\.0\\.1\\]:${sshd.port} ssh-ed25519 \\S+\\n$`),
    );
    await to(host('ask')).open();
    keygen(join(directory, 'other-host'));
    const [type, blob] = readFileSync(join(directory, 'other-host.pub'), 'utf8').split(' ');
    writeFileSync(path, `[127.0.0.1]:${sshd.port} ${type} ${blob}\n`);
    expect((await failureOf(to(host('no')))).code).toBe('host.key-changed');
  });

  it('write to the operator’s own file where they would have it nowhere, as many an inventory of Ansible’s does', async () => {
    const before = process.env['HOME'];
    process.env['HOME'] = join(directory, 'home');
    const anywhere: [string, string][] = [
      ['StrictHostKeyChecking', 'no'],
      ['UserKnownHostsFile', '/dev/null'],
      ['GlobalKnownHostsFile', '/dev/null'],
    ];
    const host = sshd.host({ knownHosts: undefined, sshOptions: anywhere });
    try {
      await to(host).open();
      const file = join(directory, 'home/.ssh/known_hosts');
      expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(2);
      await to(host).open();
      expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(2);
      rmSync(join(directory, 'home'), { recursive: true });
      writeFileSync(join(directory, 'home'), '');
      expect((await failureOf(to(host))).message).toContain('cannot be noted in');
    } finally {
      process.env['HOME'] = before;
    }
  });

  it('note it as a hash where names are to be hidden', async () => {
    const { path, options } = knownIn('known-hashed');
    const policy = [['StrictHostKeyChecking', 'accept-new'], ['HashKnownHosts', 'yes'], ...options] as [
      string,
      string,
    ][];
    await to(sshd.host({ knownHosts: undefined, sshOptions: policy })).open();
    expect(readFileSync(path, 'utf8')).toMatch(/^\|1\|\S+\|\S+ ssh-ed25519 /);
    await to(sshd.host({ knownHosts: undefined, sshOptions: options })).open();
  });

  it('reach a host through a command, and tell why that ended', async () => {
    const through = (command: string): Host => sshd.host({ sshOptions: [['ProxyCommand', command]] });
    const transport = to(through('busybox nc %h %p'));
    expect((await transport.sh('echo there')).stdout).toBe('there\n');
    const { message } = await failureOf(to(through("sh -c 'echo no way >&2; exit 7'")));
    expect(message).toMatch(/node1 .*the proxy command of node1 ended with 7: no way/);
  });

  it('leave out a way to log in', async () => {
    const transport = to(sshd.host({ sshOptions: [['PreferredAuthentications', 'password']] }));
    expect((await failureOf(transport)).message).toContain('there was nothing to try');
  });

  it('that name a certificate say that it is not used', async () => {
    const strict = await server([`AuthorizedKeysFile none`]);
    const { message, hint } = await failureOf(
      to(strict.host({ sshOptions: [['CertificateFile', '/etc/id-cert.pub']] })),
    );
    expect(message).toContain('the certificate /etc/id-cert.pub is not used');
    expect(hint).toContain('certificates of users are not supported');
  });
});

it('an inventory of Ansible’s leads to the host, by its own variables', { timeout: 60_000 }, async () => {
  const folder = join(directory, 'ansible');
  mkdirSync(join(folder, 'group_vars'), { recursive: true });
  writeFileSync(join(folder, 'hosts.ini'), `[db]\nnode1 ansible_host=127.0.0.1 ansible_port=${sshd.port}\n`);
  writeFileSync(
    join(folder, 'group_vars/db.yml'),
    `ansible_user: ${user.name}\nansible_ssh_private_key_file: "{{ inventory_dir }}/key"\n` +
      `ansible_ssh_common_args: -F /dev/null -o UserKnownHostsFile=${sshd.knownHosts} -o 'ServerAliveInterval 30'\n`,
  );
  copyFileSync(sshd.identityFile, join(folder, 'key'));
  chmodSync(join(folder, 'key'), 0o600);
  appendFileSync(join(folder, 'hosts.ini'), '\n');
  const host = loadInventory(join(folder, 'hosts.ini')).hosts.get('node1');
  if (!host) throw new Error('no host');
  expect((await to(host).sh('id -un')).stdout).toBe(`${user.name}\n`);
});

describe('a server that hangs up before it has greeted, as sshd does where many come at once', () => {
  /** Drops so many connections, then lets them through. */
  async function dropping(count: number): Promise<{ host: Host; seen: () => number }> {
    const real = sshd.host();
    let seen = 0;
    const door = createServer((socket) => {
      if (++seen <= count) {
        socket.destroy();
        return;
      }
      const inner = connect(real.connection.port ?? 22, '127.0.0.1');
      socket.pipe(inner).pipe(socket);
      for (const one of [socket, inner]) one.on('error', () => inner.destroy());
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    stops.push(
      () =>
        new Promise((resolve) => {
          door.close(() => resolve());
        }),
    );
    const connection: Connection = {
      ...real.connection,
      port: (door.address() as AddressInfo).port,
      sshConfig: file('alias', `Host *\n  HostKeyAlias [127.0.0.1]:${real.connection.port ?? 22}\n`),
    };
    return { host: { ...real, connection }, seen: () => seen };
  }

  it('is tried again', async () => {
    const { host, seen } = await dropping(2);
    expect((await to(host).sh('echo in')).stdout).toBe('in\n');
    expect(seen()).toBe(3);
  });

  it('is given up after a while', async () => {
    const { host, seen } = await dropping(99);
    expect((await failureOf(to(host))).code).toBe('host.unreachable');
    expect(seen()).toBe(4);
  });
});
