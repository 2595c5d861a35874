import type { Writable } from 'node:stream';
import type { RunEvent } from '../core/event.ts';

export interface View {
  show(event: RunEvent): void;
  /** Leaves the terminal to `work` meanwhile: a question to the operator, a child program. */
  aside<T>(work: () => Promise<T>): Promise<T>;
  /** Ends the view; resolves when all of it is written. */
  close(): Promise<void>;
}

/** A stream that may be a terminal: `process.stdout`, or any writable in a test. */
export type Screen = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

export interface ViewOptions {
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly isColor: boolean;
  readonly isVerbose: boolean;
  readonly isDiff: boolean;
  /** Our own arrows and dots may be outside ASCII; found from the locale when left out. */
  readonly isUnicode?: boolean | undefined;
}

export type ViewKind = 'live' | 'plain' | 'jsonl';

/** Opens the view; `live` falls back to `plain` where standard output is no terminal. */
export async function openView(kind: ViewKind, options: ViewOptions): Promise<View> {
  // A reader that went away (`| head`) must not end the run.
  options.stdout.on('error', () => undefined);
  if (kind === 'jsonl') return (await import('./jsonl.ts')).jsonlView(options);
  // A terminal that is `dumb` (Emacs, some consoles) knows no way to draw again in place.
  const canDraw = options.stdout.isTTY === true && process.env['TERM'] !== 'dumb';
  if (kind === 'live' && canDraw) return (await import('./live.ts')).liveView(options);
  return (await import('./plain.ts')).plainView(options);
}

/** Resolves when all that was written to `stream` so far has left the process, or never will. */
export const flushed = (stream: Screen): Promise<void> =>
  new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded) return resolve();
    stream.once('close', resolve);
    stream.write('', () => {
      stream.off('close', resolve);
      resolve();
    });
  });
