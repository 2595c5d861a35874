import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { startNode } from '../run/_node.ts';
import type { Node } from '../run/_node.ts';
import { drillbook, eventsOf, start } from './_drillbook.ts';
import type { Said, Started } from './_drillbook.ts';

// Two state folders stand for two jump hosts, two sshds for the nodes.
let nodes: readonly Node[] = [];
let dir = '';

beforeAll(async () => {
  nodes = await Promise.all([startNode(), startNode()]);
});
afterAll(async () => {
  await Promise.all(nodes.map(({ sshd }) => sshd.stop()));
});

const INVENTORY = (): string => `
vars: { dir: '${dir}' }
hosts:
${nodes.map((node, i) => node.row(`n${i + 1}`)).join('\n')}
clusters:
  pair:
    stack: dbackup
    nodes: [n1, n2]
    settings:
      database: { replication: { user: repl, password: no-secret-here } }
      heartbeats: [{ addresses: { n1: 10.0.0.1, n2: 10.0.0.2 } }]
      vips: [{ address: 10.0.0.120, interfaces: { n1: eth0, n2: eth0 } }]
`;

const BOOKS = {
  held: `
      - { name: one, shell: 'touch {{dir}}/one; until [ -e {{dir}}/go ]; do sleep 0.05; done' }
      - { name: two, shell: 'echo x >> {{dir}}/two' }`,
  quick: `
      - { name: quick, shell: 'echo x >> {{dir}}/quick' }`,
  // Its own end is told by nobody, the first time.
  doubt: `
      - { name: one, shell: 'test -e {{dir}}/lost || { touch {{dir}}/lost; kill -9 $$; }' }`,
  looks: `
      - { name: looks, debug: { msg: hello } }
      - { name: would, check_mode: true, copy: { dest: '{{dir}}/would', content: x } }`,
} as const;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'drillbook-lock-'));
  for (const node of nodes) rmSync(node.folder('pair'), { recursive: true, force: true });
  writeFileSync(join(dir, 'inventory.yml'), INVENTORY());
  for (const [name, tasks] of Object.entries(BOOKS))
    writeFileSync(join(dir, `${name}.yml`), `name: ${name}\nplays:\n  - hosts: n1\n    tasks:${tasks}\n`);
  return () => rmSync(dir, { recursive: true, force: true });
});

const at = (jump: string): string[] => ['--state', join(dir, jump)];
const has = (file: string): boolean => existsSync(join(dir, file));
const inventory = (): string[] => ['-i', join(dir, 'inventory.yml')];
const running = (jump: string, book: keyof typeof BOOKS, ...more: string[]): string[] => [
  ...['run', join(dir, `${book}.yml`), ...inventory(), ...at(jump), '--output', 'jsonl', ...more],
];

/** A run whose first step is under way on the node. */
async function heldRun(): Promise<Started> {
  const run = start(running('jump1', 'held', '--operator', 'ann'));
  await vi.waitFor(() => expect(has('one')).toBe(true), { timeout: 60_000 });
  return run;
}

interface Told {
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
  readonly code: string | null;
  readonly isUnlocked: boolean;
}

const unlock = async (jump: string, ...more: string[]): Promise<Said & { told: Told }> => {
  const said = await drillbook(['unlock', ...inventory(), ...at(jump), '--output', 'json', ...more]);
  return { ...said, told: JSON.parse(said.stdout) as Told };
};

const reasonOf = (said: Said): string | undefined =>
  eventsOf(said)
    .flatMap((event) => (event.event === 'run_finished' ? [event.reason] : []))
    .at(-1);
const runOf = (said: Said): string => eventsOf(said)[0]?.run ?? '';
const locksOf = (said: Said): string[] =>
  eventsOf(said).flatMap(({ event }) => (event.startsWith('lock_') ? [event] : []));

test('a holder that was asleep while another took its place is refused by the node: exit code 5, its next step did not run', async () => {
  const stale = await heldRun();
  stale.kill('SIGSTOP');
  const seen = await unlock('jump2');
  expect([seen.code, seen.told.isUnlocked]).toEqual([5, false]);
  expect(seen.told.nodes).toMatchObject([
    { host: 'n1', state: 'held', operator: 'ann', isAlive: true },
    { host: 'n2', state: 'held', operator: 'ann', isAlive: true },
  ]);
  const wrong = await unlock('jump2', '--yes', 'nothing');
  expect([wrong.code, wrong.told.isUnlocked]).toEqual([5, false]);
  const done = await unlock('jump2', '--yes', String(seen.told.code), '--operator', 'bob');
  expect([done.code, done.told.isUnlocked]).toEqual([0, true]);
  const next = await drillbook(running('jump2', 'quick'));
  expect([next.code, locksOf(next)]).toEqual([0, ['lock_taken', 'lock_released']]);
  writeFileSync(join(dir, 'go'), '');
  stale.kill('SIGCONT');
  const woken = await stale.ended;
  expect(woken.code).toBe(5);
  expect(reasonOf(woken)).toMatch(/^the lock of cluster pair on n1 was taken over by run /);
  expect([has('quick'), has('two')]).toEqual([true, false]);
}, 120_000);

