import type { Duplex } from 'node:stream';
import type { Redactor } from './secret.ts';

/** How to become another user on a host. The password travels on standard input only. */
export interface Become {
  readonly user: string;
  readonly method: 'sudo' | 'su' | 'doas';
  readonly password?: string | undefined;
}

/** How to reach a host; unset fields come from ssh_config, then from the defaults of ssh. */
export interface Connection {
  readonly transport: 'ssh' | 'local';
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Private key file on the jump host. */
  readonly identityFile?: string | undefined;
  readonly passphrase?: string | undefined;
  readonly knownHosts?: string | undefined;
  readonly sshConfig?: string | undefined;
  /** Comma-separated hosts, as ProxyJump of ssh_config; `none` for straight. */
  readonly proxyJump?: string | undefined;
  /** Words of ssh_config that go over those of its files, as `-o` of ssh. */
  readonly sshOptions?: readonly (readonly [string, string])[] | undefined;
  /** Why there is no way to this host, in one sentence: told when it is first needed. */
  readonly unusable?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** How long the run waits for the host when it is away after having been reached; 5 minutes when left out. */
  readonly reconnectTimeoutMs?: number | undefined;
}

/** A host of the inventory, its variables already merged (all < group < host). */
export interface Host {
  readonly name: string;
  readonly groups: readonly string[];
  readonly vars: Readonly<Record<string, unknown>>;
  readonly connection: Connection;
  readonly become?: Become | undefined;
  /** How, where only a step asks for it; `become` is for every step. */
  readonly becoming?: Become | undefined;
}

/** Two nodes that form a pair. `settings` is what the stack's adapter needs (VIPs, heartbeats, service names, accounts). */
export interface Cluster {
  readonly name: string;
  readonly stack: string;
  /** Host names, in the order of the inventory: the first is node 1. */
  readonly nodes: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Asked on the host in the same exchange as a script, right before it: shell text (builtins where it can) that sets
 * `refused` to one sentence where the script must not run. The exchange then throws a DrillbookError of this code.
 */
export interface Guard {
  readonly code: 'guard.lock' | 'guard.role';
  readonly script: string;
  /** `$1`, `$2`, … of the text. */
  readonly args: readonly string[];
}

export interface ShOptions {
  readonly guards?: readonly Guard[] | undefined;
  /** Only reads: the role of the host is not asked about, which the step itself may have changed by then. */
  readonly isLook?: boolean | undefined;
  /** `$1`, `$2`, … of the script; the only way for a value to reach shell. */
  readonly args?: readonly string[] | undefined;
  /** Standard input of the script; empty when left out. */
  readonly stdin?: string | Uint8Array | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly become?: Become | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with each piece of standard output as it comes. */
  readonly onOutput?: ((text: string) => void) | undefined;
}

export interface ShResult {
  /** Exit code; 128 + n after signal n. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A prompt to wait for and what to type then. */
export interface Answer {
  /** Matched against the output since the last answer. */
  readonly prompt: RegExp;
  readonly answer: string;
  /** The prompt may never come. */
  readonly isOptional?: boolean | undefined;
}

export interface DialogueResult {
  readonly code: number;
  /** What the terminal showed, carriage returns taken out. */
  readonly output: string;
  /** Prompts that came, in order. */
  readonly answered: readonly string[];
}

/** A command that outlives the connection: whoever names it thus means the same one. */
export interface JobId {
  readonly run: string;
  /** The host as the inventory names it: several may be one machine. */
  readonly host: string;
  /** Letters, digits, `.`, `_` and `-`; new for each time the command is to run. */
  readonly key: string;
}

/** What became of a job. */
export type JobEnd<T> =
  | { readonly kind: 'ended'; readonly result: T }
  /** Never begun: nothing of it is on the host. */
  | { readonly kind: 'absent' }
  /** Begun, and gone without a word: the host went down, or something killed it. `output` is what it had said. */
  | { readonly kind: 'lost'; readonly reason: 'rebooted' | 'killed'; readonly output: string };

export interface JobOptions extends ShOptions {
  /** `attach` never begins it; `start` begins it unless it has begun already, and then attaches. */
  readonly mode: 'start' | 'attach';
}

export type Endpoint = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/**
 * One connection to one host for the whole run: a persistent `sh` (one more for each user become), so that
 * `sh` costs one round trip. Every method throws `Unreachable` when the host or the connection is gone.
 */
export interface Transport {
  open(): Promise<void>;
  /** The kernel's identity of the host's boot, empty where it has none; told by a shell (of `become`) as it starts. */
  boot(become?: Become): Promise<string>;
  sh(script: string, options?: ShOptions): Promise<ShResult>;
  /** `sh` at most once for an id, whatever happens to the connection: see `JobId`. */
  job(id: JobId, script: string, options: JobOptions): Promise<JobEnd<ShResult>>;
  /**
   * A job whose `command` runs on a pseudo-terminal and whose prompts are answered, each once, whoever attaches; an
   * answer is never echoed into `output`.
   */
  dialogue(
    id: JobId,
    command: string,
    answers: readonly Answer[],
    options: JobOptions,
  ): Promise<JobEnd<DialogueResult>>;
  /** Writes `content` to `path` with `mode` (0600 when left out), replacing it atomically. */
  put(
    path: string,
    content: Uint8Array,
    options?: { mode?: number; become?: Become | undefined; guards?: readonly Guard[] | undefined },
  ): Promise<void>;
  get(path: string, options?: { become?: Become | undefined }): Promise<Uint8Array>;
  /** A byte stream to a TCP port or unix socket as seen from the host. */
  dial(endpoint: Endpoint): Promise<Duplex>;
  /** The connection was there and is no more; a further call would make another one. */
  isGone(): boolean;
  close(): Promise<void>;
}

export type OpenTransport = (
  host: Host,
  tools: {
    readonly redactor: Redactor;
    readonly signal?: AbortSignal;
    /** Asks on the terminal for a passphrase or a code; left out where there is none. */
    readonly ask?: ((question: string, isSecret: boolean) => Promise<string>) | undefined;
  },
) => Transport;
