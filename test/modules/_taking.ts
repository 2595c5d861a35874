import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { expect } from 'vitest';
import { readStatus } from '../../engine/cluster/stacks.ts';
import { DrillbookError, Unreachable } from '../../engine/core/error.ts';
import { disk } from '../../engine/core/files.ts';
import type { Host, Transport } from '../../engine/core/host.ts';
import type { Context, Module, Outcome, Result } from '../../engine/core/module.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { loadModule } from '../../engine/modules/registry.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { contextFor } from '../../engine/run/context.ts';
import { settler } from '../../engine/run/jobs.ts';
import type { Taking } from '../../engine/run/jobs.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { inForce } from '../cluster/_pair.ts';
import { isFull } from '../_full.ts';

/** What ends a life: the engine is killed, or the connection lost, before, during or after its n-th exchange. */
export interface Cut {
  readonly how: 'killed' | 'lost';
  readonly when: 'before' | 'during' | 'after';
  readonly at: number;
}

/** An attempt at a task that is taken up again: what stays of it when a life of it ends. */
export interface Attempt {
  readonly key: string;
  readonly journal: Map<string, unknown>;
  lives: number;
}

export const newAttempt = (): Attempt => ({ key: randomUUID(), journal: new Map(), lives: 0 });

/** How a life ended; neither outcome nor error where the engine was killed. */
export interface Life {
  readonly outcome?: Outcome;
  readonly error?: unknown;
  readonly exchanges: number;
}

const never = <T>(): Promise<T> => new Promise(() => undefined);

/** Counts exchanges and cuts at one of them. */
function scissors(cut: Cut | undefined, die: () => void, onExchange?: () => Promise<void>) {
  let count = 0;
  let isDead = false;
  const fall = <T>(host: string): Promise<T> => {
    if (cut?.how === 'lost')
      throw new Unreachable(host, 'lost', `the connection to ${host} was cut by the test`);
    isDead = true;
    die();
    return never();
  };
  return {
    count: () => count,
    /** `begun`: resolves when the exchange has reached the host. */
    async exchange<T>(host: string, act: () => Promise<T>, begun?: () => Promise<void>): Promise<T> {
      if (isDead) return never();
      const isHere = ++count === cut?.at;
      if (isHere && cut.when === 'before') return fall(host);
      const acting = act();
      await onExchange?.();
      if (isHere && cut.when === 'during' && begun) {
        acting.catch(() => undefined);
        await begun();
        return fall(host);
      }
      const said = await acting;
      if (isHere) return fall(host);
      return said;
    },
  };
}
type Scissors = ReturnType<typeof scissors>;

/** Each thing written is an exchange, so that statements on a database's connection are cut apart too. */
function cutStream(host: string, stream: Duplex, { exchange }: Scissors): Duplex {
  const write = stream._write.bind(stream);
  stream._write = (chunk, encoding, done) => {
    const sent = (): Promise<void> => new Promise((resolve) => write(chunk, encoding, () => resolve()));
    const answered = (): Promise<void> => new Promise((resolve) => void stream.once('data', () => resolve()));
    exchange(host, async () => {
      const answer = answered();
      await sent();
      done();
      await answer;
    }).catch(() => stream.destroy());
  };
  return stream;
}

function cutTransport(host: string, inner: Transport, by: Scissors, begun: () => Promise<void>): Transport {
  const { exchange } = by;
  return {
    ...inner,
    open: () => inner.open(),
    boot: (become) => inner.boot(become),
    close: () => inner.close(),
    sh: (...args) => exchange(host, () => inner.sh(...args)),
    job: (...args) => exchange(host, () => inner.job(...args), begun),
    dialogue: (...args) => exchange(host, () => inner.dialogue(...args), begun),
    put: (...args) => exchange(host, () => inner.put(...args)),
    get: (...args) => exchange(host, () => inner.get(...args)),
    dial: async (endpoint) => cutStream(host, await inner.dial(endpoint), by),
  };
}

export interface Stage {
  readonly inventory: string;
  readonly host: string;
  /** Resolves once a job that was begun is under way on the host. */
  readonly begun?: () => Promise<void>;
  /** Called when an exchange has been sent. */
  readonly onExchange?: () => Promise<void>;
  /** The host has rebooted since the first life. */
  readonly isRebooted?: boolean;
}

/** As the runner does it: an action is run; a state is looked at, brought about and looked at again. */
async function perform(ctx: Context, module: Module, given: Record<string, unknown>): Promise<Outcome> {
  if (module.kind === 'action') return module.run(ctx, given);
  if (module.kind === 'query') return module.read(ctx, given);
  const found = await module.check(ctx, given);
  if (found.changes.length === 0) return { result: found.result ?? {}, isChanged: false };
  const after = (await module.apply(ctx, given, found)) ?? (await module.check(ctx, given));
  if (after.changes.length > 0) throw new Error(`did not take: ${JSON.stringify(after.changes)}`);
  return { result: after.result ?? {} };
}

