import type { ClusterStatus } from '../core/cluster.ts';
import { DrillbookError, Unreachable } from '../core/error.ts';
import type { Files } from '../core/files.ts';
import type { Become, Guard, Host, JobEnd, JobId, JobOptions, ShOptions, Transport } from '../core/host.ts';
import type { Context, JobWish } from '../core/module.ts';
import type { Redactor } from '../core/secret.ts';
import { compileCondition } from '../parse/condition.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { BecomeKeyword } from '../parse/playbook-schema.ts';
import { renderText } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import { localFile } from '../plan/local-file.ts';
import type { Connections } from './connections.ts';
import { keepIn, takeJob } from './jobs.ts';
import type { Boots, Taking } from './jobs.ts';
import type { Ledger } from './obligations/obligations.ts';
import { clusterOf, hostNamed } from './scope.ts';
import type { World } from './scope.ts';

/** What a context needs, whatever the step and the host. */
export interface ContextTools {
  readonly connections: Connections;
  readonly redactor: Redactor;
  readonly inventory: Inventory;
  readonly files: Files;
  /** What is asked on a host before anything is done there: whether the run still holds the lock of its cluster. */
  guardsOf(host: Host): readonly Guard[];
  readStatus(cluster: string, via: (host: string) => Context): Promise<ClusterStatus>;
}

/** What all steps of a run share. */
export interface Tools extends ContextTools {
  /** What this run has bent and not put right. */
  readonly ledger: Ledger;
  readonly boots: Boots;
  readonly world: World;
}

/** What is particular to one step on one host. */
export interface Circumstances {
  readonly scope: Scope;
  readonly become: BecomeKeyword | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** The playbook file, from which local paths are looked for. */
  readonly file: string;
  /** Left out where there is no step. */
  readonly taking?: Taking | undefined;
  /** What is asked on the host besides, before anything is done there. */
  roleGuards?(): readonly Guard[];
  /** Called before anything is sent to a host. */
  onExchange?(): void;
  progress(message: string, percent?: number): void;
  /** See `Context`; left out where there is no step. */
  restsOfEarlierRuns?(): readonly number[];
  obligations?(cluster: string): readonly string[];
}

/** The task's keyword over the inventory's setting. */
function becomeFor(keyword: BecomeKeyword | undefined, host: Host): Become | undefined {
  if (keyword === false) return undefined;
  if (keyword === undefined) return host.become;
  const base: Become = host.becoming ?? { user: 'root', method: 'sudo' };
  if (keyword === true) return base;
  const { user = base.user, method = base.method, password = base.password } = keyword;
  return { user, method, password };
}

