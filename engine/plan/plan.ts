import type { BoundRole } from '../core/cluster.ts';
import type { Module } from '../core/module.ts';
import type { Place } from '../core/place.ts';
import type { Condition } from '../parse/condition.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { BecomeKeyword, TaskKeywords } from '../parse/playbook-schema.ts';
import type { Play, Playbook } from '../parse/playbook.ts';
import type { Path, Source } from '../parse/yaml.ts';
import type { Inputs } from './inputs.ts';

export type Vars = Readonly<Record<string, unknown>>;

/** One task of the plan with all that its blocks and its play lend to it. */
export interface Step {
  readonly kind: 'step';
  /** Stable across edits elsewhere in the file. */
  readonly id: string;
  /** As written; may hold templates. */
  readonly name: string;
  readonly at: Place;
  readonly source: Source;
  readonly path: Path;
  readonly moduleName: string;
  /** Undefined for the language's own `flush`. */
  readonly module: Module | undefined;
  readonly params: unknown;
  readonly keywords: TaskKeywords;
  readonly when: readonly Condition[];
  readonly until: readonly Condition[];
  readonly changedWhen: readonly Condition[] | undefined;
  readonly failedWhen: readonly Condition[] | undefined;
  /** Play, blocks and task; the last one wins. */
  readonly vars: readonly Vars[];
  readonly environment: readonly Vars[];
  readonly become: BecomeKeyword | undefined;
  readonly delegateTo: string | undefined;
  /** What the witnesses of the host it acts on must say in the instant of the act. */
  readonly role: BoundRole | undefined;
  /** What it would destroy, in words for the operator. */
  readonly destroys: string | undefined;
  readonly isRunOnce: boolean;
  readonly isIgnored: boolean;
  /** `any_errors_fatal`: where it fails on one host it has failed on all. */
  readonly isFatal: boolean;
  readonly isSecret: boolean;
  readonly checkMode: boolean | undefined;
  readonly tags: readonly string[];
  /** Left out by --tags or --skip-tags, or before --start-at. */
  readonly isSelected: boolean;
  /** The play's own gathering of facts: worth nothing without another step. */
  readonly isGathering?: boolean;
  /** What it bends is meant to stay: `stays`. */
  readonly isLasting?: boolean;
  /** Runs at the end of the play, where this step has changed something. */
  readonly undo?: Step;
  /** An undo before its play came to its end. */
  readonly isEarly?: boolean;
}

export interface Group {
  readonly kind: 'block';
  readonly id: string;
  readonly block: readonly PlanNode[];
  readonly rescue: readonly PlanNode[];
  readonly always: readonly PlanNode[];
}

export type PlanNode = Step | Group;

export interface PlannedPlay {
  readonly id: string;
  readonly name: string;
  readonly play: Play;
  readonly hosts: string;
  readonly nodes: readonly PlanNode[];
  readonly handlers: readonly Step[];
}

export interface Plan {
  readonly playbook: Playbook;
  readonly inventory: Inventory;
  readonly inputs: Inputs;
  readonly limit: string | undefined;
  readonly invariants: readonly { readonly name: string; readonly condition: Condition }[];
  readonly plays: readonly PlannedPlay[];
  /** Files the plan was made from, for resume: absolute paths. */
  readonly files: readonly string[];
  /** Texts of the template files that steps render. */
  readonly templates: readonly string[];
  /** The same by their paths. */
  readonly templateFiles: ReadonlyMap<string, string>;
  /** What the operator types to confirm; the same for the same hosts, inputs and confirmations. */
  readonly code: string;
  /** What has to be confirmed: the playbook's own sentence first, then each destroying step. */
  readonly confirmations: readonly string[];
  /** The roles in the clusters must be read before the first play. */
  readonly needsStatus: boolean;
}

/** Every step under `nodes`, in the order of the file; an undo after its task. */
export function* stepsOf(nodes: readonly PlanNode[]): Generator<Step> {
  for (const node of nodes) {
    if (node.kind === 'step') {
      yield node;
      if (node.undo) yield node.undo;
    }
    if (node.kind === 'block')
      for (const part of [node.block, node.rescue, node.always]) yield* stepsOf(part);
  }
}
