import type { ParseArgsOptionsConfig } from 'node:util';
import type { Redactor } from '../core/secret.ts';

/** What every command gets, whatever its own options are. */
export interface Invocation {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  /** Where runs and labs are kept (--state, DRILLBOOK_STATE, XDG state). */
  readonly stateDir: string;
  readonly output: 'live' | 'plain' | 'jsonl' | 'json';
  readonly isColor: boolean;
  readonly isVerbose: boolean;
  /** Hears the secrets of this command; errors go through it too. */
  readonly redactor: Redactor;
  /** Aborted by the first Ctrl-C or SIGTERM, of which the second ends the process at once, and by a terminal that goes away. */
  readonly signal: AbortSignal;
}

export interface Command {
  readonly summary: string;
  /** The words after the command's name: `PLAYBOOK -i INVENTORY`. */
  readonly usage: string;
  readonly options: ParseArgsOptionsConfig;
  /** What each option means, for --help and completion. */
  readonly help: Readonly<Record<string, string>>;
  /** Returns the exit code (docs: contract). */
  run(invocation: Invocation): Promise<number>;
}

export const command = (definition: Command): Command => definition;
