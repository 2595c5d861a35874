import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import type { Healed } from './lease.ts';
import type { Entry, Written } from './ledger.ts';
import type { Measures, Seen } from './measures.ts';
import type { FaultKind, Goals } from './schema.ts';

/** What the drill did at a moment, for whoever watches. */
export type DrillEvent = {
  /** Ms since the drill began. */
  readonly ms: number;
} & (
  | { readonly event: 'phase'; readonly phase: Phase }
  | {
      readonly event: 'fault';
      readonly fault: string;
      readonly host: string;
      readonly state: 'ordered' | 'in force' | 'healed';
      readonly how?: Healed;
    }
  | ({ readonly event: 'seen' } & Seen)
  | { readonly event: 'check'; readonly name: string; readonly isMet: boolean; readonly tookMs: number }
  | {
      readonly event: 'playbook';
      readonly run: string;
      readonly state: 'begun' | 'done' | 'failed' | 'not needed';
      readonly id?: string;
    }
);

/** The parts of a drill, in their order. */
export const PHASES = [
  'steady before',
  'writing',
  'fault',
  'healed',
  'planned stop',
  'steady after',
  'audit',
] as const;
export type Phase = (typeof PHASES)[number];

export interface FaultRecord {
  readonly name: string;
  readonly kind: FaultKind;
  readonly host: string;
  readonly fromMs: number;
  readonly untilMs: number | null;
  readonly how: Healed | null;
}

export interface CheckRecord {
  readonly name: string;
  readonly withinMs: number;
  /** When it held first, since the first fault; null where it did not in time. */
  readonly tookMs: number | null;
}

export interface GoalRecord {
  readonly goal: keyof Goals;
  readonly wanted: number;
  /** Null where it could not be measured, as the time to promote where nothing was promoted. */
  readonly found: number | null;
  readonly isMet: boolean;
}

export interface PlaybookRecord {
  readonly playbook: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Null where it was not needed. */
  readonly run: string | null;
  readonly exitCode: number | null;
}

export type DrillOutcome = 'passed' | 'failed' | 'interrupted' | 'in_doubt' | 'stopped';

/** All of a drill that has ended; what reports and the history are made of. */
export interface DrillRecord {
  readonly drill: string;
  readonly name: string;
  readonly description: string | null;
  readonly file: string;
  readonly inventory: string;
  readonly cluster: string;
  readonly stack: string;
  readonly nodes: readonly string[];
  readonly operator: string;
  readonly startedAt: string;
  readonly endedMs: number;
  readonly outcome: DrillOutcome;
  readonly exitCode: number;
  /** Why it did not pass, a sentence each. */
  readonly reasons: readonly string[];
  readonly before: { readonly primary: string; readonly standby: string } | null;
  readonly phases: readonly { readonly phase: Phase; readonly fromMs: number; readonly untilMs: number }[];
  readonly faults: readonly FaultRecord[];
  readonly checks: readonly CheckRecord[];
  readonly playbooks: readonly PlaybookRecord[];
  readonly goals: readonly GoalRecord[];
  readonly measures: Measures | null;
  readonly seen: readonly Seen[];
  /** Acknowledged writes in each 100 ms since the drill began. */
  readonly writes: readonly number[];
}

/** Width of one bar of the picture. */
export const BUCKET_MS = 100;

export const drillsDir = (stateDir: string): string => join(stateDir, 'drills');
export const drillDir = (stateDir: string, drill: string): string => join(drillsDir(stateDir), drill);

/** For the operator alone. */
export function keep(stateDir: string, drill: string, name: string, text: string): string {
  const dir = drillDir(stateDir, drill);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, name);
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return path;
}

export const keepRecord = (stateDir: string, record: DrillRecord): string =>
  keep(stateDir, record.drill, 'drill.json', `${JSON.stringify(record)}\n`);

/** Drills that are kept, oldest first. */
export function drillIds(stateDir: string): readonly string[] {
  try {
    return readdirSync(drillsDir(stateDir)).sort();
  } catch {
    return [];
  }
}

/** A drill as it was kept; undefined of one that never came to its end. */
export function readDrill(stateDir: string, drill: string): DrillRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(drillDir(stateDir, drill), 'drill.json'), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  try {
    return JSON.parse(text) as DrillRecord;
  } catch (cause) {
    throw new DrillbookError('drill.record', `the record of drill ${drill} is damaged`, { cause });
  }
}

/** Every try to write a row, for whoever wants to count again. */
export const ledgerCsv = ({ entries }: Written): string =>
  [
    'n,attempt,sent_ms,ack_ms,server,error',
    ...entries.map(({ n, attempt, sentMs, ackMs, server, error }) =>
      [n, attempt, sentMs.toFixed(1), ackMs?.toFixed(1) ?? '', server, error ?? ''].join(','),
    ),
    '',
  ].join('\n');

/** Acknowledgements in each bar of the picture. */
export function histogram(entries: readonly Entry[]): readonly number[] {
  const bars: number[] = [];
  for (const { ackMs } of entries) {
    if (ackMs === undefined) continue;
    const bar = Math.floor(ackMs / BUCKET_MS);
    bars[bar] = (bars[bar] ?? 0) + 1;
  }
  return Array.from(bars, (count) => count ?? 0);
}
