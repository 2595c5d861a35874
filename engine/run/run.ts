import { rolesOf } from '../cluster/model.ts';
import type { ClusterStatus } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Happening, RunEvent } from '../core/event.ts';
import type { OpenTransport } from '../core/host.ts';
import type { Context, Result } from '../core/module.ts';
import { isSecretInput } from '../plan/inputs.ts';
import { clusterLocks } from './lock/cluster-lock.ts';
import type { Locking } from './lock/cluster-lock.ts';
import { connections } from './connections.ts';
import { contextFor } from './context.ts';
import type { Tools } from './context.ts';
import type { OnInterrupt, RunnerOptions } from './course.ts';
import { holdToFiles, recordOf } from './edits/edits.ts';
import type { Pinning } from './edits/edits.ts';
import { historyOf } from './journal/history.ts';
import type { History } from './journal/history.ts';
import { hostState } from './host-state.ts';
import { brokenInvariant } from './invariants.ts';
import { bootsOf, forgetJobs } from './jobs.ts';
import type { Journal } from './journal/journal.ts';
import { isDue, ledgerOf, openReason } from './obligations/obligations.ts';
import type { Ledger } from './obligations/obligations.ts';
import { closePutRight, lookBy } from './obligations/put-right.ts';
import { lockable } from './lock/lockable.ts';
import { DEFAULT_FORKS, runner } from './runner.ts';
import type { Finish } from './runner.ts';
import { scopeOf } from './scope.ts';
import type { World } from './scope.ts';
import { pause } from './waiting.ts';

/** How long the witnesses of a pair may disagree before a run takes that for what they say. */
const CHANGING_MS = 10_000;

export interface RunRequest extends Pinning {
  readonly journal: Journal;
  readonly open: OpenTransport;
  readonly isCheck: boolean;
  readonly interrupt: AbortSignal;
  readonly forks?: number | undefined;
  /** Code given with --yes. */
  readonly code?: string | undefined;
  /** Asks on the terminal; undefined where nobody is there. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
  readonly onInterrupt?: OnInterrupt | undefined;
  readonly hasReleased?: Locking['hasReleased'];
  readonly mayRun?: RunnerOptions['mayRun'];
  /** Command-line options that resume needs; no secrets. */
  readonly options: Result;
}

/** Asks for the code of the run, unless a run that is gone on with was confirmed for the same thing. */
async function confirm(request: RunRequest, history: History): Promise<void> {
  const { plan, journal, redactor, code, ask, isCheck, operator } = request;
  const question = redactor.text(plan.confirmations.join('\n  '));
  if (question === '' || isCheck || history.confirmed.has(question)) return;
  const given = code ?? (await ask?.(`${question}\nType the code ${plan.code} to go on: `));
  if (given?.trim() !== plan.code) {
    const why = given === undefined ? 'has to be confirmed' : 'was not confirmed: the code is wrong';
    throw new DrillbookError('guard.confirmation', `this run ${why}: ${plan.confirmations.join('; ')}`, {
      hint: `read it, then give --yes ${plan.code}`,
    });
  }
  journal.append({ event: 'confirmation_given', question, by: operator });
}

/** A context on a host outside any step, for reading the cluster. */
function outsideContext(host: string, tools: Tools, signal: AbortSignal): Context {
  const state = tools.world.states.get(host);
  if (!state) throw new DrillbookError('bug', `no state for host ${host}`);
  const { playbook } = tools.world.plan;
  const scope = scopeOf(state, [playbook.vars], tools.world);
  const circumstances = {
    scope,
    become: undefined,
    env: {},
    signal,
    file: playbook.file,
    progress: () => undefined,
  };
  return contextFor(state.host, circumstances, tools);
}

async function readStatus(
  world: World,
  cluster: string,
  via: (host: string) => Context,
): Promise<ClusterStatus> {
  const stacks = await import('../cluster/stacks.ts');
  const found = world.plan.inventory.clusters.get(cluster);
  if (!found) throw new DrillbookError('bug', `no cluster ${cluster}`);
  return stacks.readStatus(found, via);
}

