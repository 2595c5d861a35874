import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { drillbook, start } from '../cli/_drillbook.ts';
import type { Said } from '../cli/_drillbook.ts';
import { buildPair, codeOf, playbook } from './_playbook.ts';
import { freshLab } from '../lab/_fresh.ts';

interface Row {
  readonly obligation: string;
  readonly state: string;
  readonly isBent: boolean | null;
}

const NAME = 'oblig-test';
const KEY = `failover-disabled@${NAME}`;

let lab: Lab;
let state: string;
let env: Readonly<Record<string, string>>;

async function well(name: string, inventory = lab.inventory): Promise<void> {
  const done = await playbook(name, inventory, { state });
  expect(done.code, done.told).toBe(0);
}

async function open(): Promise<readonly [number | null, readonly string[]]> {
  const said = await drillbook(['obligations', '-i', lab.inventory, '--output', 'json'], { env });
  const { obligations } = JSON.parse(said.stdout) as { obligations: readonly Row[] };
  return [said.code, obligations.map(({ obligation, state }) => `${obligation} ${state}`)];
}

/** Failover as hactl says it, on both nodes. */
const failover = async (): Promise<string[]> =>
  Promise.all(
    lab.nodes.map(async ({ name }) => {
      const { stdout } = await lab.ssh(name, '/opt/scutech/dbackup3/bin/hactl status');
      return /^failover: (\w+)/m.exec(stdout)?.[1] ?? 'unknown';
    }),
  );

/** Runs a playbook, and kills the engine when a line of its events holds all these words. */
async function killedAt(file: string, inventory: string, ...words: string[]): Promise<Said> {
  const args = [file, '-i', inventory];
  const code = await codeOf(args, env);
  const child = start(['run', ...args, '--yes', code, '--output', 'jsonl'], {
    env,
    onLine: (line) => {
      if (words.every((word) => line.includes(word))) child.kill('SIGKILL');
    },
  });
  const said = await child.ended;
  expect(said.signal, said.stdout).toBe('SIGKILL');
  return said;
}

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'obligations-'));
  env = { DRILLBOOK_STATE: state };
  lab = await freshLab({ name: NAME, database: 'mariadb' });
  await buildPair(lab.inventory, state);
});
afterAll(async () => {
  await lab?.down();
  await rm(state, { recursive: true, force: true });
});

test('an edit that is killed with failover off is in the ledger, and its resume ends with failover on', async () => {
  expect(await open()).toEqual([0, []]);
  const edited = join(state, 'edited.yml');
  const text = await readFile(lab.inventory, 'utf8');
  await writeFile(edited, text.replaceAll(/\.100$/gm, '.101'), { mode: 0o600 });
  await killedAt(
    'playbooks/dbackup/edit.yml',
    edited,
    '"step_finished"',
    'Nobody takes over meanwhile',
    '"changed"',
  );
  expect(await failover()).toEqual(['disabled', 'disabled']);
  expect(await open()).toEqual([4, [`${KEY} open`]]);
  const status = await drillbook(['status', '-i', edited], { env });
  expect(status.stdout).toContain(`open: automatic failover is off (${KEY}`);
  const resumed = await drillbook(['resume', '--output', 'jsonl'], { env });
  expect(resumed.code, resumed.stdout + resumed.stderr).toBe(0);
  expect(await failover()).toEqual(['enabled', 'enabled']);
  expect(await open()).toEqual([0, []]);
  await well('edit');
}, 240_000);

const UNDONE = `
name: Work with failover off
plays:
  - hosts: primary
    tasks:
      - name: Failover is off
        dbackup.hactl: disable
        undo: { name: Failover is on again, dbackup.hactl: enable }
      - name: The work
        shell: date >> /root/worked
`;

test('killed at each of its steps, failover is switched back exactly once', async () => {
  const file = join(state, 'undone.yml');
  await writeFile(file, UNDONE);
  const points = [
    ['"obligation_opened"'],
    ['"step_finished"', 'Failover is off'],
    ['"step_started"', 'The work'],
    ['"step_finished"', 'The work'],
    ['"step_started"', 'Failover is on again'],
    ['"obligation_closed"'],
    ['"step_finished"', 'Failover is on again'],
  ];
  const some = isFull ? points : points.filter((_, i) => i % 3 === 0);
  for (const [i, words] of some.entries()) {
    await killedAt(file, lab.inventory, ...words);
    const [now, [, told]] = [await failover(), await open()];
    // What is bent is in the ledger; the ledger may have one more, that was under way.
    if (now.includes('disabled')) expect([words, told]).toEqual([words, [`${KEY} open`]]);
    const resumed = await drillbook(['resume', '--output', 'jsonl'], { env });
    // Killed after its last event there may be nothing to go on with but the end.
    expect([words, resumed.code, resumed.stderr]).toEqual([words, 0, '']);
    expect([words, await failover(), await open()]).toEqual([words, ['enabled', 'enabled'], [0, []]]);
    const { stdout } = await lab.ssh('dbk1', 'wc -l < /root/worked');
    expect([words, Number(stdout)]).toEqual([words, i + 1]);
  }
}, 400_000);

test('a run that leaves failover off ends with exit code 4, until it is switched on by hand', async () => {
  const file = join(state, 'forgets.yml');
  await writeFile(file, UNDONE.replace(/\n +undo:.*/, ''));
  const said = await drillbook(['run', file, '-i', lab.inventory], { env });
  expect(said.code).toBe(4);
  expect(said.stdout).toContain(`open: automatic failover is off (${KEY}`);
  expect(await open()).toEqual([4, [`${KEY} open`]]);
  await lab.ssh('dbk1', '/opt/scutech/dbackup3/bin/hactl enable');
  expect(await open()).toEqual([0, [`${KEY} put_right`]]);
  expect(await open()).toEqual([0, []]);
  expect((await drillbook(['resume'], { env })).code).toBe(0);
});

test('stop.yml leaves failover off for good and says so; start.yml ends it', async () => {
  await well('stop');
  expect(await open()).toEqual([0, [`${KEY} lasting`]]);
  await well('start');
  expect(await open()).toEqual([0, []]);
});

const STOPPED = `
name: Work with keepalived stopped
plays:
  - hosts: standby
    tasks:
      - name: keepalived is stopped
        service: { name: dbackup3-keepalived, state: stopped }
        undo: { service: { name: dbackup3-keepalived, state: started } }
      - { name: The work, shell: 'true' }
`;

test('a service that is stopped for the run is in the ledger by its name, and seen when it is started by hand', async () => {
  const file = join(state, 'stopped.yml');
  await writeFile(file, STOPPED);
  await killedAt(file, lab.inventory, '"step_finished"', 'keepalived is stopped');
  const key = 'service-stopped:dbackup3-keepalived@dbk2';
  expect(await open()).toEqual([4, [`${key} open`]]);
  await lab.ssh('dbk2', 'systemctl start dbackup3-keepalived');
  // The lock of the run that was killed is still held.
  expect(await open()).toEqual([4, [`${key} put_right`]]);
  expect((await drillbook(['resume'], { env })).code).toBe(0);
  expect(await open()).toEqual([0, []]);
  expect((await lab.ssh('dbk2', 'systemctl is-active dbackup3-keepalived')).stdout.trim()).toBe('active');
});