test('what a killed run held stays locked for others, by its name; its resume goes on, and then it is free', async () => {
  const killed = await heldRun();
  killed.kill('SIGKILL');
  const run = runOf(await killed.ended);
  const refused = await drillbook(running('jump2', 'quick'));
  expect([refused.code, locksOf(refused), has('quick')]).toEqual([5, [], false]);
  expect(reasonOf(refused)).toContain(`cluster pair is locked on n1 by run ${run} of ann`);
  const status = await drillbook(['status', ...inventory(), '--output', 'json']);
  expect(JSON.parse(status.stdout)).toMatchObject({ lock: { run, operator: 'ann', isAlive: true } });
  expect((await drillbook(['status', ...inventory()])).stdout).toContain(`locked by run ${run} of ann (`);
  writeFileSync(join(dir, 'go'), '');
  const resumed = await drillbook([
    ...['resume', run, ...at('jump1'), '--output', 'jsonl', '--on-interrupt', 'rerun'],
  ]);
  expect([resumed.code, has('two')]).toEqual([0, true]);
  expect((await drillbook(running('jump2', 'quick'))).code).toBe(0);
  const free = await drillbook(['status', ...inventory(), '--output', 'json']);
  expect(JSON.parse(free.stdout)).toMatchObject({ lock: null });
}, 120_000);

test('unlocked where its journal is kept, a dead run tells of it in `show`', async () => {
  const killed = await heldRun();
  killed.kill('SIGKILL');
  const run = runOf(await killed.ended);
  writeFileSync(join(dir, 'go'), '');
  const { told } = await unlock('jump1');
  expect((await unlock('jump1', '--yes', String(told.code), '--operator', 'bob')).code).toBe(0);
  expect((await drillbook(['show', run, ...at('jump1')])).stdout).toContain('unlocked by bob');
  const nothing = await unlock('jump1');
  expect([nothing.code, nothing.told.code]).toEqual([0, null]);
  expect((await drillbook(running('jump2', 'quick'))).code).toBe(0);
}, 120_000);

test('in doubt, exit code 4, the lock is kept for the resume that settles it', async () => {
  const doubt = await drillbook(running('jump1', 'doubt'));
  expect([doubt.code, locksOf(doubt)]).toEqual([4, ['lock_taken']]);
  const refused = await drillbook(running('jump2', 'quick'));
  expect([refused.code, reasonOf(refused)]).toEqual([5, expect.stringContaining(runOf(doubt))]);
  const settled = await drillbook([
    ...['resume', runOf(doubt), ...at('jump1'), '--output', 'jsonl', '--on-interrupt', 'skip'],
  ]);
  expect([settled.code, locksOf(settled)]).toEqual([0, ['lock_taken', 'lock_released']]);
  expect((await drillbook(running('jump2', 'quick'))).code).toBe(0);
}, 120_000);

test('who only looks takes no lock: --check, and queries alone', async () => {
  const run = await heldRun();
  const check = await drillbook(running('jump2', 'quick', '--check'));
  const looks = await drillbook(running('jump2', 'looks'));
  expect([check.code, looks.code, locksOf(check), locksOf(looks)]).toEqual([0, 0, [], []]);
  writeFileSync(join(dir, 'go'), '');
  expect((await run.ended).code).toBe(0);
}, 120_000);

test('a run that is refused leaves no lock behind, and a failed or interrupted one gives it back', async () => {
  writeFileSync(join(dir, 'fails.yml'), 'name: f\nplays: [{ hosts: n1, tasks: [{ command: "false" }] }]\n');
  const failed = await drillbook([
    'run',
    join(dir, 'fails.yml'),
    ...inventory(),
    ...at('jump1'),
    '--output',
    'jsonl',
  ]);
  expect([failed.code, locksOf(failed)]).toEqual([1, ['lock_taken', 'lock_released']]);
  const interrupted = await heldRun();
  interrupted.kill('SIGINT');
  writeFileSync(join(dir, 'go'), '');
  const said = await interrupted.ended;
  expect([said.code, locksOf(said)]).toEqual([3, ['lock_taken', 'lock_released']]);
  expect((await drillbook(running('jump2', 'quick'))).code).toBe(0);
}, 120_000);
