import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Connection, Host, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { openSshWith } from '../../engine/transports/ssh.ts';
import { addUser, freePort, keygen, listening, startSshd } from './_sshd.ts';
import type { Sshd, TestUser } from './_sshd.ts';
import { eventually, transportSuite } from './_suite.ts';

const tools = (): { redactor: Redactor } => ({ redactor: new Redactor() });

for (const shell of ['sh', 'bash', 'busybox sh']) {
  transportSuite(`the ssh transport as root with ${shell}`, async () => {
    const sshd = await startSshd();
    return { transport: openSshWith(shell)(sshd.host(), tools()), stop: sshd.stop };
  });
}

describe('the ssh transport', { timeout: 30_000 }, () => {
  let sshd: Sshd;
  let user: TestUser;
  let directory: string;
  const open: Transport[] = [];

  beforeAll(async () => {
    sshd = await startSshd();
    user = addUser('ALL=(ALL) ALL');
    directory = mkdtempSync(join(tmpdir(), 'drillbook-ssh-'));
    chmodSync(directory, 0o755);
  });
  afterAll(async () => {
    await Promise.all(open.map((transport) => transport.close()));
    user.remove();
    rmSync(directory, { recursive: true, force: true });
    await sshd.stop();
  });

  const to = (connection: Partial<Connection> = {}, rest: Partial<Host> = {}): Transport => {
    const transport = openTransport(sshd.host(connection, rest), tools());
    open.push(transport);
    return transport;
  };
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  /** The public key of the server, as known_hosts has it. */
  const keyOf = (type: string): string =>
    readFileSync(join(sshd.directory, `host_${type}.pub`), 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ');
  const otherKey = (): string => {
    const path = join(directory, `key${Math.random()}`);
    keygen(path);
    return readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  };
  const knowing = (...lines: string[]): Partial<Connection> => ({
    knownHosts: file(`known${Math.random()}`, `${lines.join('\n')}\n`),
  });
  const name = (): string => `[127.0.0.1]:${sshd.port}`;

  describe('host keys', () => {
    it('takes a key that known_hosts has hashed', async () => {
      const known = knowing(`${name()} ${keyOf('ed25519')}`);
      execFileSync('ssh-keygen', ['-q', '-H', '-f', known.knownHosts ?? ''], { stdio: 'ignore' });
      expect(readFileSync(known.knownHosts ?? '', 'utf8')).toMatch(/^\|1\|/);
      await to(known).open();
    });

    it('refuses a key that is hashed under the name of another host', async () => {
      const known = knowing(`other ${keyOf('ed25519')}`);
      execFileSync('ssh-keygen', ['-q', '-H', '-f', known.knownHosts ?? ''], { stdio: 'ignore' });
      await expect(to(known).open()).rejects.toMatchObject({ code: 'host.key-unknown' });
    });

    it.each([
      ['a pattern', () => `[127.0.0.*]:* `],
      ['a list', () => `other,${name()} `],
      ['a name without its port', () => '127.0.0.1 '],
    ])('takes a key known under %s', async (_, prefix) => {
      await to(knowing(prefix() + keyOf('ed25519'))).open();
    });

    it('asks the server for the type of key that is known', async () => {
      await to(knowing(`${name()} ${keyOf('ecdsa')}`)).open();
    });

    it.each([
      ['nothing known', () => ''],
      ['a negated pattern', () => `[127.0.0.*]:*,!${name()} ${keyOf('ed25519')}`],
      ['another host', () => `[127.0.0.2]:${sshd.port} ${keyOf('ed25519')}`],
      ['a host authority only', () => `@cert-authority ${name()} ${otherKey()}`],
    ])('refuses an unknown key with its fingerprint: %s', async (_, line) => {
      const shown = execFileSync('ssh-keygen', ['-lf', join(sshd.directory, 'host_ed25519.pub')]).toString();
      const known = knowing(line());
      const hint = `ssh-keyscan -t ed25519 -p ${sshd.port} 127.0.0.1 >> ${known.knownHosts}`;
      await expect(to(known).open()).rejects.toMatchObject({
        code: 'host.key-unknown',
        host: 'node1',
        message: expect.stringContaining(shown.split(' ')[1] ?? '?'),
        hint: expect.stringContaining(hint),
      });
    });

    it('accepts a host after the command of the hint was run', async () => {
      const known = knowing('');
      const error = (await to(known)
        .open()
        .catch((reason: unknown) => reason)) as { hint: string };
      execFileSync('sh', ['-c', error.hint.slice(error.hint.indexOf('ssh-keyscan'))], { stdio: 'ignore' });
      await to(known).open();
    });

    it('refuses a changed key and names the line', async () => {
      const known = knowing('# comment', `${name()} ${otherKey()}`);
      await expect(to(known).open()).rejects.toMatchObject({
        code: 'host.key-changed',
        message: expect.stringContaining(`${known.knownHosts}:2`),
      });
    });

    it('refuses a revoked key even where it is known', async () => {
      const known = knowing(`${name()} ${keyOf('ed25519')}`, `@revoked * ${keyOf('ed25519')}`);
      await expect(to(known).open()).rejects.toMatchObject({
        code: 'host.key-changed',
        message: /is revoked by .*:2/,
      });
    });
  });

  describe('login', () => {
    it('says what was tried when no key is taken', async () => {
      keygen(join(directory, 'stranger'));
      const stranger = join(directory, 'stranger');
      await expect(to({ identityFile: stranger }).open()).rejects.toMatchObject({
        code: 'host.auth',
        message: `node1 does not let root in: tried key ${stranger}`,
      });
    });

    it('says that a key file is missing', async () => {
      const missing = join(directory, 'missing');
      await expect(to({ identityFile: missing }).open()).rejects.toThrow(`${missing} is missing`);
    });

    it('uses the passphrase of a key, and says when it is missing or wrong', async () => {
      const key = join(directory, 'locked');
      copyFileSync(sshd.identityFile, key);
      chmodSync(key, 0o600);
      execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', key]);
      await to({ identityFile: key, passphrase: 'open sesame' }).open();
      await expect(to({ identityFile: key }).open()).rejects.toThrow(
        `${key} is encrypted and no passphrase is given`,
      );
      const wrong = await to({ identityFile: key, passphrase: 'shut sesame' })
        .open()
        .catch((error: unknown) => error);
      expect(wrong).toMatchObject({
        code: 'host.auth',
        message: expect.stringContaining(`the passphrase of ${key} is wrong`),
      });
      expect(String(wrong)).not.toContain('shut sesame');
    });

    it('uses a password, and never shows it', async () => {
      const identityFile = join(directory, 'missing');
      const transport = to({ user: user.name, identityFile, password: user.password });
      expect((await transport.sh('id -un')).stdout).toBe(`${user.name}\n`);
      const wrong = await to({ user: user.name, identityFile, password: 'wrong-password' })
        .open()
        .catch((error: unknown) => error);
      expect(wrong).toMatchObject({ code: 'host.auth', message: expect.stringContaining('tried password') });
      expect(String(wrong)).not.toContain('wrong-password');
    });

    it('uses the keys of an agent', async () => {
      const socket = join(directory, 'agent');
      const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
      const before = process.env['SSH_AUTH_SOCK'];
      try {
        while (!readdirSync(directory).includes('agent'))
          await new Promise((resolve) => setImmediate(resolve));
        process.env['SSH_AUTH_SOCK'] = socket;
        const identityFile = join(directory, 'missing');
        await expect(to({ identityFile }).open()).rejects.toThrow(`agent ${socket}`);
        execFileSync('ssh-add', ['-q', sshd.identityFile], {
          env: { ...process.env, SSH_AUTH_SOCK: socket },
        });
        await to({ identityFile }).open();
      } finally {
        if (before === undefined) delete process.env['SSH_AUTH_SOCK'];
        else process.env['SSH_AUTH_SOCK'] = before;
        agent.kill();
      }
    });
  });

  describe('ssh_config', () => {
    it('gives all that the inventory leaves out', async () => {
      const sshConfig = file(
        'config',
        `Host node?\n  HostName 127.0.0.1\n  Port ${sshd.port}\n  User root\n  IdentityFile ${sshd.identityFile}\n  UserKnownHostsFile ${sshd.knownHosts}\n`,
      );
      const bare: Host = { name: 'node7', groups: [], vars: {}, connection: { transport: 'ssh', sshConfig } };
      const transport = openTransport(bare, tools());
      open.push(transport);
      expect((await transport.sh('id -un')).stdout).toBe('root\n');
    });

    it('goes through a chain of jump hosts, each with its own host key', async () => {
      const jumps = [await startSshd(), await startSshd()];
      try {
        const hosts = jumps.map(
          ({ port, identityFile }, i) =>
            `Host jump${i}\n  HostName 127.0.0.1\n  Port ${port}\n  User root\n  IdentityFile ${identityFile}\n`,
        );
        const sshConfig = file('jumps', hosts.join(''));
        const all = [sshd, ...jumps].map(({ knownHosts }) => readFileSync(knownHosts, 'utf8'));
        const known = knowing(...all);
        const transport = to({ ...known, sshConfig, proxyJump: 'jump0,jump1' });
        const { stdout } = await transport.sh('echo "$SSH_CLIENT"');
        expect(stdout).toMatch(/^127\.0\.0\.1 /);
        // Two more hosts behind the same jump hosts: no further handshake with them.
        const others = [
          to({ ...known, sshConfig, proxyJump: 'jump0,jump1' }),
          to({ ...known, sshConfig, proxyJump: 'jump0,jump1' }),
        ];
        await Promise.all(others.map((other) => other.open()));
        const sessions = (pid: number | undefined): string[] =>
          execFileSync('pgrep', ['-P', String(pid)])
            .toString()
            .trim()
            .split('\n');
        expect(jumps.map(({ process }) => sessions(process.pid).length)).toEqual([1, 1]);
        await Promise.all([transport, ...others].map((each) => each.close()));
        const partly = knowing(all[0] ?? '', all[1] ?? '');
        await expect(to({ ...partly, sshConfig, proxyJump: 'jump0,jump1' }).open()).rejects.toMatchObject({
          code: 'host.key-unknown',
          host: 'jump1',
        });
      } finally {
        await Promise.all(jumps.map((jump) => jump.stop()));
      }
    });

    it('says so when jump hosts lead in a circle', async () => {
      const sshConfig = file('circle', 'Host a\n ProxyJump b\nHost b\n ProxyJump a\n');
      await expect(to({ sshConfig, proxyJump: 'a' }).open()).rejects.toThrow('lead in a circle');
    });
  });

  describe('a host out of reach', () => {
    it('says that the connection is refused', async () => {
      const port = await freePort();
      await expect(to({ port }).open()).rejects.toMatchObject({
        code: 'host.unreachable',
        message: `node1 (127.0.0.1:${port}) refused the connection`,
      });
    });

    it('says that a name cannot be resolved', async () => {
      await expect(to({ address: 'node.invalid' }).open()).rejects.toMatchObject({
        code: 'host.unreachable',
        message: expect.stringContaining('cannot be resolved'),
      });
    });

    it('gives up on a server that never speaks', async () => {
      const server = createServer();
      const port = await listening(server);
      await expect(to({ port, connectTimeoutMs: 300 }).open()).rejects.toMatchObject({
        code: 'host.unreachable',
        message: expect.stringContaining('within 0.3 s'),
      });
      server.close();
    });

    it('gives up on a server that is none of ssh', async () => {
      const server = createServer((socket) => socket.end('HTTP/1.1 400 no\r\n\r\n'));
      const port = await listening(server);
      await expect(to({ port }).open()).rejects.toMatchObject({ code: 'host.unreachable' });
      server.close();
    });

    it('says that the connection was lost during an exchange, and connects anew for the next', async () => {
      const transport = to();
      await expect(transport.sh('kill -9 $PPID; sleep 60')).rejects.toMatchObject({
        code: 'host.lost',
        host: 'node1',
      });
      expect((await transport.sh('echo again')).stdout).toBe('again\n');
    });

    it('notices a dead link by itself', async () => {
      const transport = to();
      const parent = Number((await transport.sh('echo $PPID')).stdout);
      process.kill(parent, 'SIGSTOP');
      try {
        await expect(transport.sh('echo nothing')).rejects.toMatchObject({ code: 'host.lost' });
      } finally {
        process.kill(parent, 'SIGKILL');
      }
    });

    it('leaves no process on the host when it is closed', async () => {
      const transport = to();
      const { stdout } = await transport.sh('echo $$ $PPID');
      await transport.close();
      const isGone = (pid: number): boolean => {
        try {
          return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z');
        } catch {
          return true;
        }
      };
      while (!stdout.trim().split(' ').map(Number).every(isGone))
        await new Promise((resolve) => setImmediate(resolve));
    });
  });

  it('leaves the old file and no other when the disk is full', async () => {
    const disk = join(directory, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk]);
    try {
      const transport = to();
      const path = join(disk, 'file');
      await transport.put(path, Buffer.from('old'));
      for (const size of [100_000, 8000]) {
        if (size === 8000) writeFileSync(join(disk, 'filler'), Buffer.alloc(15 * 4096));
        const full = transport.put(path, Buffer.alloc(size, 'x'));
        await expect(full).rejects.toMatchObject({
          code: 'step.failed',
          message: expect.stringContaining('the disk is full'),
        });
        expect(readFileSync(path, 'utf8')).toBe('old');
        expect(readdirSync(disk).filter((each) => each.startsWith('.'))).toEqual([]);
      }
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  it('never moves a file in place that a lost connection has cut short', async () => {
    const transport = to();
    const path = join(directory, 'cut');
    await transport.put(path, Buffer.from('old'));
    const parent = Number((await transport.sh('echo $PPID')).stdout);
    const put = transport.put(path, Buffer.alloc(300_000_000)).catch((error: unknown) => error);
    const temporary = (): string[] => readdirSync(directory).filter((each) => each.startsWith('.drillbook'));
    await eventually(() => temporary().some((each) => statSync(join(directory, each)).size > 1_000_000));
    process.kill(parent, 'SIGKILL');
    expect(await put).toMatchObject({ code: 'host.lost' });
    await eventually(() => temporary().length === 0);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('has no more than 16 handshakes at a time', async () => {
    let most = 0;
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      most = Math.max(most, sockets.size);
      socket
        .on('error', () => undefined)
        .on('close', () => sockets.delete(socket))
        .resume();
    });
    const port = await listening(server);
    const opens = Array.from({ length: 40 }, () => to({ port, connectTimeoutMs: 400 }).open());
    const results = await Promise.allSettled(opens);
    server.close();
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    // The end of one may be seen after the start of the next.
    expect(most).toBeGreaterThanOrEqual(16);
    expect(most).toBeLessThan(32);
  });
});
