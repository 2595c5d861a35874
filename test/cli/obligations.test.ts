import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { drillbook, eventsOf, start } from './_drillbook.ts';
import type { Said } from './_drillbook.ts';

/** As much of hactl as tells whether failover is on, and switches it; a file for both nodes of the pair. */
const HACTL = `#!/bin/sh
at=$(dirname "$0")
case $1 in
status) printf 'role: Primary\\nfailover: %s\\n' "$(cat "$at/failover")" ;;
enable) echo enabled >"$at/failover"; echo enable >>"$at/log" ;;
disable) echo disabled >"$at/failover"; echo disable >>"$at/log" ;;
esac
`;

interface Pair {
  readonly dir: string;
  readonly cluster: string;
  readonly key: string;
  failover(): string;
  setFailover(state: 'enabled' | 'disabled'): void;
  acts(): string[];
  write(tasks: string): void;
  run(...more: string[]): Promise<Said>;
  command(name: string, ...more: string[]): Promise<Said>;
  /** `drillbook obligations --output json`. */
  look(): Promise<{ readonly code: number | null; readonly rows: readonly Record<string, unknown>[] }>;
}

function pair(tasks: string): Pair {
  const dir = mkdtempSync(join(tmpdir(), 'obligations-'));
  const cluster = basename(dir);
  onTestFinished(() => {
    rmSync(dir, { recursive: true, force: true });
    rmSync(`/var/lib/drillbook/locks/${cluster}`, { recursive: true, force: true });
  });
  mkdirSync(join(dir, 'bin'));
  writeFileSync(join(dir, 'bin/hactl'), HACTL);
  chmodSync(join(dir, 'bin/hactl'), 0o755);
  writeFileSync(join(dir, 'bin/log'), '');
  const setFailover = (state: string): void => writeFileSync(join(dir, 'bin/failover'), `${state}\n`);
  setFailover('enabled');
  writeFileSync(
    join(dir, 'inventory.yml'),
    `
connection: { transport: local }
hosts: { a: {}, b: {} }
clusters:
  ${cluster}:
    stack: dbackup
    nodes: [a, b]
    settings:
      install_dir: ${dir}
      database: { socket: ${dir}/none.sock }
      heartbeats: [{ addresses: { a: 127.0.0.1, b: 127.0.0.1 } }]
      vips: [{ address: 192.0.2.1, interfaces: { a: lo, b: lo } }]
`,
  );
  const write = (text: string): void =>
    writeFileSync(join(dir, 'book.yml'), `name: Book\nplays:\n  - hosts: a\n    tasks:\n${text}`);
  write(tasks);
  const state = ['--state', join(dir, 'state')];
  const inventory = ['-i', join(dir, 'inventory.yml')];
  return {
    dir,
    cluster,
    key: `failover-disabled@${cluster}`,
    failover: () => readFileSync(join(dir, 'bin/failover'), 'utf8').trim(),
    setFailover,
    acts: () => readFileSync(join(dir, 'bin/log'), 'utf8').split('\n').filter(Boolean),
    write,
    run: (...more) =>
      drillbook(['run', join(dir, 'book.yml'), ...inventory, ...state, '--output', 'jsonl', ...more]),
    command: (name, ...more) => drillbook([name, ...state, ...more]),
    async look() {
      const said = await drillbook([
        ...['obligations', ...inventory, ...state, '--output', 'json', '--operator', 'ann'],
      ]);
      if (said.stderr !== '') throw new Error(said.stderr);
      const { obligations } = JSON.parse(said.stdout) as { obligations: Record<string, unknown>[] };
      return { code: said.code, rows: obligations };
    },
  };
}

const OFF = `      - { name: off, dbackup.hactl: disable }\n`;
const ON = `      - { name: on, dbackup.hactl: enable }\n`;
const endOf = (said: Said): Extract<RunEvent, { event: 'run_finished' }> | undefined =>
  eventsOf(said).find((event) => event.event === 'run_finished');

