import { PassThrough } from 'node:stream';
import type { Happening, RunEvent } from '../../engine/core/event.ts';
import type { Screen, ViewOptions } from '../../engine/report/view.ts';

type Finished = Extract<Happening, { event: 'step_finished' }>;

/** Happenings as the journal would give them on, a second apart. */
export const asEvents = (happenings: readonly Happening[]): readonly RunEvent[] =>
  happenings.map((happening, index) => ({
    ...happening,
    run: 'R1',
    seq: index + 1,
    at: new Date(Date.UTC(2026, 0, 1) + index * 1000).toISOString(),
  }));

export const started = (hosts: readonly string[], isCheck = false): Happening => ({
  event: 'run_started',
  playbook: 'a.yml',
  name: 'A playbook',
  inventory: 'inv.yml',
  operator: 'ann@jump',
  isCheck,
  hosts,
  options: {},
});

export const begins = (host: string, name = 'Packages'): Happening => ({
  event: 'step_started',
  step: name,
  name,
  module: 'package',
  host,
});

export const ends = (host: string, more: Partial<Finished> = {}): Happening => ({
  event: 'step_finished',
  step: more.name ?? 'Packages',
  name: 'Packages',
  module: 'package',
  host,
  outcome: 'ok',
  durationMs: 1200,
  result: {},
  ...more,
});

export const finished = (outcome: 'done' | 'failed', exitCode = outcome === 'done' ? 0 : 1): Happening => ({
  event: 'run_finished',
  outcome,
  exitCode,
  durationMs: 61_000,
  counts: { dbk1: { ok: 1, changed: 2 } },
});

/** A screen that keeps what was written to it. */
export function screen(size?: { columns: number; rows: number }): { screen: Screen; text: () => string } {
  const stream = new PassThrough();
  const pieces: string[] = [];
  stream.on('data', (data: Buffer) => pieces.push(data.toString()));
  const written = Object.assign(stream, size === undefined ? {} : { ...size, isTTY: true });
  return { screen: written, text: () => pieces.join('') };
}

export const viewOptions = (stdout: Screen, more: Partial<ViewOptions> = {}): ViewOptions => ({
  stdout,
  stderr: screen().screen,
  isColor: false,
  isUnicode: true,
  isVerbose: false,
  isDiff: false,
  ...more,
});
