import { readFile, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { RunEvent } from '../../engine/core/event.ts';
import type { DrillRecord } from '../../engine/drill/record.ts';
import { drillbook, eventsOf } from '../cli/_drillbook.ts';
import { report } from '../run/_matrix.ts';

type Finished = Extract<RunEvent, { event: 'step_finished' }>;

const FOLDER = join(import.meta.dirname, '../../playbooks');

export interface Ran {
  readonly code: number | null;
  readonly steps: readonly Finished[];
  /** `step id on host: name` of each step that changed something, or under --check would; sorted. */
  readonly changed: readonly string[];
  /** The same of the steps that --check could not foresee. */
  readonly unforeseen: readonly string[];
  /** Names of the steps that failed, forgiven or not, each once. */
  readonly failed: readonly string[];
  /** All that was said, for the message of an assertion. */
  readonly told: string;
}

export interface Running {
  readonly isCheck?: boolean;
  readonly extra?: readonly string[];
  /** Folder of the runs' journals. */
  readonly state: string;
}

const placeOf = ({ step, host, name }: Finished): string => `${step} on ${host}: ${name}`;

const codes = new Map<string, Promise<string>>();

/** The code that confirms the playbook, as `plan` tells it to an operator. */
export async function codeOf(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { stdout, stderr, code } = await drillbook(['plan', ...args, '--output', 'json'], { env });
  if (code !== 0) throw new Error(`plan: exit ${code}: ${stderr}`);
  return (JSON.parse(stdout) as { code: string }).code;
}

/** A pair as `drillbook status` tells it. */
export async function statusOf(inventory: string): Promise<ClusterStatus> {
  const { stdout } = await drillbook(['status', '-i', inventory, '--output', 'json']);
  return JSON.parse(stdout) as ClusterStatus;
}

/** Runs a drill of playbooks/drills/, which is to pass. */
export async function drilled(name: string, inventory: string, state: string): Promise<DrillRecord> {
  const args = ['drill', join(FOLDER, `drills/${name}.yml`), '-i', inventory, '--output', 'json'];
  const said = await drillbook(args, { env: { DRILLBOOK_STATE: state } });
  const record = JSON.parse(said.stdout) as DrillRecord;
  report(
    `${name}: RTO ${record.measures?.rtoMs} ms, RPO ${record.measures?.rpo.rows} of ${record.measures?.acknowledged}; load ${loadavg()[0]?.toFixed(1)}`,
  );
  expect([said.code, record.outcome, record.reasons], said.stderr).toEqual([0, 'passed', []]);
  return record;
}

/** An inventory with some of its text changed, written to `file`. */
export async function editedInventory(
  inventory: string,
  file: string,
  change: (text: string) => string,
): Promise<string> {
  await writeFile(file, change(await readFile(inventory, 'utf8')), { mode: 0o600 });
  return file;
}

/** Runs a playbook of playbooks/, of dbackup unless its stack is named, by the command line, confirmed where it asks. */
export async function playbook(
  name: string,
  inventory: string,
  { isCheck = false, extra = [], state }: Running,
): Promise<Ran> {
  const env = { DRILLBOOK_STATE: state };
  const args = [
    join(FOLDER, name.includes('/') ? `${name}.yml` : `dbackup/${name}.yml`),
    '-i',
    inventory,
    ...extra.flatMap((one) => ['-e', one]),
  ];
  const key = args.join('\n');
  if (!isCheck && !codes.has(key)) codes.set(key, codeOf(args, env));
  const yes = isCheck ? ['--check'] : ['--yes', (await codes.get(key)) ?? ''];
  const said = await drillbook(['run', ...args, ...yes, '--output', 'jsonl'], { env });
  const events = eventsOf(said);
  const steps = events.filter((event) => event.event === 'step_finished');
  const places = (test: (step: Finished) => boolean): string[] => steps.filter(test).map(placeOf).sort();
  const reasons = events.flatMap((event) => {
    if (event.event === 'run_finished') return event.reason ?? [];
    const isAmiss = event.event === 'step_finished' && !['ok', 'changed', 'skipped'].includes(event.outcome);
    return isAmiss ? `${placeOf(event)} ${event.outcome}: ${event.reason}` : [];
  });
  return {
    code: said.code,
    steps,
    changed: places(({ outcome }) => outcome === 'changed'),
    unforeseen: places(({ result }) => result['is_unforeseeable'] === true),
    failed: [...new Set(steps.filter(({ outcome }) => outcome === 'failed').map((step) => step.name))],
    told: [`${name}: exit ${said.code}`, ...reasons, said.stderr].join('\n'),
  };
}

/** Two bare nodes of dbackup become a pair that serves. */
export async function buildPair(inventory: string, state: string): Promise<void> {
  for (const name of ['install', 'catalog', 'cluster-build']) {
    const done = await playbook(name, inventory, { state });
    expect(done.code, done.told).toBe(0);
  }
}