test('a run that leaves failover off does not end well, and every list of runs says so', async () => {
  const book = pair(OFF);
  const said = await book.run();
  const { run } = eventsOf(said)[0] as RunEvent;
  expect(said.code).toBe(4);
  expect(endOf(said)).toMatchObject({ outcome: 'in_doubt', exitCode: 4 });
  expect(endOf(said)?.reason).toBe(
    `open: automatic failover is off (${book.key}, since \`a/off\` on a) — ` +
      `put it right, then \`drillbook resume ${run}\` or \`drillbook obligations\` sees that it is`,
  );
  expect((await book.command('runs')).stdout).toContain(`open: ${book.key}`);
  expect((await book.command('show')).stdout).toContain(`open on a: automatic failover is off (${book.key})`);
  const status = await book.command('status', '-i', join(book.dir, 'inventory.yml'));
  expect(status.stdout).toContain(`open: automatic failover is off (${book.key}`);
  expect(await book.look()).toMatchObject({
    code: 4,
    rows: [{ obligation: book.key, state: 'open', isBent: true, run, step: 'a/off', host: 'a' }],
  });
});

test('what was put right by hand is noted in its run, by whom, and the run can be ended', async () => {
  const book = pair(OFF);
  await book.run();
  expect((await book.command('resume')).code).toBe(4);
  book.setFailover('enabled');
  const status = await book.command('status', '-i', join(book.dir, 'inventory.yml'));
  expect(status.stdout).not.toContain('open:');
  expect(await book.look()).toMatchObject({ code: 0, rows: [{ state: 'put_right', isBent: false }] });
  expect(await book.look()).toEqual({ code: 0, rows: [] });
  const told = await book.command('show', '--output', 'jsonl');
  expect(eventsOf(told).at(-1)).toMatchObject({
    event: 'obligation_closed',
    obligation: book.key,
    by: 'seen on the nodes by ann',
  });
  expect((await book.command('runs')).stdout).not.toContain('open:');
  expect((await book.command('resume')).code).toBe(0);
});

test('a resume sees by itself what was put right meanwhile', async () => {
  const book = pair(OFF);
  await book.run();
  book.setFailover('enabled');
  const said = await book.command('resume', '--output', 'jsonl');
  expect(said.code).toBe(0);
  expect(eventsOf(said)).toContainEqual(
    expect.objectContaining({ event: 'obligation_closed', by: 'seen on the nodes' }),
  );
  expect(book.acts()).toEqual(['disable']);
});

test('what a later step puts right is not undone once more', async () => {
  const undone = `      - { name: off, dbackup.hactl: disable, undo: { dbackup.hactl: enable } }\n`;
  const book = pair(undone + ON);
  const said = await book.run();
  expect([said.code, book.acts()]).toEqual([0, ['disable', 'enable']]);
  expect(said.stdout).not.toContain('Undo: off');
  book.write(undone);
  expect([(await book.run()).code, book.acts().slice(2)]).toEqual([0, ['disable', 'enable']]);
});

test('what was off before the run is nothing that the run has to put right', async () => {
  const book = pair(`      - { name: off, dbackup.hactl: disable, undo: { dbackup.hactl: enable } }\n`);
  book.setFailover('disabled');
  const said = await book.run();
  expect([said.code, book.acts(), book.failover()]).toEqual([0, [], 'disabled']);
  expect(said.stdout).not.toContain('obligation_opened');
});

test('killed between the two, the ledger tells of it, and the resume puts it right', async () => {
  const wait = (dir: string): string =>
    `      - { name: work, shell: 'until test -e ${dir}/go; do sleep 0.1; done' }\n`;
  const book = pair('');
  book.write(OFF + wait(book.dir) + ON);
  const child = start(
    [
      ...['run', join(book.dir, 'book.yml'), '-i', join(book.dir, 'inventory.yml')],
      ...['--state', join(book.dir, 'state'), '--output', 'jsonl'],
    ],
    { onLine: (line) => line.includes('"step_started"') && line.includes('"work"') && child.kill('SIGKILL') },
  );
  expect((await child.ended).signal).toBe('SIGKILL');
  expect(await book.look()).toMatchObject({
    code: 4,
    rows: [{ state: 'open', isBent: true, isUnderWay: false }],
  });
  expect((await book.command('show')).stdout).toContain(`open: automatic failover is off (${book.key}`);
  writeFileSync(join(book.dir, 'go'), '');
  expect((await book.command('resume')).code).toBe(0);
  expect([book.failover(), book.acts()]).toEqual(['enabled', ['disable', 'enable']]);
  expect(await book.look()).toEqual({ code: 0, rows: [] });
});

