import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import { disk } from '../../engine/core/files.ts';
import type { Become, Host, Transport } from '../../engine/core/host.ts';
import type { Checked, Context, Module, Outcome, Result, StateModule } from '../../engine/core/module.ts';
import { StepFailed } from '../../engine/core/error.ts';
import { resultProblems } from '../../engine/core/result.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { loadModule } from '../../engine/modules/registry.ts';
import { compileCondition } from '../../engine/parse/condition.ts';
import { renderText } from '../../engine/parse/template.ts';
import { removeJobs } from '../../engine/transports/jobs.ts';
import { openLocal } from '../../engine/transports/local.ts';

export interface Bench {
  readonly ctx: Context;
  /** A directory of its own on this machine. */
  readonly dir: string;
  /** What `progress` said. */
  readonly said: string[];
  /** How many exchanges there were. */
  exchanges(): number;
  close(): Promise<void>;
}

interface Wishes {
  readonly host?: Host;
  readonly transport?: Transport;
  readonly vars?: Result;
  readonly become?: Become;
  /** What the pair is said to be like. */
  readonly status?: ClusterStatus;
}

const LOCAL: Host = { name: 'here', groups: [], vars: {}, connection: { transport: 'local' } };
const unused = (): never => {
  throw new Error('no test of the basic modules needs this');
};

/** A context over a real transport: this machine's unless told otherwise. */
export async function openBench(wishes: Wishes = {}): Promise<Bench> {
  const { host = LOCAL, vars = {}, become, status } = wishes;
  const transport = wishes.transport ?? openLocal(host, { redactor: new Redactor() });
  await transport.open();
  const dir = await mkdtemp(join(tmpdir(), 'drillbook-test-'));
  const said: string[] = [];
  const run = `test-${randomUUID()}`;
  let count = 0;
  const ctx: Context = {
    host,
    cluster: undefined,
    signal: new AbortController().signal,
    sh(script, options) {
      count++;
      return transport.sh(script, { become, ...options });
    },
    async job(script, options) {
      count++;
      const id = { run, host: host.name, key: randomUUID() };
      const end = await transport.job(id, script, { become, ...options, mode: 'start' });
      if (end.kind !== 'ended') throw new Error(`the job is ${end.kind}`);
      return end.result;
    },
    keep: (_name, find) => find(),
    async dialogue(command, answers, options) {
      const id = { run, host: host.name, key: randomUUID() };
      const end = await transport.dialogue(id, command, answers, { become, ...options, mode: 'start' });
      if (end.kind !== 'ended') throw new Error(`the dialogue is ${end.kind}`);
      return end.result;
    },
    put: (path, content, mode) =>
      transport.put(path, typeof content === 'string' ? Buffer.from(content) : content, {
        ...(mode === undefined ? {} : { mode }),
        become,
      }),
    get: (path) => transport.get(path, { become }),
    dial: (endpoint) => transport.dial(endpoint),
    on: unused,
    local: (path) => (isAbsolute(path) ? path : join(dir, path)),
    read: (path) => disk.load(path),
    tree: (path) => disk.tree(path),
    render: (template, from) => renderText(template, vars, from),
    evaluate: (expression, extra) => compileCondition(expression).evaluate({ ...vars, ...extra }),
    status: () => (status === undefined ? unused() : Promise.resolve(status)),
    restsOfEarlierRuns: () => [],
    obligations: () => [],
    progress: (message) => void said.push(message),
    secret: () => undefined,
  };
  return {
    ctx,
    dir,
    said,
    exchanges: () => count,
    async close() {
      await removeJobs(transport, run, { become }).catch(() => undefined);
      await transport.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

type Params = Readonly<Record<string, unknown>>;

async function prepared(
  name: string,
  params: Params,
): Promise<{ module: Module; given: Record<string, unknown> }> {
  const module = await loadModule(name);
  return { module, given: module.params.parse(params) };
}

/** Fails where a result is not as the module declares it. */
function says(module: Module, name: string, result: Result | undefined, hasFailed: boolean): void {
  const problems = resultProblems(module, result ?? {}, hasFailed);
  if (problems.length > 0)
    throw new Error(`${name} does not return what it declares: ${problems.join('; ')}`);
}

/** The same of what is told by a failure. */
async function declared<T>(module: Module, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StepFailed) says(module, name, error.result, true);
    throw error;
  }
}

async function looked(
  bench: Bench,
  name: string,
  module: StateModule,
  given: Record<string, unknown>,
): Promise<Checked> {
  const found = await declared(module, name, () => module.check(bench.ctx, given));
  says(module, name, found.result, false);
  return found;
}

/** Runs an action or query. */
export async function run(bench: Bench, name: string, params: Params): Promise<Outcome> {
  const { module, given } = await prepared(name, params);
  if (module.kind === 'state') throw new Error(`${name} is a state`);
  const act = module.kind === 'action' ? module.run : module.read;
  const outcome = await declared(module, name, () => act(bench.ctx, given));
  says(module, name, outcome.result, outcome.failed !== undefined);
  return outcome;
}

/** What a state module would change. */
export async function check(bench: Bench, name: string, params: Params): Promise<Checked> {
  const { module, given } = await prepared(name, params);
  if (module.kind !== 'state') throw new Error(`${name} is no state`);
  return looked(bench, name, module, given);
}

export interface Reached {
  readonly before: Checked;
  readonly after: Checked;
  readonly result: Result;
}

/** As the runner does it: check, apply, look again; fails where the change did not take. */
export async function reach(bench: Bench, name: string, params: Params): Promise<Reached> {
  const { module, given } = await prepared(name, params);
  if (module.kind !== 'state') throw new Error(`${name} is no state`);
  const before = await looked(bench, name, module, given);
  if (before.changes.length === 0) return { before, after: before, result: before.result ?? {} };
  const applied = await declared(module, name, () => module.apply(bench.ctx, given, before));
  const after = applied ?? (await looked(bench, name, module, given));
  says(module, name, after.result, false);
  if (after.changes.length > 0) throw new Error(`did not take: ${JSON.stringify(after.changes)}`);
  return { before, after, result: after.result ?? {} };
}
