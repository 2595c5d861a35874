import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Become, Connection, Host, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { promptWatch } from '../../engine/transports/_become.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { ensurePackages } from '../_apt.ts';
import { addUser, startSshd } from './_sshd.ts';
import type { Sshd, TestUser } from './_sshd.ts';
import { transportSuite } from './_suite.ts';

const tools = (): { redactor: Redactor } => ({ redactor: new Redactor() });

for (const [method, rule] of [
  ['sudo', 'ALL=(ALL) ALL'],
  ['sudo', 'ALL=(ALL) NOPASSWD: ALL'],
  ['su', undefined],
] as const) {
  transportSuite(
    `the ssh transport as a user who becomes root by ${method} (${rule ?? 'own password'})`,
    async () => {
      const sshd = await startSshd();
      const user = addUser(rule);
      const other = addUser();
      // su asks for the password of the user to be become, which we must not set for root.
      const become =
        method === 'su'
          ? { user: other.name, method, password: other.password }
          : {
              user: 'root',
              method,
              password: rule?.includes('NOPASSWD') === true ? undefined : user.password,
            };
      return {
        transport: openTransport(sshd.host({ user: user.name }), tools()),
        become,
        async stop() {
          user.remove();
          other.remove();
          await sshd.stop();
        },
      };
    },
  );
}

