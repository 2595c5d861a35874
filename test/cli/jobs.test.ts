import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startNode } from '../run/_node.ts';
import type { Node } from '../run/_node.ts';
import { freePort } from '../transports/_sshd.ts';
import { drillbook, start } from './_drillbook.ts';
import type { Said, Started } from './_drillbook.ts';

let node: Node;
let dir = '';

beforeAll(async () => {
  node = await startNode();
  dir = mkdtempSync(join(tmpdir(), 'drillbook-jobs-'));
  writeFileSync(join(dir, 'inventory.yml'), `hosts:\n${node.row('n1')}\n`);
  writeFileSync(
    join(dir, 'away.yml'),
    `hosts:\n${node.row('n1')}\n${node.row('n2')}\n`.replace(
      /port: \d+(?=[^\n]*\n$)/,
      `port: ${await freePort()}`,
    ),
  );
  writeFileSync(
    join(dir, 'long.yml'),
    `name: long\nplays:\n  - hosts: n1\n    tasks:\n      - { name: takes long, shell: 'touch ${dir}/on; echo on it; sleep 600; true' }\n`,
  );
});
afterAll(async () => {
  await node.sshd.stop();
  rmSync(dir, { recursive: true, force: true });
});

interface Row {
  readonly [name: string]: unknown;
  readonly run: string;
}
interface Told {
  readonly jobs: readonly Row[];
  readonly removed: number;
  readonly running: readonly string[];
  readonly away: readonly string[];
}
/** The run that is looked at: others may have left jobs on this machine, which the node is. */
let run = '';
const jobs = async (...more: string[]): Promise<Said & { told: Told }> => {
  const inventory = more.includes('-i') ? [] : ['-i', join(dir, 'inventory.yml')];
  const said = await drillbook([
    'jobs',
    ...inventory,
    '--state',
    join(dir, 'state'),
    '--output',
    'json',
    ...more,
  ]);
  const told = JSON.parse(said.stdout || '{}') as Told;
  return { ...said, told: { ...told, jobs: (told.jobs ?? []).filter((job) => job.run === run) } };
};

async function longRun(): Promise<Started> {
  rmSync(join(dir, 'on'), { force: true });
  const args = [
    'run',
    join(dir, 'long.yml'),
    '-i',
    join(dir, 'inventory.yml'),
    '--state',
    join(dir, 'state'),
  ];
  const onLine = (line: string): void => void (run ||= (JSON.parse(line) as { run: string }).run);
  const engine = start([...args, '--output', 'jsonl'], { onLine });
  await vi.waitFor(() => expect(existsSync(join(dir, 'on'))).toBe(true), { timeout: 60_000 });
  return engine;
}

test('a run that is given up: its command is found running, is not taken away by accident, and ends when told to stop', async () => {
  const engine = await longRun();
  expect((await jobs()).told.jobs).toMatchObject([{ state: 'running' }]);
  const own = await jobs('--remove', run, '--stop');
  expect([own.code, own.stderr]).toEqual([5, expect.stringContaining('is under way: its jobs are its own')]);
  engine.kill('SIGKILL');
  await engine.ended;

  const { code, told } = await jobs();
  expect(code).toBe(0);
  expect(told.jobs).toMatchObject([
    { node: 'n1', host: 'n1', run, state: 'running', code: null, user: 'root', step: 'takes long' },
  ]);
  const plain = await drillbook(['jobs', '-i', join(dir, 'inventory.yml'), '--state', join(dir, 'state')]);
  expect(plain.stdout).toMatch(new RegExp(`^n1  ${run}  \\S+  running .* root  takes long$`, 'm'));

  const refused = await jobs('--remove', run);
  expect([refused.code, refused.told.removed]).toEqual([5, 0]);
  expect(refused.stderr).toContain('1 still run: nothing was removed');
  expect((await jobs()).told.jobs).toMatchObject([{ state: 'running' }]);

  const stopped = await jobs('--remove', run, '--stop');
  expect(stopped).toMatchObject({ code: 0, told: { removed: 1, running: [], away: [] } });
  expect((await jobs()).told.jobs).toEqual([]);
}, 120_000);

test('a node that cannot be reached is told, and the others are looked at', async () => {
  const { code, told, stderr } = await jobs('-i', join(dir, 'away.yml'));
  expect([code, told]).toEqual([1, { jobs: [], away: ['n2'] }]);
  expect(stderr).toContain('refused the connection');
}, 60_000);

test('--stop alone says what it goes with', async () => {
  const said = await jobs('--stop');
  expect([said.code, said.stderr]).toEqual([2, expect.stringContaining('--stop goes with --remove RUN')]);
});
