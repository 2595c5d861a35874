import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matchesList } from '../../engine/transports/_ssh-config.ts';
import { readSshConfig } from '../../engine/transports/_ssh-settings.ts';
import { resolveJump, resolveTarget } from '../../engine/transports/_target.ts';

describe('ssh_config', () => {
  const before = process.env['HOME'];
  let home: string;
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'drillbook-home-'));
    mkdirSync(join(home, '.ssh', 'conf.d'), { recursive: true });
    process.env['HOME'] = home;
  });
  afterAll(() => {
    process.env['HOME'] = before;
    rmSync(home, { recursive: true });
  });
  const config = (text: string): void => writeFileSync(join(home, '.ssh', 'config'), text);

  it('takes the first value that holds, and all identity files', () => {
    config(`
# comment
Host db1 db2
  User = first
  IdentityFile ~/.ssh/one
Host db*
    User second
    Port 2222
    IdentityFile "%d/two %n %r"
`);
    expect(readSshConfig(['db1'])).toMatchObject({
      user: 'first',
      port: 2222,
      identityFiles: [join(home, '.ssh/one'), join(home, 'two db1 first')],
    });
    expect(readSshConfig(['db9'])).toMatchObject({ user: 'second' });
    expect(readSshConfig(['web'])).toMatchObject({ user: undefined, port: undefined });
  });

  it('keeps out a host that a negated pattern names', () => {
    config('Host db? !db2\n  User dba\n');
    expect(readSshConfig(['db1']).user).toBe('dba');
    expect(readSshConfig(['db2']).user).toBeUndefined();
    expect(matchesList(['!db2'], ['db1'])).toBe(false);
  });

  it('reads what is included, relative to ~/.ssh, only where the block holds', () => {
    writeFileSync(join(home, '.ssh/conf.d/a'), 'Host db1\n  HostName 10.0.0.1\nHost *\n  Port 7\n');
    config('Host other\n  Include conf.d/*\nHost db1\n  Include conf.d/*\n  User last\n');
    expect(readSshConfig(['db1'])).toMatchObject({ hostName: '10.0.0.1', port: 7, user: 'last' });
    expect(readSshConfig(['db2'])).toMatchObject({ hostName: undefined, port: undefined });
  });

  it('expands %h, %p and %r in the names of files', () => {
    config('Host db1\n  HostName %h.example\n  UserKnownHostsFile ~/k-%h-%p-%r /second\n');
    expect(
      readSshConfig(
        ['db1'],
        [
          ['Port', '9'],
          ['User', 'u'],
        ],
      ),
    ).toMatchObject({
      hostName: 'db1.example',
      userKnownHosts: [join(home, 'k-db1.example-9-u'), '/second'],
    });
  });

  it('holds a Match block for all, host, user and a command', () => {
    config(
      'Match exec false\n  User no\nMatch host db1 user root\n  Port 5\nMatch !host db1 exec true\n  Port 6\nMatch all\n  User yes\n',
    );
    expect(readSshConfig(['db1'], [['User', 'root']])).toMatchObject({ port: 5, user: 'root' });
    expect(readSshConfig(['db2'])).toMatchObject({ port: 6, user: 'yes' });
  });

  it('lets the inventory win, and falls back to the defaults of ssh', () => {
    config('Host db1\n  HostName 10.0.0.1\n  User dba\n  Port 2222\n  ConnectTimeout 3\n  ProxyJump a,b\n');
    expect(resolveTarget('db1', { transport: 'ssh' })).toMatchObject({
      address: '10.0.0.1',
      user: 'dba',
      port: 2222,
      connectTimeoutMs: 3000,
      jumps: ['a', 'b'],
      isChosen: false,
      identityFiles: ['id_ed25519', 'id_ecdsa', 'id_rsa'].map((name) => join(home, '.ssh', name)),
      knownHosts: expect.arrayContaining([join(home, '.ssh/known_hosts'), '/etc/ssh/ssh_known_hosts']),
    });
    const mine = { transport: 'ssh', address: '10.9.9.9', user: 'me', port: 1, proxyJump: 'none' } as const;
    expect(resolveTarget('db1', mine)).toMatchObject({ address: '10.9.9.9', user: 'me', port: 1, jumps: [] });
    expect(resolveTarget('db7', { transport: 'ssh' })).toMatchObject({
      address: 'db7',
      user: userInfo().username,
      port: 22,
    });
  });

  it('is not read where others may write it, for it may name commands', () => {
    config('Match exec "touch /tmp/never"\n  User x\n');
    chmodSync(join(home, '.ssh/config'), 0o666);
    expect(() => readSshConfig(['db1'])).toThrow('may be written by others, so it is not read');
    chmodSync(join(home, '.ssh/config'), 0o600);
  });

  it('gives the user’s file before that of the machine, and options before both', () => {
    config('Host db1\n  Port 1\n');
    expect(readSshConfig(['db1'], [['Port', '2']]).port).toBe(2);
    expect(readSshConfig(['db1']).port).toBe(1);
  });

  it('matches a block by the address of the inventory as well as by the name', () => {
    config('Host 10.9.*\n  ProxyJump bastion\n');
    expect(resolveTarget('db1', { transport: 'ssh', address: '10.9.9.9' }).jumps).toEqual(['bastion']);
  });

  it('reads a jump host with user and port', () => {
    const behind = { transport: 'ssh', knownHosts: '/known' } as const;
    expect(resolveJump('me@[fe80::1]:77', behind)).toMatchObject({
      user: 'me',
      address: 'fe80::1',
      port: 77,
    });
    expect(resolveJump('ssh://bastion', behind).knownHosts[0]).toBe('/known');
  });
});