/** The same events, which others hear as they are read. */
function* heard(events: Iterable<RunEvent>, ...listeners: ((event: RunEvent) => void)[]): Iterable<RunEvent> {
  for (const event of events) {
    for (const hear of listeners) hear(event);
    yield event;
  }
}

/** Runs a plan from its start or, with a journal that has events, from where it was. Returns the exit code. */
export async function execute(request: RunRequest): Promise<number> {
  const { journal, redactor, isCheck, operator, interrupt } = request;
  const startedAt = performance.now();
  const isResume = journal.count > 0;
  const ledger = ledgerOf([]);
  let copy = 1;
  const countCopies = ({ event }: RunEvent): void => void (event === 'changes_accepted' && copy++);
  const history = historyOf(heard(journal.past(), ledger.hear, countCopies), journal.at);
  const { plan, accepted } = await holdToFiles(request, journal, copy);
  journal.subscribe(ledger.hear);
  const roles = new Map(history.roles);
  const states = new Map([...plan.inventory.hosts].map(([name, host]) => [name, hostState(host)] as const));
  const world: World = { plan, states, roles, run: { id: journal.run, operator, is_check: isCheck } };
  const locks = clusterLocks(isCheck ? [] : lockable(plan), plan.inventory, {
    ...{ journal, operator },
    hasReleased: request.hasReleased,
  });
  const pool = connections(request.open, redactor, locks.onConnect);
  const tools: Tools = {
    connections: pool,
    redactor,
    inventory: plan.inventory,
    files: request.files,
    guardsOf: locks.guardsOf,
    world,
    ledger,
    boots: bootsOf(journal, history.boots),
    readStatus: (cluster, via) => readStatus(world, cluster, via),
  };
  const outside = (host: string): Context => outsideContext(host, tools, AbortSignal.timeout(60_000));
  const live = (cluster: string): Promise<ClusterStatus> => readStatus(world, cluster, outside);

  const walk = async (): Promise<Finish> => {
    await confirm({ ...request, plan }, history);
    // Who holds a lock can be taken up again: no run takes one that its own journal would not know of.
    await journal.commit();
    await locks.take(pool);
    if (plan.needsStatus) await findRoles(world, journal, live, roles, interrupt);
    await journal.commit();
    const options: RunnerOptions = {
      isCheck,
      forks: request.forks ?? DEFAULT_FORKS,
      onInterrupt: request.onInterrupt,
      decide: request.ask && ((question) => decide(request.ask, question)),
      mayRun: request.mayRun,
      interrupt,
    };
    return runner(journal, history, tools, options, () => brokenInvariant(world, live)).run(plan);
  };

  if (isResume) journal.append({ event: 'run_resumed', operator });
  else journal.append(startOf(request, await guarding(request)));
  if (accepted) journal.append(accepted);
  try {
    const { stop, counts, hasFailed } = await walk().catch(stoppedBy);
    if (stop === undefined && ledger.open().some(isDue))
      await closePutRight(journal, ledger, plan.inventory, lookBy(live));
    await journal.commit();
    const code = codeOf(stop?.exitCode ?? (hasFailed ? 1 : 0), ledger);
    // What is in doubt is nobody else's to touch.
    if (stop?.exitCode !== 4) await locks.release(pool);
    if (code !== 3 && code !== 4) await forgetJobs(journal, tools.boots, plan.inventory, pool);
    if (code === 3) journal.append({ event: 'run_interrupted', reason: stop?.reason ?? 'interrupted' });
    else {
      const durationMs = Math.round(performance.now() - startedAt);
      const why = [stop?.reason, openReason(journal.run, ledger.open().filter(isDue))].filter(Boolean);
      const reason = why.length === 0 ? {} : { reason: redactor.text(why.join('; ')) };
      const outcome = OUTCOMES[code] ?? 'stopped';
      journal.append({ event: 'run_finished', outcome, exitCode: code, durationMs, counts, ...reason });
    }
    await journal.commit();
    return code;
  } finally {
    locks.stop();
    await pool.close();
  }
}