/** Performs a module as one life of an attempt, over connections of its own. */
export async function live(
  stage: Stage,
  name: string,
  params: Result,
  attempt: Attempt,
  cut?: Cut,
): Promise<Life> {
  const inventory = loadInventory(stage.inventory);
  const host = inventory.hosts.get(stage.host);
  if (!host) throw new Error(`no host ${stage.host}`);
  let die = (): void => undefined;
  const death = new Promise<'dead'>((resolve) => (die = () => resolve('dead')));
  const by = scissors(cut, () => die(), stage.onExchange);
  const opened = new Map<string, Promise<Transport>>();
  const get = (one: Host): Promise<Transport> => {
    const known = opened.get(one.name);
    if (known) return known;
    const transport = openTransport(one, { redactor: new Redactor() });
    const begun = stage.begun ?? (() => Promise.resolve());
    const opening = transport.open().then(() => cutTransport(one.name, transport, by, begun));
    opened.set(one.name, opening);
    opening.catch(() => opened.delete(one.name));
    return opening;
  };
  const module = await loadModule(name);
  const isAgain = attempt.lives++ > 0;
  let number = 0;
  const taking: Taking = {
    run: 'test',
    key: attempt.key,
    since: 0,
    isAgain,
    isState: module.kind === 'state',
    boots: {
      know: () => Promise.resolve(),
      places: () => [],
      isSame: () => stage.isRebooted !== true,
    },
    settle: settler('test', attempt.key),
    next: () => number++,
    kept: new Map(attempt.journal),
    // What is kept lives on where the journal has it.
    keep: (key, value) =>
      by.exchange('the journal', () => {
        attempt.journal.set(key, JSON.parse(JSON.stringify(value)));
        return Promise.resolve();
      }),
  };
  const controller = new AbortController();
  const written = [...inventory.clusters.values()].find(({ nodes }) => nodes.includes(host.name));
  const cluster = written && inForce(written);
  const scope = { run: { id: attempt.key }, host: { name: host.name }, ...(cluster ? { cluster } : {}) };
  const ctx: Context = contextFor(
    host,
    {
      scope,
      become: undefined,
      env: {},
      signal: controller.signal,
      file: `${process.cwd()}/test.yml`,
      taking,
      progress: () => undefined,
    },
    {
      connections: {
        get,
        wasReached: () => true,
        opened: (one) => opened.get(one),
        drop: (one) => void opened.delete(one.name),
        close: () => Promise.resolve(),
      },
      redactor: new Redactor(),
      inventory,
      files: disk,
      guardsOf: () => [],
      readStatus: (_name, via) => (cluster ? readStatus(cluster, via) : never()),
    },
  );
  const given = module.params.parse(params);
  try {
    const running = perform(ctx, module, given);
    running.catch(() => undefined);
    const ended = await Promise.race([running, death]);
    return { exchanges: by.count(), ...(ended === 'dead' ? {} : { outcome: ended }) };
  } catch (error) {
    return { error, exchanges: by.count() };
  } finally {
    // What hangs on a connection that was cut keeps its end waiting; nobody else is kept.
    for (const one of opened.values()) one.then((transport) => transport.close()).catch(() => undefined);
  }
}

/** The same, taken up again until it has ended as the runner does it: a lost connection is no end. */
export async function liveOn(stage: Stage, name: string, params: Result, attempt: Attempt): Promise<Outcome> {
  for (let lives = 0; ; lives++) {
    const { outcome, error } = await live(stage, name, params, attempt);
    if (outcome) return outcome;
    const isAway = error instanceof DrillbookError && /^host\.(lost|unreachable)$/.test(error.code);
    if (!isAway || lives > 3) throw error;
  }
}

export const CUTS: readonly Omit<Cut, 'at'>[] = [
  { how: 'killed', when: 'before' },
  { how: 'killed', when: 'during' },
  { how: 'killed', when: 'after' },
  { how: 'lost', when: 'before' },
  { how: 'lost', when: 'during' },
  { how: 'lost', when: 'after' },
];

export interface Trial {
  /** Of the first life, or of those after it. */
  stage(isAgain: boolean): Stage;
  readonly module: string;
  readonly params: Result;
  /** Puts the host back to where it was before. */
  reset(cut?: Cut): Promise<void>;
  /** What must be the same in the end, cut or not: the outcome without what varies, what is on the host. */
  seen(outcome: Outcome): Promise<unknown>;
  readonly cuts?: readonly Omit<Cut, 'at'>[];
  /** Only every so many exchanges, unless all are wanted. */
  readonly every?: number;
}

/** Runs it once whole, then cut in every way at every exchange and taken up again; returns how often it was cut. */
export async function everyCut(trial: Trial): Promise<number> {
  const { module, params } = trial;
  await trial.reset();
  const whole = await live(trial.stage(false), module, params, newAttempt());
  if (!whole.outcome) throw whole.error;
  const straight = await trial.seen(whole.outcome);
  let times = 0;
  for (const way of trial.cuts ?? CUTS) {
    for (let at = 1; at <= whole.exchanges; at += isFull ? 1 : (trial.every ?? 1)) {
      const attempt = newAttempt();
      const cut = { ...way, at };
      await trial.reset(cut);
      const first = await live(trial.stage(false), module, params, attempt, cut);
      // How often it asks until something has come about is not always the same.
      if (first.exchanges < at) break;
      times++;
      const said = `${way.how} ${way.when} exchange ${at}`;
      const outcome =
        first.outcome ??
        (await liveOn(trial.stage(true), module, params, attempt).catch((cause: unknown) => {
          throw new Error(`${said}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
        }));
      expect(await trial.seen(outcome), said).toEqual(straight);
    }
  }
  return times;
}
