import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ShResult } from '../../engine/core/host.ts';
import { readOnly } from '../../engine/drill/faults/disk.ts';
import { cutFault, slowFault } from '../../engine/drill/faults/network.ts';
import { conflictingRow, wrongPassword } from '../../engine/drill/faults/replication.ts';
import { localShell } from '../../engine/drill/lease.ts';
import type { FaultScripts } from '../../engine/drill/lease.ts';
import { ensurePackages } from '../_apt.ts';
import { addUser } from '../transports/_sshd.ts';

const dir = mkdtempSync(join(tmpdir(), 'faults-'));
afterAll(() => rmSync(dir, { recursive: true }));

let folders = 0;
/** `start` or `heal` of a fault with a folder of its own, by `before` (words in front of the shell) and with the programs of `bin` first. */
function halves(
  { args, secret = '', ...scripts }: FaultScripts,
  { before = [], bin = '' }: { before?: readonly string[]; bin?: string } = {},
): { at: string; run(which: 'start' | 'heal'): Promise<ShResult> } {
  const at = join(dir, `fault_${folders++}`);
  mkdirSync(at);
  writeFileSync(join(at, 'secret'), secret);
  return {
    at,
    run: (which) =>
      localShell('PATH=$1:$PATH; export PATH; shift; "$@"', {
        args: [bin, ...before, 'env', `AT=${at}`, 'sh', '-c', scripts[which], 'fault', ...args],
      }),
  };
}

/** A program that stands in for one of the machine. */
function program(name: string, text: string): string {
  const bin = mkdtempSync(join(dir, 'bin-'));
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return bin;
}

describe('networks, in a network of their own', () => {
  const networks = { beats: [{ own: '10.9.9.1', peer: '10.9.9.2' }], vips: [] };
  let holder: ChildProcess;
  let inside: readonly string[];
  const there = async (script: string): Promise<string> =>
    (await localShell('"$@"', { args: [...inside, 'sh', '-c', script] })).stdout;

  beforeAll(async () => {
    await ensurePackages(['iproute2', 'nftables', 'sudo', 'util-linux']);
    holder = spawn('unshare', [
      '-n',
      'sh',
      '-c',
      'ip addr add 10.9.9.1/8 dev lo && ip link set lo up && echo up && exec sleep 600',
    ]);
    await new Promise((resolve) => holder.stdout?.once('data', resolve));
    inside = ['nsenter', '-t', String(holder.pid), '-n'];
  });
  afterAll(() => void holder.kill());

  test("what slows a network does not take the operator's own discipline away", async () => {
    await there('tc qdisc add dev lo root handle 5: pfifo limit 10');
    const { run } = halves(slowFault('t', networks, { delay: 100 }), { before: inside });
    expect((await run('start')).code).not.toBe(0);
    expect((await run('heal')).code).toBe(0);
    expect(await there('tc qdisc show dev lo')).toContain('pfifo 5: root');
    await there('tc qdisc del dev lo root');
  });

  test('the way we come by stays open under sudo, which says nothing of it', async () => {
    const user = addUser('ALL=(ALL) NOPASSWD: ALL');
    try {
      const session = [
        'runuser',
        '-u',
        user.name,
        '--',
        'env',
        'SSH_CONNECTION=192.0.2.9 5555 10.9.9.1 2222',
      ];
      const before = [...inside, ...session, 'sh', '-c', 'sudo -n "$@"; exit', 'sh'];
      const { run } = halves(cutFault('drillbook_t', networks, { links: 'all', direction: 'both' }), {
        before,
      });
      expect(await run('start')).toMatchObject({ code: 0, stderr: '' });
      const rules = await there('nft list ruleset');
      expect(rules).toContain('ip saddr 192.0.2.9 tcp dport 2222 accept');
      expect(rules).toContain('ip daddr 192.0.2.9 tcp sport 2222 accept');
      expect((await run('heal')).code).toBe(0);
      expect(await there('nft list ruleset')).toBe('');
    } finally {
      user.remove();
    }
  });
});

test('a directory that cannot be made writable again is not taken for healed', async () => {
  const { at, run } = halves(readOnly('/srv'), { bin: program('umount', 'exit 32') });
  writeFileSync(join(at, 'bound'), '');
  expect([(await run('heal')).code, existsSync(join(at, 'bound'))]).toEqual([32, true]);
});

describe('the replication', () => {
  const database = {
    ...{ name: 'books', socket: '/s', port: 3306, service: 'mariadb' },
    admin: { user: 'root', password: 'hush' },
    replication: { user: 'repl', password: 'x' },
  } as unknown as Parameters<typeof wrongPassword>[0];
  /** A server that is read-only for all, keeps what it is told, and refuses `refused`. */
  const server = (refused: string): { bin: string; said: () => string; words: () => string } => {
    const told = mkdtempSync(join(dir, 'told-'));
    const bin = program(
      'mariadb',
      `tr '\\0' ' ' </proc/$$/cmdline >>'${told}/words'
read -r said; echo "$said" >>'${told}/said'
case $said in
  ${refused}) exit 1 ;;
  *"super_read_only'"*) echo 'super_read_only	ON' ;;
  *301*) echo 301 ;;
  *QUOTE*) echo "'repl'@'%'" ;;
  *'SHOW CREATE'*) echo "CREATE USER 'repl'@'%' IDENTIFIED BY PASSWORD '*HASH'" ;;
  *'SHOW TABLES'*) echo drillbook_ledger ;;
  *'SELECT n'*) echo -301 ;;
esac`,
    );
    const read = (name: string) => () => readFileSync(join(told, name), 'utf8');
    return { bin, said: read('said'), words: read('words') };
  };

  test('hashes of passwords are in the arguments of nothing', async () => {
    const { bin, said, words } = server('nothing');
    const { run } = halves(wrongPassword(database), { bin });
    expect([(await run('start')).code, (await run('heal')).code]).toEqual([0, 0]);
    expect(said()).toContain("ALTER USER 'repl'@'%' IDENTIFIED BY PASSWORD '*HASH';");
    expect(words()).toContain('--batch');
    expect(words()).not.toMatch(/HASH|IDENTIFIED|hush/);
  });

  test('a server that is read-only for all is so again, also where it refuses', async () => {
    const { bin, said } = server('*INSERT*');
    const { at, run } = halves(conflictingRow(database), { bin });
    expect((await run('start')).code).toBe(1);
    expect(said().trim().split('\n').at(-1)).toBe('SET GLOBAL super_read_only = 1');
    expect([existsSync(join(at, 'opened')), (await run('heal')).code]).toEqual([false, 0]);
  });

  test('rows that were put there go, and no others', async () => {
    const { bin, said } = server('nothing');
    const { run } = halves(conflictingRow(database), { bin });
    expect([(await run('start')).code, (await run('heal')).code]).toEqual([0, 0]);
    expect(said()).toContain('WHERE n = -301 OR n BETWEEN 301 AND 305');
    const other = server("*'SELECT n'*) ;; nothing");
    const never = halves(conflictingRow(database), { bin: other.bin });
    writeFileSync(join(never.at, 'first'), '301\n');
    expect([(await never.run('heal')).code, other.said()]).toEqual([
      0,
      expect.not.stringContaining('DELETE'),
    ]);
  });
});
