import type { DrillbookError } from '../core/error.ts';
import type { Files } from '../core/files.ts';
import type { Module } from '../core/module.ts';
import type { Known } from '../parse/known.ts';
import type { BecomeKeyword, TaskKeywords } from '../parse/playbook-schema.ts';
import type { Vars } from './plan.ts';
import type { Selection } from './selection.ts';

/** What blocks hand down to the tasks in them. */
export interface Inherited {
  readonly when: readonly string[];
  readonly vars: readonly Vars[];
  readonly environment: readonly Vars[];
  readonly become: BecomeKeyword | undefined;
  readonly tags: readonly string[];
  readonly delegateTo: string | undefined;
  readonly role: TaskKeywords['role'];
  readonly isRunOnce: boolean;
  readonly isIgnored: boolean;
  readonly isFatal: boolean;
  readonly isSecret: boolean;
  readonly checkMode: boolean | undefined;
}

export interface Expanding {
  readonly modules: ReadonlyMap<string, Module>;
  readonly problems: DrillbookError[];
  readonly ids: Map<string, number>;
  readonly selection: Selection;
  readonly engine: ReadonlyMap<string, Known>;
  /** Registered and set anywhere: name → place. */
  readonly later: ReadonlyMap<string, string>;
  /** Set by -e. */
  readonly overrides: ReadonlySet<string>;
  /** What a template may name here; grows as tasks register results. */
  readonly variables: Map<string, Known>;
  /** What only some hosts of the play in hand have: name → those that lack it. */
  readonly partial: Map<string, readonly string[]>;
  /** Registered and set so far: known in later plays too. */
  readonly registered: Map<string, Known>;
  /** Explicit ids and where they stand. */
  readonly explicit: Map<string, string>;
  /** Words that `notify` may use: names of handlers and what they listen to. */
  readonly handlers: ReadonlySet<string>;
  /** The play's handlers are in hand, not its tasks. */
  readonly isHandlers?: boolean;
  readonly files: Files;
  /** Template files that steps render: path → text. */
  readonly templates: Map<string, string>;
  /** `hosts:` of the play in hand, as far as it is known. */
  readonly pattern: string;
}
