import { join } from 'node:path';
import { watchOf } from '../cluster/stacks.ts';
import type { Watch } from '../core/cluster.ts';
import { durationText } from '../core/duration.ts';
import { DrillbookError, Unreachable } from '../core/error.ts';
import type { Cluster, Host, Transport } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { withServer } from '../modules/mysql/_connect.ts';
import { loginOf } from '../modules/mysql/_settings.ts';
import { pause } from '../run/waiting.ts';
import { closeBooks, openBooks, readBooks } from './books.ts';
import { strokeOf } from './faults/faults.ts';
import { begin, FAULTS_DIR, LEFT_FAULTS, localShell } from './lease.ts';
import type { Healed, Lease, Shell } from './lease.ts';
import { startReader, startWriter } from './ledger.ts';
import type { PageLook, Written } from './ledger.ts';
import type { Drill } from './load.ts';
import { playbookOf } from './load.ts';
import { measure } from './measures.ts';
import type { Measures, Seen } from './measures.ts';
import { BUCKET_MS } from './record.ts';
import type {
  CheckRecord,
  DrillEvent,
  DrillOutcome,
  DrillRecord,
  FaultRecord,
  Phase,
  PlaybookRecord,
} from './record.ts';
import { kindOf } from './schema.ts';
import type { FaultWords } from './schema.ts';
import { bounded, look, unmet, until } from './stage.ts';
import type { Before } from './stage.ts';
import { goalsOf, goalText } from './verdict.ts';
import { watchNode } from './watch.ts';

const LEASE_MS = 10_000;
/** How long a fault that cannot be healed at once is tried to be. */
const HEAL_MS = 120_000;

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
  /** Runs a playbook to its end. */
  run(playbook: string, inputs: Readonly<Record<string, unknown>>): Promise<{ readonly id: string; readonly exitCode: number }>;
}

/** What came of it, and every single write for whoever wants to count again. */
export interface Performed {
  readonly record: DrillRecord;
  readonly written: Written | undefined;
}

/** Without the time since the drill began. */
type Telling = DrillEvent extends infer E ? (E extends DrillEvent ? Omit<E, 'ms'> : never) : never;

interface Struck {
  readonly fault: FaultWords;
  readonly name: string;
  readonly host: string;
  readonly lease: Lease;
  readonly record: FaultRecord;
  /** Ends the renewals. */
  readonly stop: AbortController;
}

