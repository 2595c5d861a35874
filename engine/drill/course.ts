import type { DrillbookError } from '../core/error.ts';
import type { Cluster, Host, Transport } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import type { Written } from './ledger.ts';
import type { Drill } from './load.ts';
import type { Measures, Seen } from './measures.ts';
import type {
  CheckRecord,
  DrillEvent,
  DrillOutcome,
  DrillRecord,
  FaultRecord,
  Phase,
  PlaybookRecord,
} from './record.ts';
import { histogram } from './record.ts';
import { goalsOf, goalText } from './verdict.ts';

/** What a drill needs of whoever carries it out. */
export interface DrillRequest {
  readonly drill: Drill;
  readonly id: string;
  /** With its settings rendered. */
  readonly cluster: Cluster;
  readonly inventory: string;
  readonly operator: string;
  readonly hosts: ReadonlyMap<string, Host>;
  on(host: string): Context;
  open(host: Host): Transport;
  readonly interrupt: AbortSignal;
  /** Folder for what only this machine holds of the drill. */
  readonly dir: string;
  tell(event: DrillEvent): void;
  /** Locks the pair against runs and other drills; what lets it go again. Throws `guard.lock`. */
  lock(): Promise<() => Promise<void>>;
  /** Runs a playbook to its end. */
  run(
    playbook: string,
    inputs: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly id: string; readonly exitCode: number }>;
}

/** Who was what when the drill began. */
export interface Before {
  readonly primary: string;
  readonly standby: string;
}

type WithoutTime<E> = E extends DrillEvent ? Omit<E, 'ms'> : never;

/** A drill under way: its clock, and what is known of it so far. */
export interface Course {
  readonly request: DrillRequest;
  /** Ms since it began. */
  now(): number;
  tell(event: WithoutTime<DrillEvent>): void;
  /** It ends no better than this, and why. */
  worsen(outcome: DrillOutcome, why: string): void;
  /** It ends because of this: as stopped only where no fault has been in force, and no playbook was run. */
  endBy(error: DrillbookError): void;
  begin(phase: Phase): void;
  see(seen: Seen): void;
  /** The node was last seen to say nothing. */
  isAway(node: string): boolean;
  readonly faults: FaultRecord[];
  readonly checks: CheckRecord[];
  readonly playbooks: PlaybookRecord[];
  readonly seen: readonly Seen[];
  end(found: {
    readonly before: Before | undefined;
    readonly measures: Measures | undefined;
    readonly written: Written | undefined;
  }): DrillRecord;
}

/** From best to worst. */
const OUTCOMES: readonly DrillOutcome[] = ['passed', 'failed', 'interrupted', 'stopped', 'in_doubt'];

const EXIT_CODES: Readonly<Record<DrillOutcome, number>> = {
  passed: 0,
  failed: 1,
  interrupted: 3,
  in_doubt: 4,
  stopped: 5,
};

export function startCourse(request: DrillRequest): Course {
  const startedAt = new Date().toISOString();
  const zero = performance.now();
  const now = (): number => Math.round(performance.now() - zero);
  const phases: { phase: Phase; fromMs: number; untilMs: number }[] = [];
  const seen: Seen[] = [];
  const reasons: string[] = [];
  const faults: FaultRecord[] = [];
  const checks: CheckRecord[] = [];
  const playbooks: PlaybookRecord[] = [];
  const latest = new Map<string, string>();
  let outcome: DrillOutcome = 'passed';

  const worsen: Course['worsen'] = (to, why) => {
    if (OUTCOMES.indexOf(to) > OUTCOMES.indexOf(outcome)) outcome = to;
    if (!reasons.includes(why)) reasons.push(why);
  };
  const endBy: Course['endBy'] = ({ code, message, hint }) => {
    const [family] = code.split('.');
    const isBegun = faults.length > 0 || playbooks.length > 0;
    const how = family === 'doubt' ? 'in_doubt' : family === 'guard' && !isBegun ? 'stopped' : 'failed';
    worsen(how, hint === undefined ? message : `${message} — ${hint}`);
  };
  const closePhase = (): void => {
    const last = phases.at(-1);
    if (last) last.untilMs = now();
  };
  return {
    ...{ request, now, worsen, endBy, faults, checks, playbooks, seen },
    tell: (event) => request.tell({ ms: now(), ...event } as DrillEvent),
    begin(phase) {
      closePhase();
      phases.push({ phase, fromMs: now(), untilMs: now() });
      request.tell({ ms: now(), event: 'phase', phase });
    },
    see(one) {
      seen.push(one);
      latest.set(one.node, one.role);
      request.tell({ event: 'seen', ...one });
    },
    isAway: (node) => latest.get(node) === 'offline',
    end({ before, measures, written }) {
      closePhase();
      const { drill, cluster } = request;
      const goals = measures ? goalsOf(drill.goals, measures) : [];
      for (const goal of goals.filter(({ isMet }) => !isMet)) worsen('failed', goalText(goal));
      if (measures && !measures.isServing) worsen('failed', 'no write is acknowledged any more');
      return {
        ...{ drill: request.id, name: drill.name, description: drill.description ?? null, file: drill.file },
        ...{ inventory: request.inventory, cluster: cluster.name, stack: cluster.stack },
        ...{ nodes: cluster.nodes, operator: request.operator, startedAt, endedMs: now() },
        ...{ outcome, exitCode: EXIT_CODES[outcome], reasons, before: before ?? null, phases },
        faults: faults.toSorted((a, b) => a.fromMs - b.fromMs),
        ...{ checks, playbooks, goals, measures: measures ?? null, seen },
        writes: histogram(written?.entries ?? []),
      };
    },
  };
}
