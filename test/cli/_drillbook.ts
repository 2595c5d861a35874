import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { RunEvent } from '../../engine/core/event.ts';

const MAIN = join(import.meta.dirname, '../../engine/cli/drillbook.js');

export interface Said {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly ended: Promise<Said>;
  kill(signal: NodeJS.Signals): void;
}

export interface Listening {
  readonly env?: Readonly<Record<string, string>>;
  /** Hears each line of standard output as it comes. */
  readonly onLine?: (line: string) => void;
}

/** Starts the real program, as an operator would. */
export function start(args: readonly string[], { env = {}, onLine }: Listening = {}): Started {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  let seen = 0;
  child.stdout.on('data', (piece: Buffer) => {
    stdout += piece.toString();
    for (let end = stdout.indexOf('\n', seen); end >= 0; end = stdout.indexOf('\n', seen)) {
      onLine?.(stdout.slice(seen, end));
      seen = end + 1;
    }
  });
  child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
  return {
    ended: new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    }),
    kill: (signal) => void child.kill(signal),
  };
}

export const drillbook = (args: readonly string[], listening?: Listening): Promise<Said> =>
  start(args, listening).ended;

export const eventsOf = ({ stdout }: Said): RunEvent[] =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as RunEvent);