/** Carries a drill out: steady state, fault, what happens by itself, playbooks for the rest, steady state, figures. */
export async function perform(request: DrillRequest): Promise<Performed> {
  const { drill, cluster, on, interrupt, hosts } = request;
  const startedAt = new Date();
  const zero = performance.now();
  const now = (): number => performance.now() - zero;
  const tell = (event: Telling): void => request.tell({ ms: Math.round(now()), ...event } as DrillEvent);

  const phases: { phase: Phase; fromMs: number; untilMs: number }[] = [];
  const seen: Seen[] = [];
  const checks: CheckRecord[] = [];
  const playbooks: PlaybookRecord[] = [];
  const struck: Struck[] = [];
  const healed: FaultRecord[] = [];
  const reasons: string[] = [];
  let before: Before | undefined;
  let measures: Measures | undefined;
  let written: Written | undefined;
  let outcome: DrillOutcome = 'passed';
  let hasBooks = false;

  const worse = (to: DrillOutcome, why: string): void => {
    const order: readonly DrillOutcome[] = ['passed', 'failed', 'interrupted', 'stopped', 'in_doubt'];
    if (order.indexOf(to) > order.indexOf(outcome)) outcome = to;
    if (!reasons.includes(why)) reasons.push(why);
  };
  const phase = (name: Phase): void => {
    const last = phases.at(-1);
    if (last) last.untilMs = now();
    phases.push({ phase: name, fromMs: now(), untilMs: now() });
    tell({ event: 'phase', phase: name });
  };
  const see = (one: Seen): void => {
    seen.push(one);
    const { ms: _, ...rest } = one;
    request.tell({ event: 'seen', ...rest, ms: Math.round(one.ms) });
  };

  /** Throws where the drill must not begin. */
  async function steadyBefore(): Promise<Before> {
    const status = await look(cluster, on);
    const wrong = unmet(drill.steady.that, cluster, status);
    if (wrong.length > 0) {
      const problems = status.problems.map(({ message }) => message);
      throw new DrillbookError(
        'guard.steady',
        `the steady state does not hold, so nothing was done: ${wrong.join('; ')}${problems.length > 0 ? ` (${problems.join('; ')})` : ''}`,
      );
    }
    const holding = (role: string): string | undefined =>
      status.nodes.find((node) => node.role === role)?.name;
    const [primary, standby] = [holding('primary'), holding('standby')];
    if (primary === undefined || standby === undefined)
      throw new DrillbookError('guard.steady', 'no primary and standby were found, so nothing was done');
    for (const node of cluster.nodes) {
      const left = (await on(node).sh(LEFT_FAULTS)).stdout.trim();
      if (left !== '')
        throw new DrillbookError('guard.fault', `a fault of another drill is in force on ${node}: ${left}`, {
          hint: 'it heals itself when its lease runs out; look again then',
        });
    }
    return { primary, standby };
  }

  const nodeOf = (word: string, { primary, standby }: Before): string =>
    word === 'primary' ? primary : word === 'standby' ? standby : word;

  async function strike(fault: FaultWords, index: number, was: Before): Promise<Struck> {
    const { kind, on: word } = kindOf(fault);
    const host = hosts.get(nodeOf(word, was));
    if (host === undefined) throw new DrillbookError('usage.host', `\`${word}\` is not in the inventory`);
    const name = fault.name ?? `${kind.replace('_', ' ')} of ${host.name}`;
    const id = `drillbook_${request.id.replaceAll('-', '_')}_${index}`;
    const context = on(host.name);
    const { scripts, isFromHere } = strokeOf(id, fault, host, context.cluster ?? cluster);
    const near: Shell = (script, options) => bounded(context, 15_000).sh(script, options);
    const slow: Shell = (script, options) => bounded(context, 100_000).sh(script, options);
    const sh: Shell = isFromHere ? localShell : (script, options) => (options?.args?.[1] === '90' ? slow : near)(script, options);
    const at = isFromHere ? join(request.dir, id) : `${FAULTS_DIR}/${id}`;
    const lease = await begin(sh, scripts, { at, leaseMs: LEASE_MS, mostMs: fault.for + 2 * LEASE_MS });
    const record = { name, kind, host: host.name, fromMs: now(), untilMs: null, how: null };
    tell({ event: 'fault', fault: name, host: host.name, state: 'in force' });
    return { fault, name, host: host.name, lease, record, stop: new AbortController() };
  }

  /** Heals what is in force still; what cannot be healed leaves the pair in doubt. */
  async function heal(one: Struck): Promise<void> {
    one.stop.abort();
    let how = 'unhealed' as Healed;
    let why = '';
    const calm = new AbortController();
    await until(
      async () => {
        try {
          const end = await one.lease.heal();
          [how, why] = [end.how, end.said];
        } catch (error) {
          if (!(error instanceof Unreachable)) throw error;
          why = error.message;
        }
        return how !== 'unhealed';
      },
      HEAL_MS,
      calm.signal,
    );
    struck.splice(struck.indexOf(one), 1);
    healed.push({ ...one.record, untilMs: now(), how });
    tell({ event: 'fault', fault: one.name, host: one.host, state: 'healed', how });
    if (how === 'unhealed' || how === 'failed')
      worse('in_doubt', `${one.name} could not be healed${why === '' ? '' : `: ${why}`}`);
    if (how === 'lease' || how === 'time')
      worse('failed', `${one.name} ended by itself, for its lease was not renewed in time`);
  }

  const healAll = async (): Promise<void> => void (await Promise.all([...struck].map(heal)));

  /** All faults, each in its time and for its time; resolves when the last one is healed. */
  async function strikeAll(was: Before, onFirst: () => void): Promise<void> {
    const beganMs = now();
    const one = async (fault: FaultWords, index: number): Promise<void> => {
      await pause(beganMs + fault.after - now(), interrupt);
      if (interrupt.aborted) return;
      const mine = await strike(fault, index, was);
      struck.push(mine);
      onFirst();
      void mine.lease.keep(mine.stop.signal).then(
        (how) => how && worse('failed', `${mine.name} ended before its time (${how})`),
        () => undefined,
      );
      await pause(fault.for, interrupt);
      await heal(mine);
    };
    const all = await Promise.allSettled(drill.faults.map(one));
    for (const end of all) if (end.status === 'rejected') throw end.reason;
  }

  /** What should happen by itself, looked for until each has happened or its time is over. */
  async function expectAll(was: Before, faultMs: number, over: AbortSignal): Promise<void> {
    const open = [...drill.expect];
    const note = (name: string, withinMs: number, tookMs: number | null): void => {
      checks.push({ name, withinMs, tookMs });
      tell({ event: 'check', name, isMet: tookMs !== null, tookMs: tookMs ?? withinMs });
      if (tookMs === null) worse('failed', `it did not happen within ${durationText(withinMs)}: ${name}`);
    };
    while (open.length > 0 && !interrupt.aborted && !over.aborted) {
      const askedMs = now();
      const status = await look(cluster, on);
      for (const check of [...open]) {
        const isMet = unmet(check.that, cluster, status, was).length === 0;
        const tookMs = askedMs - faultMs;
        if (!isMet && now() - faultMs < check.within) continue;
        open.splice(open.indexOf(check), 1);
        note(check.name, check.within, isMet && tookMs <= check.within ? Math.max(0, tookMs) : null);
      }
      if (open.length > 0) await pause(200, interrupt);
    }
    for (const check of open) if (!interrupt.aborted) note(check.name, check.within, null);
  }

  async function runThen(was: Before): Promise<void> {
    for (const { run, when, within, with: inputs = {} } of drill.then) {
      const playbook = playbookOf(drill, run);
      const fromMs = now();
      const isDue = async (): Promise<boolean> =>
        when === undefined || unmet(when, cluster, await look(cluster, on), was).length === 0;
      if ((await until(isDue, within, interrupt)) === undefined) {
        playbooks.push({ playbook, fromMs, untilMs: now(), run: null, exitCode: null });
        tell({ event: 'playbook', run, state: 'not needed' });
        if (interrupt.aborted) return;
        continue;
      }
      tell({ event: 'playbook', run, state: 'begun' });
      const { id, exitCode } = await request.run(playbook, inputs);
      playbooks.push({ playbook, fromMs, untilMs: now(), run: id, exitCode });
      tell({ event: 'playbook', run, state: exitCode === 0 ? 'done' : 'failed', id });
      if (exitCode === 0) continue;
      worse(exitCode === 4 ? 'in_doubt' : 'failed', `${run} ended with exit code ${exitCode} (run ${id})`);
      return;
    }
  }

  /** All is well again, and stays so for a while. */
  async function steadyAfter(signal: AbortSignal): Promise<void> {
    let sinceMs: number | undefined;
    let wrong: readonly string[] = [];
    const isSteady = async (): Promise<boolean> => {
      const askedMs = now();
      wrong = unmet(drill.steady.that, cluster, await look(cluster, on));
      sinceMs = wrong.length > 0 ? undefined : (sinceMs ?? askedMs);
      return sinceMs !== undefined && now() - sinceMs >= drill.steady.holds;
    };
    const took = await until(isSteady, drill.steady.within + drill.steady.holds, signal);
    if (took === undefined && !signal.aborted)
      worse(
        'in_doubt',
        `the steady state is not back within ${durationText(drill.steady.within)}: ${wrong.join('; ') || 'it does not last'}`,
      );
  }

  const endWatch = new AbortController();
  const watching: Promise<void>[] = [];
  const startWatch = (watch: Watch): void => {
    for (const node of cluster.nodes) {
      const host = hosts.get(node);
      if (host) watching.push(watchNode(host, watch, request.open, now, endWatch.signal, see));
    }
  };

  async function withLedger(was: Before): Promise<void> {
    const { ledger } = drill;
    const vip = ledger.vip ?? vipOf(cluster);
    const [primary, standby] = [on(was.primary), on(was.standby)];
    hasBooks = true;
    const login = await openBooks(primary, standby, { vip, from: ledger.from });
    const [row] = await withServer(primary, loginOf(primary.cluster, undefined), ({ rows }) =>
      rows('SELECT @@hostname AS server'),
    );
    phase('writing');
    const timing = { timeoutMs: ledger.timeout, now };
    const wholeFromMs = now();
    const writer = startWriter(login, { rate: ledger.rate, connections: ledger.connections, ...timing });
    const page = ledger.page?.replaceAll('{{vip}}', vip);
    const reader = page === undefined ? undefined : startReader(page, timing);
    let pages: readonly PageLook[] | undefined;
    let faultMs: number | undefined;
    try {
      await pause(ledger.before, interrupt);
      if (interrupt.aborted) return;
      if (writer.count() === 0)
        throw new DrillbookError(
          'guard.ledger',
          `no write through the VIP ${vip} was acknowledged, so nothing was done: ${firstError(writer.written)}`,
          { hint: 'can this machine reach the VIP and the port of the database?' },
        );
      phase('fault');
      const over = new AbortController();
      let began: (() => void) | undefined;
      const first = new Promise<void>((resolve) => (began = resolve));
      const strikes = strikeAll(was, () => {
        faultMs ??= now();
        began?.();
      }).finally(() => over.abort());
      await Promise.race([first, strikes]);
      if (faultMs !== undefined) await Promise.all([strikes, expectAll(was, faultMs, over.signal)]);
      else await strikes;
      phase('healed');
      if (!interrupt.aborted) await runThen(was);
      phase('steady after');
      await steadyAfter(interrupt);
      if (!interrupt.aborted) await pause(ledger.after, interrupt);
    } finally {
      await healAll();
      const untilMs = now();
      await Promise.all([writer.stop(), reader?.stop()]);
      pages = reader?.looks;
      written = writer.written;
      if (faultMs !== undefined && !interrupt.aborted) {
        phase('audit');
        const there = await readBooks(login);
        measures = measure({
          ...{ written, there, pages, seen, faultMs, primary: was.primary },
          whole: { fromMs: wholeFromMs, untilMs },
          server: String(row?.['server']),
        });
      }
    }
  }

  try {
    phase('steady before');
    before = await steadyBefore();
    startWatch(await watchOf(cluster));
    await withLedger(before);
    if (interrupt.aborted) {
      worse('interrupted', 'interrupted; the fault is healed');
      await steadyAfter(AbortSignal.timeout(drill.steady.within));
    }
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    const [family] = error.code.split('.');
    worse(family === 'guard' ? 'stopped' : family === 'doubt' ? 'in_doubt' : 'failed', error.message);
  } finally {
    await healAll();
    endWatch.abort();
    await Promise.allSettled(watching);
    if (hasBooks) await putAway();
  }

  async function putAway(): Promise<void> {
    try {
      const status = await look(cluster, on);
      const primary = status.nodes.find(({ role }) => role === 'primary')?.name;
      if (primary === undefined) throw new DrillbookError('doubt.books', 'there is no one primary');
      await closeBooks(on(primary));
    } catch (error) {
      worse('in_doubt', `the ledger's table and account are left in the database: ${(error as Error).message}`);
    }
  }

  const goals = measures ? goalsOf(drill.goals, measures) : [];
  for (const goal of goals.filter(({ isMet }) => !isMet)) worse('failed', goalText(goal));
  if (measures && !measures.isServing) worse('failed', 'no write is acknowledged any more');
  const last = phases.at(-1);
  if (last) last.untilMs = now();
  const record: DrillRecord = {
    ...{ drill: request.id, name: drill.name, description: drill.description ?? null, file: drill.file },
    ...{ inventory: request.inventory, cluster: cluster.name, stack: cluster.stack, nodes: cluster.nodes },
    ...{ operator: request.operator, startedAt: startedAt.toISOString(), endedMs: Math.round(now()) },
    ...{ outcome, exitCode: EXIT_CODES[outcome], reasons, before: before ?? null, phases },
    faults: healed.toSorted((a, b) => a.fromMs - b.fromMs),
    ...{ checks, playbooks, goals, measures: measures ?? null, seen },
    writes: histogram(written),
  };
  return { record, written };
}

const EXIT_CODES: Readonly<Record<DrillOutcome, number>> = {
  passed: 0,
  failed: 1,
  interrupted: 3,
  in_doubt: 4,
  stopped: 5,
};

const firstError = ({ entries, reaches }: Written): string =>
  [...reaches, ...entries].find(({ error }) => error !== undefined)?.error ?? 'no answer';

function vipOf({ name, settings }: Cluster): string {
  const { vips, vip } = settings as {
    readonly vips?: readonly { readonly address: string }[];
    readonly vip?: { readonly address: string };
  };
  const found = vips?.[0]?.address ?? vip?.address;
  if (found !== undefined) return found;
  throw new DrillbookError('usage.drill', `cluster ${name} has no VIP to write through`);
}

/** Acknowledgements in each bar of the picture. */
function histogram(written: Written | undefined): readonly number[] {
  const bars: number[] = [];
  for (const { ackMs } of written?.entries ?? [])
    if (ackMs !== undefined) {
      const bar = Math.floor(ackMs / BUCKET_MS);
      bars[bar] = (bars[bar] ?? 0) + 1;
    }
  return Array.from(bars, (count) => count ?? 0);
}
