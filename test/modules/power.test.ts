import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { freshLab } from '../lab/_fresh.ts';

const exec = promisify(execFile);
const MAIN = resolve('engine/cli/main.ts');

let lab: Lab | undefined;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drillbook-power-'));
  lab = await freshLab({ name: `test-power`, database: 'mariadb' });
});
afterAll(async () => {
  await lab?.down();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

/** Runs one task on dbk2 through the command line, confirmed with the code of its plan. */
async function task(
  text: string,
): Promise<{ outcome: string; result: Record<string, unknown>; code: number }> {
  const file = join(dir, 'power.yml');
  await writeFile(file, `name: Power\nplays:\n  - hosts: dbk2\n    tasks:\n      - { id: it, ${text} }\n`);
  const common = [file, '-i', lab?.inventory ?? '', '--state', dir];
  const plan = await exec(process.execPath, [MAIN, 'plan', ...common, '--output', 'json']);
  const { code: yes } = JSON.parse(plan.stdout) as { code: string };
  const args = [MAIN, 'run', ...common, '--output', 'jsonl', '--yes', yes];
  const { stdout, code } = await exec(process.execPath, args).then(
    (done) => ({ ...done, code: 0 }),
    (error: { stdout: string; code: number }) => error,
  );
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; outcome: string; result: Record<string, unknown> });
  const finished = events.find(({ event }) => event === 'step_finished');
  return { outcome: finished?.outcome ?? 'none', result: finished?.result ?? {}, code };
}

const bootId = async (): Promise<string> =>
  (
    (
      await lab?.ssh(
        'dbk2',
        'cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestampMonotonic',
      )
    )?.stdout ?? ''
  ).trim();

test('a reboot is waited for until the node is back, as another boot', async () => {
  const before = await bootId();
  const { outcome, code } = await task('power: rebooted');
  expect({ outcome, code }).toEqual({ outcome: 'changed', code: 0 });
  expect(await bootId()).not.toBe(before);
});

test('power off is waited for until the node is down, and the node can be reached no more', async () => {
  expect(await task('power: off')).toMatchObject({ outcome: 'changed', code: 0 });
  expect(await task('command: "true"')).toMatchObject({ outcome: 'unreachable', code: 1 });
  await lab?.powerOn('dbk2');
  expect(await task('command: "true"')).toMatchObject({ outcome: 'changed', code: 0 });
});
