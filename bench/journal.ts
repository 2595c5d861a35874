import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createJournal, newRunId } from '../engine/run/journal/journal.ts';
import { peakMb, timed } from './shell.ts';
import type { Side } from './shell.ts';
import { drillbook } from './sides.ts';

const HOSTS = 100;
const TASKS = 1000;
const STEPS = 1000;

/**
 * Milliseconds that each of so many steps waits for the journal as an action does: its start and the end of the step
 * before it are on the disk before it begins.
 */
export async function journalSteps(folder: string): Promise<number[]> {
  const journal = createJournal(folder, newRunId(new Date()));
  const common = { name: 'a step of the benchmark', module: 'shell', host: 'node1' };
  const result = { code: 0, stdout: 'what it said\n', stderr: '' };
  const samples: number[] = [];
  try {
    for (let step = 0; step < STEPS; step++) {
      const from = performance.now();
      journal.append({ event: 'step_started', step: `bench/step-${step}`, ...common });
      await journal.commit();
      const outcome = 'changed' as const;
      journal.append({
        event: 'step_finished',
        step: `bench/step-${step}`,
        ...common,
        outcome,
        durationMs: 3,
        result,
      });
      samples.push(performance.now() - from);
    }
  } finally {
    journal.close();
  }
  return samples;
}

/** One task of three kinds, by number. */
const task = (number: number): string => {
  const kinds = [
    `set: { value_${number % 10}: '{{host.name}} at ${number}' }`,
    `debug: '{{host.name}} at ${number}', register: said_${number % 10}`,
    `assert: { that: host.name != '' }`,
  ];
  return `      - { name: step ${number}, ${kinds[number % 3]} }\n`;
};

/** A run of 100,000 steps on 100 hosts that are this machine, which fails at the step after them; and its resume. */
function longRun(folder: string): { readonly run: Side; readonly resume: Side } {
  const playbook = join(folder, 'long.yml');
  const inventory = join(folder, 'hosts.yml');
  const state = join(folder, 'state');
  const tasks = Array.from({ length: TASKS }, (_, index) => task(index + 1)).join('');
  const last = `      - { name: last, assert: { that: host.name == '' } }\n`;
  writeFileSync(playbook, `name: Long\nplays:\n  - hosts: all\n    tasks:\n${tasks}${last}`);
  const hosts = Array.from({ length: HOSTS }, (_, index) => `  host${index + 1}: {}\n`).join('');
  writeFileSync(inventory, `connection: { transport: local }\nhosts:\n${hosts}`);
  const run = drillbook('run', playbook, '-i', inventory, '--state', state, '--output', 'plain');
  const resume = drillbook('resume', '--state', state, '--output', 'jsonl');
  return {
    run: { ...run, exitCode: 1 },
    resume: { ...resume, exitCode: 1, until: '"event":"step_started"' },
  };
}

/** Peaks of resident memory, and seconds from the command to the first new step. */
export interface LongFigures {
  readonly runMb: number;
  readonly resumeMb: number;
  readonly resumeSeconds: readonly number[];
}

export async function longFigures(folder: string, rounds: number): Promise<LongFigures> {
  const { run, resume } = longRun(folder);
  const runMb = await peakMb(run);
  const resumeMb = await peakMb(resume);
  const resumeSeconds: number[] = [];
  for (let turn = 0; turn < rounds; turn++) resumeSeconds.push((await timed(resume)).seconds);
  return { runMb, resumeMb, resumeSeconds };
}

/** A folder on the disk, as state folders are, where /tmp may be memory. */
export function diskFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync('/var/tmp/drillbook-bench-');
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
