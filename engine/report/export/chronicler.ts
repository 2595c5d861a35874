import { DrillbookError } from '../../core/error.ts';
import type { Counts, RunEvent } from '../../core/event.ts';
import { lastResults } from './chronicle.ts';
import type { Chronicle, StepResult, StepStory } from './chronicle.ts';

type Of<K extends RunEvent['event']> = Extract<RunEvent, { event: K }>;

const empty = (run: string, at: string): Chronicle => ({
  run,
  ...{ name: '', playbook: '', inventory: '', operator: '', isCheck: false },
  ...{ startedAt: at, endedAt: at, outcome: 'unfinished', exitCode: null, reason: null, damage: null },
  ...{ options: {}, hosts: [], protection: {}, counts: {} },
  ...{ sessions: [], plays: [], steps: [], roles: [], away: [], notified: [], confirmations: [] },
  ...{ obligations: [], guards: [], locks: [], edits: [] },
});

/** Roles in the result of `cluster.status`; undefined where it tells none. */
function rolesIn({
  module,
  result,
}: Of<'step_finished'>): { cluster: string; roles: Record<string, string> } | undefined {
  const { cluster, roles } = result;
  if (module !== 'cluster.status' || typeof cluster !== 'string') return undefined;
  if (roles === null || typeof roles !== 'object') return undefined;
  return { cluster, roles: roles as Record<string, string> };
}

/** How the steps of each host ended, as far as they have. */
function countsOf({ steps }: Chronicle): Record<string, Counts> {
  const counts: Record<string, Counts> = {};
  for (const { host, outcome } of steps.flatMap(lastResults)) {
    const of = counts[host] ?? {};
    if (outcome !== null) counts[host] = { ...of, [outcome]: (of[outcome] ?? 0) + 1 };
  }
  return counts;
}

/** What the events of one run tell; `damage` is why the journal cannot be read any further. */
export function chronicleOf(run: string, events: Iterable<RunEvent>): Chronicle {
  const { chronicle, hear } = chronicler(run);
  try {
    for (const event of events) hear(event);
  } catch (error) {
    if (!(error instanceof DrillbookError) || !error.code.startsWith('journal.')) throw error;
    chronicle.damage = error.message;
  }
  if (chronicle.exitCode === null) chronicle.counts = countsOf(chronicle);
  return chronicle;
}

