import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import { drillbook, eventsOf, start } from './_drillbook.ts';

const MAIN = resolve(import.meta.dirname, '../../engine/cli/drillbook.js');
const LIMIT = { timeout: 60_000 };

test('Ctrl-C is heard, and the disk gets its events, among steps that wait for nothing', async () => {
  const tasks = Array.from({ length: 200 }, (_, i) => `  - { name: s${i}, debug: hello }`).join('\n');
  const book = project(`tasks:\n${tasks}`, { hosts: Array.from({ length: 100 }, (_, i) => `h${i}`) });
  const run = start(
    ['run', book.playbook, '-i', book.inventory, '--state', book.state, '--output', 'jsonl'],
    { onLine: (line) => void (line.includes('"step_finished"') && run.kill('SIGINT')) },
  );
  const said = await run.ended;
  expect(said.code).toBe(3);
  const ended = eventsOf(said).filter(({ event }) => event === 'step_finished').length;
  expect(ended).toBeGreaterThan(0);
  expect(ended).toBeLessThan(20_000);
});

/** A run whose first step waits for the file `go`, begun by `begin` and told to end by `tell` in its midst; a resume ends it. */
async function endsWell(
  begin: (args: readonly string[]) => ChildProcess,
  tell: (child: ChildProcess) => Promise<unknown>,
): Promise<void> {
  const wait = 'echo begun >>begun; until [ -e go ]; do sleep 0.05; done; echo first >>steps';
  const book = project(
    `tasks:\n  - { name: first, shell: 'cd {{dir}}; ${wait}' }\n  - { name: second, shell: 'echo second >>{{dir}}/steps' }`,
  );
  const at = (name: string): string => join(book.dir, 'a', name);
  const state = ['--state', book.state];
  const child = begin(['run', book.playbook, '-i', book.inventory, ...state]);
  await expect.poll(() => existsSync(at('begun')), LIMIT).toBe(true);
  await tell(child);
  writeFileSync(at('go'), '');
  const known = async () => (await drillbook(['show', ...state, '--output', 'jsonl'])).stdout;
  await expect.poll(known, LIMIT).toContain('"event":"step_finished"');
  const resume = async () => (await drillbook(['resume', ...state])).code;
  expect(readFileSync(at('steps'), 'utf8')).toBe('first\n');
  // Refused while the process that was told has not quite ended.
  await expect.poll(resume, LIMIT).toBe(0);
  expect([readFileSync(at('begun'), 'utf8'), readFileSync(at('steps'), 'utf8')]).toEqual([
    'begun\n',
    'first\nsecond\n',
  ]);
}

test('a terminal that goes away lets the step in flight end, and the run is written down', async () => {
  const word = (args: readonly string[]): string => args.map((one) => `'${one}'`).join(' ');
  await endsWell(
    (args) =>
      spawn('script', ['-qec', `exec ${word([process.execPath, MAIN, ...args])}`, '/dev/null'], {
        stdio: ['pipe', 'ignore', 'ignore'],
        env: { ...process.env, SHELL: '/bin/sh' },
      }),
    (child) => gone(child, 'SIGKILL'),
  );
});

const gone = (child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> => {
  const ended = new Promise((end) => child.once('close', end));
  child.kill(signal);
  return ended;
};

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'an older Node hands %s on to the one that runs for it, once',
  async (signal) => {
    const older = `Object.defineProperty(process.versions, 'node', { value: '20.0.0' })`;
    const preload = `data:text/javascript,${encodeURIComponent(older)}`;
    let said = '';
    let told: Promise<unknown> | undefined;
    await endsWell(
      (args) => {
        const child = spawn(process.execPath, ['--import', preload, MAIN, ...args], {
          stdio: ['ignore', 'ignore', 'pipe'],
          detached: true,
        });
        child.stderr.on('data', (piece: Buffer) => (said += piece.toString()));
        told = new Promise((end) => child.once('close', end));
        return child;
      },
      async ({ pid = 0 }) => {
        // Ctrl-C goes to both of them.
        process.kill(signal === 'SIGINT' ? -pid : pid, signal);
        await expect.poll(() => said, LIMIT).toContain('what is under way ends first');
      },
    );
    expect(await told).toBe(3);
    expect(said).not.toContain('stopped at once');
  },
);