describe('become', { timeout: 30_000 }, () => {
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
  const become = (): { user: string; method: 'sudo'; password: string } => ({
    user: 'root',
    method: 'sudo',
    password: user.password,
  });

  it('has the password neither in a command line nor in an environment', async () => {
    const transport = to({ user: user.name });
    const { stdout } = await transport.sh(
      'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"',
      {
        become: become(),
        args: [user.password],
      },
    );
    expect(stdout).toContain('sudo');
    expect(stdout).not.toContain(user.password);
  });

  it('says in one sentence that the password is wrong, and shows it nowhere', async () => {
    for (const method of ['sudo', 'su'] as const) {
      const wrong = { user: 'root', method, password: 'not-the-password' };
      const error = await to({ user: user.name })
        .sh('id', { become: wrong })
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        code: 'host.become',
        message: expect.stringContaining(`${method} on node1 refused the password`),
      });
      expect(JSON.stringify(error) + String(error)).not.toContain('not-the-password');
    }
    const id = { run: 'test', host: 'node1', key: randomUUID() };
    const dialogue = to({ user: user.name }).dialogue(id, 'id', [], {
      become: { ...become(), password: 'not-the-password' },
      mode: 'start',
    });
    await expect(dialogue).rejects.toMatchObject({ code: 'host.become' });
  });

  it('tries a wrong password once, so that no account is locked', async () => {
    const bin = join(directory, 'counting');
    const log = join(bin, 'log');
    mkdirSync(bin);
    chmodSync(bin, 0o777);
    symlinkSync('/bin/sh', join(bin, 'sh'));
    const asking = `#!/bin/sh\nwhile printf %s "$4" >&2 && IFS= read -r line; do echo tried >>${log}; done\n`;
    writeFileSync(join(bin, 'sudo'), asking, { mode: 0o755 });
    const counting = await startSshd([`SetEnv PATH=${bin}`]);
    const transport = openTransport(counting.host({ user: user.name }), tools());
    try {
      await expect(transport.sh('id', { become: become() })).rejects.toThrow('refused the password');
      expect(readFileSync(log, 'utf8')).toBe('tried\n');
    } finally {
      await transport.close();
      await counting.stop();
    }
  });

  it('says that a password is needed', async () => {
    const error = to({ user: user.name }).sh('id', { become: { user: 'root', method: 'sudo' } });
    await expect(error).rejects.toMatchObject({
      code: 'host.become',
      message: expect.stringContaining('none is given'),
    });
  });

  it('says that the rules do not allow it', async () => {
    const plain = addUser();
    try {
      const error = to({ user: plain.name }).sh('id', {
        become: { ...become(), password: plain.password },
      });
      await expect(error).rejects.toMatchObject({
        code: 'host.become',
        message: expect.stringContaining('is not allowed to'),
      });
    } finally {
      plain.remove();
    }
  });

  it('says that the user does not exist', async () => {
    const error = to({ user: user.name }).sh('id', { become: { ...become(), user: 'nosuchuser' } });
    await expect(error).rejects.toMatchObject({
      code: 'host.become',
      message: expect.stringContaining('nosuchuser'),
    });
  });

  it('says that sudo is not installed', async () => {
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    symlinkSync('/bin/sh', join(bin, 'sh'));
    const bare = await startSshd([`SetEnv PATH=${bin}`]);
    const transport = openTransport(bare.host({ user: user.name }), tools());
    try {
      const error = transport.sh('id', { become: become() });
      await expect(error).rejects.toMatchObject({
        code: 'host.become',
        message: expect.stringContaining('is not installed'),
      });
    } finally {
      await transport.close();
      await bare.stop();
    }
  });

  it('becomes root by doas where its rules ask for no password', async () => {
    await ensurePackages(['opendoas']);
    const rules = '/etc/doas.conf';
    const before = existsSync(rules) ? readFileSync(rules, 'utf8') : undefined;
    writeFileSync(rules, `${before ?? ''}\npermit nopass ${user.name} as root\n`, { mode: 0o600 });
    try {
      const transport = to({ user: user.name });
      expect((await transport.sh('id -un', { become: { user: 'root', method: 'doas' } })).stdout).toBe(
        'root\n',
      );
      writeFileSync(rules, `${before ?? ''}\npermit ${user.name} as root\n`, { mode: 0o600 });
      const refused = to({ user: user.name }).sh('id -un', { become: { user: 'root', method: 'doas' } });
      await expect(refused).rejects.toMatchObject({
        code: 'host.become',
        message: expect.stringContaining('needs a password'),
      });
    } finally {
      if (before === undefined) rmSync(rules);
      else writeFileSync(rules, before);
    }
  }, 120_000);

  /** Runs `work` while doas has this rule for the user. */
  async function withDoas(rule: string, work: () => Promise<void>): Promise<void> {
    await ensurePackages(['opendoas']);
    const rules = '/etc/doas.conf';
    const before = existsSync(rules) ? readFileSync(rules, 'utf8') : undefined;
    writeFileSync(rules, `${before ?? ''}\n${rule}\n`, { mode: 0o600 });
    try {
      await work();
    } finally {
      if (before === undefined) rmSync(rules);
      else writeFileSync(rules, before);
    }
  }
  const byDoas = (password: string): Become => ({ user: 'root', method: 'doas', password });

  it('gives doas its password on a terminal that nothing else sees', { timeout: 120_000 }, async () => {
    await withDoas(`permit ${user.name} as root`, async () => {
      const transport = to({ user: user.name });
      const become = byDoas(user.password);
      const { stdout } = await transport.sh('id -un; cat; ( : </dev/tty ) 2>/dev/null || echo no terminal', {
        become,
        stdin: 'what comes in\n',
      });
      expect(stdout).toBe('root\nwhat comes in\nno terminal\n');
      const seen = await transport.sh(
        'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"',
        { become },
      );
      expect(seen.stdout).toContain('doas');
      expect(seen.stdout).not.toContain(user.password);
      const big = 'x'.repeat(200_000);
      expect((await transport.sh('wc -c', { become, stdin: big })).stdout.trim()).toBe('200000');
    });
  });

  it('says what is wrong with doas, and waits for nothing', { timeout: 120_000 }, async () => {
    await withDoas(`permit ${user.name} as root`, async () => {
      const wrong = to({ user: user.name }).sh('id', { become: byDoas('not-the-password') });
      await expect(wrong).rejects.toMatchObject({
        code: 'host.become',
        message: expect.stringContaining('refused the password'),
      });
    });
    await withDoas(`deny ${user.name}`, async () => {
      const refused = to({ user: user.name }).sh('id', { become: byDoas(user.password) });
      await expect(refused).rejects.toMatchObject({
        code: 'host.become',
        message: expect.stringContaining('is not allowed to'),
      });
    });
    await withDoas(`permit nopass ${user.name} as root`, async () => {
      const { stdout } = await to({ user: user.name }).sh('id -un', { become: byDoas('needless') });
      expect(stdout).toBe('root\n');
    });
  });

  /** Runs `work` while sudo has these settings for the user. */
  async function withSudo(defaults: string, work: () => Promise<void>): Promise<void> {
    const rules = `/etc/sudoers.d/${user.name}-defaults`;
    writeFileSync(rules, `Defaults:${user.name} ${defaults}\n`, { mode: 0o440 });
    try {
      await work();
    } finally {
      rmSync(rules);
    }
  }

  it('hears a lecture of sudo to its end', async () => {
    const lecture = join(directory, 'lecture');
    writeFileSync(lecture, 'Mind these:\n 1. others\nPassword:\n');
    await withSudo(`lecture=always, lecture_file=${lecture}`, async () => {
      const transport = to({ user: user.name });
      expect((await transport.sh('id -un', { become: become() })).stdout).toBe('root\n');
      const wrong = { ...become(), password: 'not-the-password' };
      await expect(transport.sh('id', { become: wrong })).rejects.toThrow('refused the password');
    });
  });

  it('says that sudo wants a terminal, where it does', async () => {
    await withSudo('requiretty', async () => {
      await expect(to({ user: user.name }).sh('id', { become: become() })).rejects.toMatchObject({
        code: 'host.become',
        message: expect.stringContaining('needs a terminal'),
        hint: expect.stringContaining('requiretty'),
      });
    });
  });

  it('costs nothing to become the user one is', async () => {
    const transport = to();
    const [a, b] = [
      await transport.sh('echo $$'),
      await transport.sh('echo $$', { become: { user: 'root', method: 'sudo' } }),
    ];
    expect(b.stdout).toBe(a.stdout);
  });
});

describe('a prompt for a password', () => {
  const watch = (method: Become['method']): ((shown: string) => 'ask' | 'again' | undefined) =>
    promptWatch({ user: 'root', method }, 'MARK');

  it.each(['Password: ', '[sudo] Passwort für x: ', '密码：', 'LDAP Password for x: '])(
    'of PAM’s own is understood in any language: %s',
    (prompt) => {
      const shown = watch('sudo');
      expect(shown('We trust you:\n')).toBeUndefined();
      expect(shown(prompt)).toBe('ask');
      expect(shown('\nSorry, try again.\n')).toBeUndefined();
      expect(shown(prompt)).toBe('again');
    },
  );

  it('of sudo’s is the one we gave it, whatever stands before', () => {
    const shown = watch('sudo');
    expect(shown('three things: ')).toBe('ask');
    expect(shown('and a half\nMARK')).toBeUndefined();
    expect(shown('Sorry\nMARK')).toBe('again');
  });

  it('is no error on its way', () => {
    expect(watch('su')('su: ')).toBeUndefined();
    expect(watch('doas')('doas: ')).toBeUndefined();
    expect(watch('doas')('\rdoas (x@y) password: ')).toBe('ask');
  });
});
