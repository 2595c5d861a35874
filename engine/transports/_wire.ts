import type { Duplex, Readable, Writable } from 'node:stream';
import type { Endpoint } from '../core/host.ts';

/** How a started command ended; `isLost` when the connection went before it could say. */
export interface Ending {
  readonly code: number | undefined;
  readonly isLost: boolean;
}

/** A running command with its three streams. */
export interface Wire {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when the command is gone and all its output was delivered; never rejects. */
  readonly ended: Promise<Ending>;
  /** Lets go of it at once, whether or not the other side ever says that it ended. */
  destroy(): void;
}

/** What a way to reach a host must offer; all else is built on it alike for every transport. */
export interface Carrier {
  /** The name of the host in messages. */
  readonly host: string;
  /** Whom commands run as without become. */
  readonly user: string;
  /** The shell for everything: `sh`. */
  readonly shell: string;
  /** Starts a command line in the user's shell. */
  start(command: string): Promise<Wire>;
  dial(endpoint: Endpoint): Promise<Duplex>;
  /** The connection is no more; another call needs a new one. */
  isGone(): boolean;
  close(): Promise<void>;
}

/** After a command's exit its output is awaited this long: a process left in the background may hold it for ever. */
const DRAIN_MS = 500;

/** Resolves at `close`, or some time after `exit` where the streams stay open. */
export function endingOf(
  listen: (events: { exit(code: number): void; close(): void }) => void,
  isLost: () => boolean,
): Promise<Ending> {
  return new Promise((resolve) => {
    let code: number | undefined;
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      clearTimeout(timer);
      resolve({ code, isLost: code === undefined && isLost() });
    };
    listen({
      exit(value) {
        code = value;
        timer = setTimeout(end, DRAIN_MS);
      },
      close: end,
    });
  });
}
