import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { finished, project } from '../run/_engine.ts';
import { addUser, freePort, keygen, startSshd } from '../transports/_sshd.ts';
import type { Sshd, TestUser } from '../transports/_sshd.ts';
import { drillbook, eventsOf } from './_drillbook.ts';

let sshd: Sshd;
let user: TestUser;

beforeAll(async () => {
  sshd = await startSshd();
  user = addUser('ALL=(ALL) ALL');
});
afterAll(async () => {
  user.remove();
  await sshd.stop();
});

interface Reach {
  readonly connection?: Readonly<Record<string, unknown>>;
  readonly become?: Readonly<Record<string, unknown>>;
}

const inventory = ({ connection = {}, become }: Reach, dir: string): string =>
  JSON.stringify({
    vars: { dir },
    connection: {
      address: '127.0.0.1',
      port: sshd.port,
      user: 'root',
      identity_file: sshd.identityFile,
      known_hosts: sshd.knownHosts,
      ssh_config: '/dev/null',
      ...connection,
    },
    ...(become ? { become } : {}),
    hosts: { node: {} },
  });

async function ran(tasks: string, reach: (dir: string) => Reach = () => ({})) {
  const book = project(tasks);
  mkdirSync(join(book.dir, 'node'));
  book.write('inventory.yml', inventory(reach(book.dir), join(book.dir, 'node')));
  const go = (...args: string[]) => drillbook([...args, '--state', book.state, '--output', 'jsonl']);
  const said = await go('run', book.playbook, '-i', book.inventory);
  return { book, go, code: said.code ?? -1, stderr: said.stderr, events: eventsOf(said), story: [], run: '' };
}

const ONE = `tasks: [{ name: one, shell: 'id -un; touch {{dir}}/one' }]`;

test('over SSH with the right key the step runs', async () => {
  const said = await ran(ONE);
  expect(finished(said, 'one')).toMatchObject({ outcome: 'changed', result: { stdout: 'root' } });
  expect(said.code).toBe(0);
});

test.each<[string, (dir: string) => Promise<Reach> | Reach, RegExp]>([
  [
    'a wrong key',
    (dir) => {
      keygen(join(dir, 'other'));
      return { connection: { identity_file: join(dir, 'other') } };
    },
    /does not let root in: tried key/,
  ],
  ['a key that is not there', () => ({ connection: { identity_file: '/nowhere/id' } }), /nowhere/],
  [
    'a changed host key',
    (dir) => {
      keygen(join(dir, 'host'));
      const key = readFileSync(join(dir, 'host.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
      writeFileSync(join(dir, 'known'), `[127.0.0.1]:${sshd.port} ${key}\n`);
      return { connection: { known_hosts: join(dir, 'known') } };
    },
    /host key|changed|differs/i,
  ],
  [
    'an unknown host key',
    (dir) => {
      writeFileSync(join(dir, 'known'), '');
      return { connection: { known_hosts: join(dir, 'known') } };
    },
    /known/i,
  ],
  ['nothing that listens', async () => ({ connection: { port: await freePort() } }), /refused|answers/i],
  [
    'a wrong password of sudo',
    () => ({
      connection: { user: user.name, identity_file: undefined, password: user.password },
      become: { user: 'root', password: 'not-it-at-all' },
    }),
    /sudo/,
  ],
])('%s: unreachable with a sentence, exit code 1, nothing done', async (_name, reach, wanted) => {
  const book = project(ONE);
  const dir = join(book.dir, 'node');
  mkdirSync(dir);
  book.write('inventory.yml', inventory(await reach(book.dir), dir));
  const said = await drillbook([
    ...['run', book.playbook, '-i', book.inventory, '--state', book.state, '--output', 'jsonl'],
  ]);
  const events = eventsOf(said);
  const end = finished({ code: 1, run: '', events, story: [] }, 'one');
  expect([said.code, end.outcome]).toEqual([1, 'unreachable']);
  expect(end.reason).toMatch(wanted);
  expect(said.stdout).not.toContain('not-it-at-all');
  expect(said.stdout).not.toContain(user.password);
  expect(readdirSync(dir)).toEqual([]);
});

test('the right password of sudo, and that it is not seen', async () => {
  const said = await ran(`tasks: [{ name: one, shell: 'id -un' }]`, () => ({
    connection: { user: user.name, password: user.password },
    become: { user: 'root', password: user.password },
  }));
  expect(finished(said, 'one').result['stdout']).toBe('root');
  expect(JSON.stringify(said.events)).not.toContain(user.password);
});

test('an action whose connection breaks goes on without it, once, and its end is taken over a new one', async () => {
  const said = await ran(
    `tasks: [{ name: one, shell: 'echo x >> {{dir}}/one; kill -9 $PPID; sleep 1; echo whole', retries: 2, delay: 10ms }]`,
  );
  expect([said.code, finished(said, 'one').outcome]).toEqual([0, 'changed']);
  expect(finished(said, 'one').result['stdout']).toBe('whole');
  expect(said.events.map(({ event }) => event)).toEqual(expect.arrayContaining(['host_away', 'host_back']));
  expect(readFileSync(join(said.book.dir, 'node/one'), 'utf8')).toBe('x\n');
});

test('a full disk on the node fails the step in words and leaves no half of a file', async () => {
  const book = project(`tasks: [{ name: big, copy: { src: big, dest: '{{dir}}/small/big' } }]`);
  const small = join(book.dir, 'node/small');
  mkdirSync(small, { recursive: true });
  book.write('big', 'x'.repeat(2_000_000));
  book.write('inventory.yml', inventory({}, join(book.dir, 'node')));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', small]);
  try {
    const said = await drillbook([
      ...['run', book.playbook, '-i', book.inventory, '--state', book.state, '--output', 'jsonl'],
    ]);
    const end = finished({ code: 1, run: '', events: eventsOf(said), story: [] }, 'big');
    expect([said.code, end.outcome]).toEqual([1, 'failed']);
    expect(end.reason).toMatch(/space/i);
    expect(readdirSync(small)).toEqual([]);
  } finally {
    execFileSync('umount', [small]);
  }
});

test('a full disk of the jump host ends the run with one sentence, and the run can be resumed', async () => {
  const marks = Array.from(
    { length: 60 },
    (_, i) =>
      `  - { name: 's${i}', shell: 'head -c 20000 /dev/zero | tr "\\\\0" x; echo ${i} >> {{dir}}/marks' }`,
  );
  const book = project(`tasks:\n${marks.join('\n')}`);
  mkdirSync(book.state);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=700k', 'none', book.state]);
  try {
    const said = await drillbook(['run', book.playbook, '-i', book.inventory, '--state', book.state]);
    expect(said.code).toBe(1);
    expect(said.stderr).toMatch(/journal of run .* cannot be written: .*full/);
    expect(said.stderr).not.toMatch(/^\s+at /m);
    execFileSync('mount', ['-o', 'remount,size=20m', book.state]);
    const again = await drillbook(['resume', '--state', book.state, '--on-interrupt', 'rerun']);
    expect(again.code).toBe(0);
    const lines = readFileSync(join(book.dir, 'a/marks'), 'utf8').trim().split('\n').map(Number);
    expect(lines.filter((mark, i) => lines.indexOf(mark) === i)).toHaveLength(60);
    expect(lines.length).toBeLessThanOrEqual(61);
  } finally {
    execFileSync('umount', [book.state]);
  }
});
