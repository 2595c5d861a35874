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
  start(command: string, options?: { readonly isPty?: boolean }): Promise<Wire>;
  dial(endpoint: Endpoint): Promise<Duplex>;
  close(): Promise<void>;
}