function chronicler(run: string): { hear(event: RunEvent): void; readonly chronicle: Chronicle } {
  const chronicle = empty(run, '');
  const steps = new Map<string, StepStory>();
  /** Step and host → what is under way there. */
  const open = new Map<string, StepResult>();

  const stepOf = ({ step: id, name, module }: Of<'step_started' | 'step_finished'>): StepStory => {
    const known = steps.get(id) ?? { id, name, module, play: chronicle.plays.at(-1)?.id ?? '', results: [] };
    if (!steps.has(id)) chronicle.steps.push(known);
    steps.set(id, known);
    return known;
  };
  const begin = (event: Of<'step_started' | 'step_finished'>): StepResult => {
    const before = event.event === 'step_finished' ? Math.max(0, Date.parse(event.at) - event.durationMs) : 0;
    const from = event.event === 'step_finished' ? new Date(before).toISOString() : event.at;
    const result: StepResult = {
      ...{ host: event.host, from, until: null, outcome: null, durationMs: 0, reason: null },
      ...{ isForgiven: false, changes: [], result: {}, words: [] },
    };
    stepOf(event).results.push(result);
    return result;
  };
  const end = (event: Of<'step_finished'>): void => {
    const key = `${event.step}\n${event.host}`;
    const result = open.get(key) ?? begin(event);
    open.delete(key);
    const { outcome, durationMs, reason, isForgiven, changes } = event;
    Object.assign(result, {
      until: event.at,
      outcome,
      durationMs,
      reason: reason ?? null,
      result: event.result,
    });
    Object.assign(result, { isForgiven: isForgiven === true, changes: changes ?? [] });
    // A host that did not come back in time is away no longer than it was waited for.
    if (outcome === 'unreachable')
      for (const one of chronicle.away) if (one.host === event.host) one.until ??= event.at;
    const seen = rolesIn(event);
    if (seen) chronicle.roles.push({ at: event.at, ...seen });
    const { code } = event.result;
    if (typeof code === 'string' && code.startsWith('guard.'))
      chronicle.guards.push({
        at: event.at,
        guard: code.slice(6),
        message: reason ?? event.name,
        host: event.host,
      });
  };
  /** What a session that died had under way. */
  const closeSession = (): void => {
    const session = chronicle.sessions.at(-1);
    for (const result of open.values()) {
      const until = session?.until ?? result.from;
      result.until = until;
      result.durationMs = Math.max(0, Date.parse(until) - Date.parse(result.from));
    }
    open.clear();
    for (const one of chronicle.away) one.until ??= session?.until ?? null;
  };
  const begins = (at: string, operator: string): void => {
    closeSession();
    chronicle.sessions.push({ from: at, until: at, operator, end: 'unknown' });
    Object.assign(chronicle, { outcome: 'unfinished', exitCode: null, reason: null, counts: {} });
  };
  const finishes = (kind: 'finished' | 'interrupted'): void => {
    const session = chronicle.sessions.at(-1);
    if (session) session.end = kind;
    closeSession();
  };
  const note = (event: RunEvent): void => {
    const { at } = event;
    switch (event.event) {
      case 'run_started': {
        const { name, playbook, inventory, operator, isCheck, hosts, options } = event;
        Object.assign(chronicle, { name, playbook, inventory, operator, isCheck, options, startedAt: at });
        chronicle.protection = event.protection ?? {};
        chronicle.hosts.push(...hosts);
        return begins(at, operator);
      }
      case 'run_resumed':
        return begins(at, event.operator);
      case 'play_started': {
        const { play: id, name, hosts } = event;
        return void chronicle.plays.push({ id, name, at, hosts });
      }
      case 'step_started':
        return void open.set(`${event.step}\n${event.host}`, begin(event));
      case 'step_progress': {
        const { message, attempt = null, percent = null } = event;
        return void open.get(`${event.step}\n${event.host}`)?.words.push({ at, message, attempt, percent });
      }
      case 'step_finished':
        return end(event);
      case 'roles_found':
        return void chronicle.roles.push({ at, cluster: event.cluster, roles: event.roles });
      case 'host_away':
        return void chronicle.away.push({ host: event.host, from: at, until: null, message: event.message });
      case 'host_back': {
        const away = chronicle.away.findLast((one) => one.host === event.host);
        if (away) away.until = at;
        return;
      }
      case 'handler_notified': {
        const { handler, host, by } = event;
        return void chronicle.notified.push({ at, handler, host, by });
      }
      case 'confirmation_given':
        return void chronicle.confirmations.push({ at, question: event.question, by: event.by });
      case 'obligation_opened': {
        const { obligation, host, message, step, isLasting = false } = event;
        const before = chronicle.obligations.find(
          (one) => one.obligation === obligation && one.closedAt === null,
        );
        // Told again by a step that is taken up again.
        if (before) return void Object.assign(before, { host, message, step, isLasting });
        const rest = { openedAt: at, isLasting, closedAt: null, closedBy: null };
        return void chronicle.obligations.push({ obligation, host, message, step, ...rest });
      }
      case 'obligation_closed': {
        const of = chronicle.obligations.findLast((one) => one.obligation === event.obligation);
        if (of) Object.assign(of, { closedAt: at, closedBy: event.by });
        return;
      }
      case 'invariant_broken': {
        const message = `${event.name}: ${event.message}`;
        return void chronicle.guards.push({ at, guard: 'invariant', message, host: null });
      }
      case 'lock_taken':
        return void chronicle.locks.push({ at, cluster: event.cluster, what: 'taken', by: null });
      case 'lock_released':
        return void chronicle.locks.push({ at, cluster: event.cluster, what: 'released', by: null });
      case 'lock_lost':
        return void chronicle.locks.push({ at, cluster: event.cluster, what: 'lost', by: event.by });
      case 'changes_accepted': {
        const { by, added, removed, changed, moved, others } = event;
        const files = Object.keys(event.files);
        return void chronicle.edits.push({ at, by, added, removed, changed, moved, others, files });
      }
      case 'run_interrupted':
        chronicle.reason = event.reason;
        return finishes('interrupted');
      case 'run_finished': {
        const { outcome, exitCode, reason = null, counts } = event;
        Object.assign(chronicle, { outcome, exitCode, reason, counts });
        return finishes('finished');
      }
    }
  };
  return {
    chronicle,
    hear(event) {
      const session = chronicle.sessions.at(-1);
      // What comes after the end (an obligation put right by hand) is no part of it.
      const isOver = session !== undefined && session.end !== 'unknown';
      if (session && !isOver && event.event !== 'run_resumed') {
        session.until = event.at;
        chronicle.endedAt = event.at;
      }
      note(event);
    },
  };
}