const OUTCOMES: Readonly<Record<number, 'done' | 'failed' | 'in_doubt'>> = {
  0: 'done',
  1: 'failed',
  4: 'in_doubt',
};

/** Neither done nor simply failed: what the run has bent is bent still. */
const codeOf = (ended: number, ledger: Ledger): number =>
  ended < 3 && ledger.open().some(isDue) ? 4 : ended;

/** A run that was stopped before or between its plays; what is the engine's own goes on. */
function stoppedBy(error: unknown): Finish {
  const [, family] =
    error instanceof DrillbookError ? (/^(guard|host|step|interrupt)\./.exec(error.code) ?? []) : [];
  if (!(error instanceof DrillbookError) || family === undefined) throw error;
  const exitCode = family === 'guard' ? 5 : family === 'interrupt' ? 3 : 1;
  const reason = error.hint === undefined ? error.message : `${error.message} — ${error.hint}`;
  return {
    stop: { exitCode, reason: exitCode === 3 ? 'interrupted' : reason },
    counts: {},
    hasFailed: exitCode === 1,
  };
}

/** `on_interrupt: ask`. */
async function decide(ask: RunRequest['ask'], question: string): Promise<OnInterrupt> {
  const answer = (await ask?.(`${question}.\n[r]un it again, [s]kip it, or [f]ail: `))?.trim().toLowerCase();
  return answer?.startsWith('r') ? 'rerun' : answer?.startsWith('s') ? 'skip' : 'fail';
}

async function guarding({ plan, redactor }: RunRequest): Promise<Readonly<Record<string, string>>> {
  const { clusters } = plan.inventory;
  if (clusters.size === 0) return {};
  const { protections } = await import('../cluster/stacks.ts');
  return redactor.value(await protections(clusters.values()));
}

/** The first event; inputs that are secret are in the run's frozen copy alone. */
function startOf(
  { plan, files, operator, isCheck, options, redactor }: RunRequest,
  protection: Readonly<Record<string, string>>,
): Happening {
  const { playbook, inventory, inputs } = plan;
  const given = Object.entries({ ...inputs.given, ...inputs.overrides });
  const isOpen = ([name, value]: [string, unknown]): boolean => {
    const input = playbook.inputs[name];
    if (input && isSecretInput(input)) return false;
    return JSON.stringify(redactor.value(value)) === JSON.stringify(value);
  };
  const withheld = given.filter((entry) => !isOpen(entry)).map(([name]) => name);
  const open = Object.fromEntries(given.filter(isOpen));
  return {
    event: 'run_started',
    playbook: playbook.file,
    name: playbook.name,
    inventory: inventory.spec,
    operator,
    isCheck,
    hosts: [...inventory.hosts.keys()],
    ...(Object.keys(protection).length === 0 ? {} : { protection }),
    options: {
      ...options,
      files: recordOf(files.copy),
      inputs: open,
      ...(withheld.length > 0 ? { withheld } : {}),
    },
  };
}

/** What a pair is like; one that is just changing its roles is looked at again for a while. */
async function atRest(look: () => Promise<ClusterStatus>, interrupt: AbortSignal): Promise<ClusterStatus> {
  const startedAt = performance.now();
  for (;;) {
    const status = await look();
    const isClear = !status.problems.some(({ code }) => code === 'roles-disagree');
    if (isClear || interrupt.aborted || performance.now() - startedAt >= CHANGING_MS) return status;
    await pause(500, interrupt);
  }
}

/** Reads the roles of every cluster of the inventory; recorded once, they stay as found for the whole run. */
async function findRoles(
  world: World,
  journal: Journal,
  live: (cluster: string) => Promise<ClusterStatus>,
  roles: Map<string, Readonly<Record<string, string>>>,
  interrupt: AbortSignal,
): Promise<void> {
  for (const cluster of world.plan.inventory.clusters.keys()) {
    if (roles.has(cluster)) continue;
    const found = rolesOf(await atRest(() => live(cluster), interrupt));
    roles.set(cluster, found);
    journal.append({ event: 'roles_found', cluster, roles: found });
  }
}