test('a run that is under way sees to its own ledger', async () => {
  const book = pair('');
  book.write(
    `${OFF}      - { name: work, shell: 'until test -e ${book.dir}/go; do sleep 0.1; done' }\n${ON}`,
  );
  let isWorking = false;
  const child = start(
    [
      ...['run', join(book.dir, 'book.yml'), '-i', join(book.dir, 'inventory.yml')],
      ...['--state', join(book.dir, 'state'), '--output', 'jsonl'],
    ],
    { onLine: (line) => (isWorking ||= line.includes('"step_started"') && line.includes('"work"')) },
  );
  await expect.poll(() => isWorking, { timeout: 20_000 }).toBe(true);
  expect(await book.look()).toMatchObject({ code: 4, rows: [{ state: 'open', isUnderWay: true }] });
  book.setFailover('enabled');
  expect(await book.look()).toMatchObject({
    code: 4,
    rows: [{ state: 'open', isBent: false, isUnderWay: true }],
  });
  writeFileSync(join(book.dir, 'go'), '');
  expect((await child.ended).code).toBe(0);
  expect(await book.look()).toEqual({ code: 0, rows: [] });
});

test('what nobody here has bent is told as such', async () => {
  const book = pair(ON);
  book.setFailover('disabled');
  expect(await book.look()).toMatchObject({
    code: 4,
    rows: [{ obligation: book.key, state: 'unrecorded', isBent: true, run: null }],
  });
});

test('what is meant to stay ends well, is said plainly, and ends with the run that puts it right', async () => {
  const book = pair(`      - { name: off, dbackup.hactl: disable, stays: true }\n`);
  const said = await book.run();
  expect([said.code, book.failover()]).toEqual([0, 'disabled']);
  expect((await book.command('show')).stdout).toContain(
    `stays on a: automatic failover is off (${book.key})`,
  );
  expect(await book.look()).toMatchObject({ code: 0, rows: [{ state: 'lasting', isBent: true }] });
  book.write(ON);
  expect((await book.run()).code).toBe(0);
  expect(await book.look()).toEqual({ code: 0, rows: [] });
  // Off once more, and this time nobody meant it.
  book.setFailover('disabled');
  expect(await book.look()).toMatchObject({ code: 4, rows: [{ state: 'unrecorded' }] });
});

test('runs of another pair are not told of', async () => {
  const [book, other] = [pair(OFF), pair(ON)];
  await book.run();
  const said = await drillbook([
    ...['obligations', '-i', join(other.dir, 'inventory.yml'), '--state', join(book.dir, 'state')],
  ]);
  expect([said.code, said.stdout]).toEqual([0, 'nothing is open\n']);
});

const SEEN = `      - { name: see, cluster.status: {}, register: pair }
      - { name: bent, debug: { msg: "bent: {{join pair.obligations}}" } }
`;

test('a later run sees what an earlier one has bent of the pair, and not what is meant to stay', async () => {
  const book = pair(OFF);
  expect((await book.run()).code).toBe(4);
  book.write(SEEN);
  expect((await book.run()).stdout).toContain(`bent: ${book.key}`);
  book.write(ON);
  expect((await book.run()).code).toBe(0);
  book.write(OFF.replace(' }', ', stays: true }'));
  expect((await book.run()).code).toBe(0);
  book.write(SEEN);
  expect((await book.run()).stdout).toContain('"bent: "');
});
