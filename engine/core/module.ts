import type { Duplex } from 'node:stream';
import type { z } from 'zod';
import type { BoundRole, ClusterStatus } from './cluster.ts';
import type { Entry } from './files.ts';
import type { Answer, Cluster, DialogueResult, Endpoint, Host, ShOptions, ShResult } from './host.ts';
import type { Fields } from './result.ts';

export type Result = Readonly<Record<string, unknown>>;

/** One thing that differs; texts of files are given whole, for the diff. */
export interface Change {
  /** What it is: `mode of /etc/motd`, `package keepalived`. */
  readonly what: string;
  readonly before?: string | undefined;
  readonly after?: string | undefined;
}

export interface Checked {
  /** Empty when the host is as wanted. */
  readonly changes: readonly Change[];
  /** What `register` gets, beside `changed`. */
  readonly result?: Result | undefined;
}

export interface Outcome {
  readonly result: Result;
  /** Why it failed, in one sentence; left out when it did not. */
  readonly failed?: string | undefined;
  /** Actions: changed unless said otherwise. Queries never change. */
  readonly isChanged?: boolean | undefined;
}

export interface JobWish extends ShOptions {
  /** Done twice it does no harm: where it was lost it is begun anew, and nothing is in doubt. */
  readonly isRepeatable?: boolean | undefined;
}

/** All that a module may touch. Become, environment and time limit of the task are in force already. */
export interface Context {
  readonly host: Host;
  /** The pair this host belongs to, if any. */
  readonly cluster: Cluster | undefined;
  readonly signal: AbortSignal;
  sh(script: string, options?: ShOptions): Promise<ShResult>;
  /**
   * `sh` that happens once, in a resumable action's `run`: called again after an interruption or a lost connection, it
   * gives what the first call began, running still or ended. Calls are told apart by their order.
   */
  job(script: string, options?: JobWish): Promise<ShResult>;
  /** A program that asks; once, as `job`. */
  dialogue(command: string, answers: readonly Answer[], options?: JobWish): Promise<DialogueResult>;
  /** What was found out before an act: kept in the journal under `name`, so that a call again reads the same. JSON. */
  keep<T>(name: string, find: () => Promise<T>): Promise<T>;
  put(path: string, content: Uint8Array | string, mode?: number): Promise<void>;
  get(path: string): Promise<Uint8Array>;
  dial(endpoint: Endpoint): Promise<Duplex>;
  /** The same step on another host of the inventory. */
  on(host: string): Context;
  /** Absolute path on the jump host of a file named in the playbook (beside it, then in the project's `templates/` or `files/`). */
  local(path: string): string;
  /** Its content; modules read files of the jump host in no other way, so that a run can be given those it began with. */
  read(path: string): Promise<Uint8Array>;
  /** What is in such a folder, however deep, folders before what is in them; undefined where `path` is a file. */
  tree(path: string): readonly Entry[] | undefined;
  /** Renders a Handlebars template with the task's variables; `from` names it in errors. */
  render(template: string, from: string): string;
  /** Evaluates a CEL expression with the task's variables and `extra`. */
  evaluate(expression: string, extra?: Result): unknown;
  /** The state of this host's pair, read on its nodes now. */
  status(): Promise<ClusterStatus>;
  /** How long, in ms, earlier runs of this playbook on this inventory that went well took from this step to their end. */
  restsOfEarlierRuns(): readonly number[];
  /** What runs kept on this machine have bent of this host's pair and not put right, as `NAME@WHERE`; without what is meant to stay. */
  obligations(): readonly string[];
  /** One line for the live view; percent from 0 to 100. */
  progress(message: string, percent?: number): void;
  /** From here on `value` is masked wherever it would be shown. */
  secret(value: string): void;
}

export type Shape = z.ZodObject;

/** What a step with certain parameters bends, or puts right: a stable word, and of what. */
export type Bending = {
  readonly scope: 'host' | 'cluster';
  /** As often right as bent (a stopped service): opened only by a task with an `undo`, and told to its own run alone. */
  readonly isOwn?: boolean;
} & (
  | {
      readonly opens: string;
      /** What is bent then, for the operator: `automatic failover is off`. */
      readonly message: string;
    }
  | { readonly closes: string }
);

interface Described<S extends Shape> {
  /** One line for the reference pages. */
  readonly summary: string;
  /** Where what it does is written: `drbdadm(8), drbd.conf(5)`, `MySQL 8.4 manual, 15.4.2`; parted by `, ` or `; `. */
  readonly source: string;
  /**
   * Parameters; each described. `.meta({ secret: true })` masks its value, `.meta({ cel: true })` marks a CEL
   * expression (not rendered by Handlebars), `.meta({ localFile: true })` a file of the jump host, looked for at plan time,
   * and with `template: true` a template, whose names are checked then.
   */
  readonly params: S;
  /** The parameter that takes the value of `module: text`. */
  readonly shorthand?: string;
  /** Playbook tasks in YAML, each a list item. */
  readonly examples: string;
  /** What `register` gets of a step that went well: name → type, described; optional where it is not always there.
   * `.meta({ isLasting: true })`: what a state says of it before its change is true after it too. */
  readonly returns: Fields;
  /** What would be destroyed, in words for the operator; undefined when nothing. Such a step needs a code. */
  readonly destroys?: (params: z.output<S>) => string | undefined;
  /** What it bends until something else puts it right, or what it puts right; undefined when neither. */
  readonly obligation?: (params: z.output<S>) => Bending | undefined;
  /** The role without which it never acts; a task's keyword `role` wins. Looks that follow the act are `isLook`. */
  readonly role?: BoundRole;
}

export interface StateModule<S extends Shape = Shape> extends Described<S> {
  readonly kind: 'state';
  /** Looks; changes nothing. */
  check(ctx: Context, params: z.output<S>): Promise<Checked>;
  /** Closes exactly `found.changes`. May return the look afterwards where the same exchange has taken it. */
  apply(ctx: Context, params: z.output<S>, found: Checked): Promise<Checked | undefined>;
}

export interface ActionModule<S extends Shape = Shape> extends Described<S> {
  readonly kind: 'action';
  run(ctx: Context, params: z.output<S>): Promise<Outcome>;
  /**
   * `run` may be called again after an interruption: what must happen once in it goes through `ctx.job` or
   * `ctx.dialogue`, all else looks first. Without it an interrupted action is in doubt.
   */
  readonly isResumable?: boolean;
  /** For --check: whether a run would change anything, as far as a look can tell; left out when it always would. */
  wouldChange?(ctx: Context, params: z.output<S>): Promise<boolean>;
}

export interface QueryModule<S extends Shape = Shape> extends Described<S> {
  readonly kind: 'query';
  read(ctx: Context, params: z.output<S>): Promise<Outcome>;
  /** For --check, where what it waits for has only been pretended: the same without waiting. */
  inHaste?(params: z.output<S>): z.output<S>;
}

export type Module = StateModule | ActionModule | QueryModule;

export const state = <S extends Shape>(module: Omit<StateModule<S>, 'kind'>): StateModule<S> => ({
  kind: 'state',
  ...module,
});
export const action = <S extends Shape>(module: Omit<ActionModule<S>, 'kind'>): ActionModule<S> => ({
  kind: 'action',
  ...module,
});
export const query = <S extends Shape>(module: Omit<QueryModule<S>, 'kind'>): QueryModule<S> => ({
  kind: 'query',
  ...module,
});