export function contextFor(host: Host, circumstances: Circumstances, tools: ContextTools): Context {
  const { connections, inventory, redactor } = tools;
  const become = becomeFor(circumstances.become, host);
  const onTransport = async <T>(work: (transport: Transport) => Promise<T>): Promise<T> => {
    const transport = await connections.get(host);
    circumstances.onExchange?.();
    try {
      // What an earlier attempt has begun ends first: its change would hide from a look, or be seen half done.
      if (taking?.isState && taking.isAgain) await taking.settle(host, transport, become);
      return await work(transport);
    } catch (error) {
      if (error instanceof Unreachable) connections.drop(host, transport);
      throw error;
    }
  };
  const { taking } = circumstances;
  const asJob = <T>(
    { isRepeatable = taking?.isState }: JobWish,
    call: (transport: Transport, id: JobId, mode: JobOptions['mode']) => Promise<JobEnd<T>>,
  ): Promise<T> => {
    if (!taking) throw new DrillbookError('bug', 'a job outside any step');
    const begin = (id: JobId, mode: JobOptions['mode']): Promise<JobEnd<T>> =>
      onTransport(async (transport) => {
        await taking.boots.know(host, transport, become);
        return call(transport, id, mode);
      });
    return takeJob(taking, host, isRepeatable === true, begin);
  };
  const guards = (isLook = false): readonly Guard[] => [
    ...tools.guardsOf(host),
    ...((!isLook && circumstances.roleGuards?.()) || []),
  ];
  const withDefaults = (options: ShOptions = {}): ShOptions => ({
    ...options,
    guards: [...guards(options.isLook), ...(options.guards ?? [])],
    become: options.become ?? become,
    env: { ...circumstances.env, ...options.env },
    signal: options.signal ?? circumstances.signal,
  });
  // What has begun may have changed the role itself.
  const jobOptions = (mode: JobOptions['mode'], options?: ShOptions): JobOptions => ({
    ...withDefaults({ ...options, isLook: mode === 'attach' }),
    mode,
  });
  const on = (name: string): Context => {
    const other = hostNamed(inventory, name);
    if (!other) throw new Unreachable(name, 'unknown', `\`${name}\` is not in the inventory`);
    // It is the step's own host that is bound to a role.
    return contextFor(other, { ...circumstances, roleGuards: () => [] }, tools);
  };
  const cluster = clusterOf(inventory, host.name);
  return {
    host,
    cluster: cluster && { ...cluster, settings: settingsOf(circumstances.scope, cluster.settings) },
    signal: circumstances.signal,
    sh: (script, options) => onTransport((transport) => transport.sh(script, withDefaults(options))),
    job: (script, options = {}) =>
      asJob(options, (transport, id, mode) => transport.job(id, script, jobOptions(mode, options))),
    keep: (name, find) => (taking ? keepIn(taking, name, find) : find()),
    dialogue: (command, answers, options = {}) =>
      asJob(options, (transport, id, mode) =>
        transport.dialogue(id, command, answers, jobOptions(mode, options)),
      ),
    put: (path, content, mode) => {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      return onTransport((transport) =>
        transport.put(path, bytes, {
          become,
          guards: guards(),
          ...(mode === undefined ? {} : { mode }),
        }),
      );
    },
    get: (path) => onTransport((transport) => transport.get(path, { become })),
    dial: (endpoint) =>
      onTransport(async (transport) => {
        const asked = withDefaults();
        const stream = transport.dial(endpoint);
        if (asked.guards?.length === 0) return stream;
        // Side by side: no further round trip, and nothing is given out before both have answered.
        const [, said] = await Promise.allSettled([stream, transport.sh(':', asked)]);
        if (said.status === 'fulfilled') return stream;
        stream.then((open) => open.destroy()).catch(() => undefined);
        throw said.reason;
      }),
    on,
    local: (path) => localFile(path, circumstances.file, tools.files),
    read: (path) => tools.files.load(path),
    tree: (path) => tools.files.tree(path),
    render: (template, from) => renderText(template, circumstances.scope, from),
    evaluate: (expression, extra) =>
      compileCondition(expression).evaluate(
        extra ? overlay(circumstances.scope, extra) : circumstances.scope,
      ),
    status: () => {
      if (!cluster)
        throw new Unreachable(host.name, 'no-cluster', `${host.name} belongs to no cluster of the inventory`);
      return tools.readStatus(cluster.name, on);
    },
    restsOfEarlierRuns: () => circumstances.restsOfEarlierRuns?.() ?? [],
    obligations: () => (cluster && circumstances.obligations?.(cluster.name)) ?? [],
    progress: circumstances.progress,
    secret: (value) => redactor.add(value),
  };
}

/** The cluster's settings as the scope renders them; as written where a scope has none. */
function settingsOf(
  scope: Scope,
  written: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const view = scope['cluster'] as { readonly settings?: Readonly<Record<string, unknown>> } | undefined;
  return view?.settings ?? written;
}

/** `extra` over a scope, without reading (and so rendering) any of its variables. */
export function overlay(scope: Scope, extra: Readonly<Record<string, unknown>>): Scope {
  const over = Object.defineProperties({}, Object.getOwnPropertyDescriptors(scope)) as Record<
    string,
    unknown
  >;
  for (const [name, value] of Object.entries(extra)) {
    Object.defineProperty(over, name, { value, enumerable: true, configurable: true });
  }
  return over;
}
