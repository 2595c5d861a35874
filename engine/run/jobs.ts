import { createHash } from 'node:crypto';
import { DrillbookError } from '../core/error.ts';
import type { Become, Host, JobEnd, JobId, JobOptions, Transport } from '../core/host.ts';
import type { Inventory } from '../parse/inventory.ts';
import { removeJobs } from '../transports/jobs.ts';
import type { Connections } from './connections.ts';
import type { Journal } from './journal/journal.ts';
import { hostNamed } from './scope.ts';

/** A host that does not answer is not waited for: `drillbook jobs` finds what is left. */
const FORGETTING_MS = 10_000;

/** A boot of a host, as it was when jobs were begun there. */
export interface Boot {
  readonly seq: number;
  readonly host: string;
  readonly boot: string;
}

/** One attempt at a step, or at an item of its loop: how its jobs are called, and what of it may have begun already. */
export interface Taking {
  readonly run: string;
  /** What the names of its jobs begin with. */
  readonly key: string;
  /** The journal's event that told the intent. */
  readonly since: number;
  /** It was begun before: by an engine that died, or over a connection that was lost. */
  readonly isAgain: boolean;
  /** It looks again afterwards, whatever became of a job. */
  readonly isState: boolean;
  readonly boots: Boots;
  /** Waits on a host until the jobs that were begun before have ended. */
  settle(host: Host, transport: Transport, become: Become | undefined): Promise<void>;
  /** Jobs of one attempt are told apart by their order, whatever host they are on. */
  next(): number;
  /** What it kept, by name. */
  readonly kept: Map<string, unknown>;
  /** Tells the journal what it keeps. */
  keep(name: string, value: unknown): Promise<void>;
}

/** What `find` found the first time. */
export async function keepIn<T>({ kept, keep }: Taking, name: string, find: () => Promise<T>): Promise<T> {
  if (kept.has(name)) return kept.get(name) as T;
  const value = await find();
  kept.set(name, value);
  await keep(name, value);
  return value;
}

/** Tells items of a loop apart even where the list has changed. */
export const itemKey = (run: string, item: unknown): string =>
  createHash('sha256')
    .update(`${run}${JSON.stringify(item)}`)
    .digest('hex')
    .slice(0, 8);

/** The boots under which jobs were begun; told to the journal before the first job of a connection. */
export interface Boots {
  know(host: Host, transport: Transport, become: Become | undefined): Promise<void>;
  /** Where jobs may lie: hosts, and whom they were begun as. */
  places(): readonly { readonly host: string; readonly become?: Become | undefined }[];
  /** True when the host has the boot it had when the intent of event `seq` was told. */
  isSame(host: string, seq: number): boolean;
}

export function bootsOf(journal: Journal, before: readonly Boot[]): Boots {
  const all = [...before];
  const users = new Map<string, { host: string; become?: Become | undefined }>(
    before.map(({ host }) => [host, { host }]),
  );
  const known = new WeakMap<Transport, Promise<void>>();
  const tell = async (host: string, asked: Promise<string>): Promise<void> => {
    const boot = await asked;
    const { seq } = journal.append({ event: 'host_connected', host, boot });
    all.push({ seq, host, boot });
    await journal.commit();
  };
  return {
    async know(host, transport, become) {
      users.set(`${host.name} ${become?.method} ${become?.user}`, { host: host.name, become });
      const told = known.get(transport) ?? tell(host.name, transport.boot(become));
      known.set(transport, told);
      await told.catch((error: unknown) => {
        known.delete(transport);
        throw error;
      });
    },
    places: () => [...users.values()],
    isSame(host, seq) {
      const own = all.filter((one) => one.host === host);
      // Without a connection before the intent, the first one after it.
      const then = own.findLast((one) => one.seq < seq) ?? own[0];
      const now = own.at(-1);
      return then !== undefined && then.boot !== '' && then.boot === now?.boot;
    },
  };
}

/** `Taking.settle` of an attempt whose jobs' names begin with `key`: once for each host. */
export function settler(run: string, key: string): Taking['settle'] {
  const settled = new Map<string, Promise<void>>();
  const wait = async (host: string, transport: Transport, become: Become | undefined): Promise<void> => {
    for (let number = 0; ; number++) {
      const id = { run, host, key: `${key}.${number}` };
      if ((await transport.job(id, '', { mode: 'attach', become })).kind === 'absent') return;
    }
  };
  return ({ name }, transport, become) => {
    const waiting = settled.get(name) ?? wait(name, transport, become);
    settled.set(name, waiting);
    return waiting;
  };
}

const doubt = (why: string, output: string): DrillbookError => {
  const said = output.trim().split('\n').slice(-3).join(' · ').slice(-300);
  const told = said === '' ? 'it had said nothing' : `it had said: ${said}`;
  return new DrillbookError('doubt.lost', `${why}; ${told}`);
};

/** Begins a job or takes it up again. Throws `doubt.lost` where nobody can tell whether it was done. */
export async function takeJob<T>(
  taking: Taking,
  host: Host,
  isRepeatable: boolean,
  call: (id: JobId, mode: JobOptions['mode']) => Promise<JobEnd<T>>,
): Promise<T> {
  const id = { run: taking.run, host: host.name, key: `${taking.key}.${taking.next()}` };
  let end = await call(id, taking.isAgain ? 'attach' : 'start');
  if (end.kind === 'absent') {
    // A claim of the last seconds does not outlive a power failure.
    if (!isRepeatable && !taking.boots.isSame(host.name, taking.since))
      throw doubt(`${host.name} was rebooted since, and whether it had begun is not known`, '');
    end = await call(id, 'start');
  } else if (end.kind === 'lost' && isRepeatable) end = await call({ ...id, key: `${id.key}.anew` }, 'start');
  if (end.kind === 'ended') return end.result;
  if (end.kind === 'absent') throw new DrillbookError('bug', `job ${id.key} did not begin`);
  throw end.reason === 'rebooted'
    ? doubt(`${host.name} was rebooted while it ran`, end.output)
    : doubt(`something ended it on ${host.name} before it was done`, end.output);
}

/** Takes the run's jobs off the hosts, when it has no more use for them; a host that is away keeps them. */
export async function forgetJobs(
  { run }: Journal,
  { places }: Boots,
  inventory: Inventory,
  connections: Connections,
): Promise<void> {
  await Promise.allSettled(
    places().map(async ({ host: name, become }) => {
      const host = hostNamed(inventory, name);
      const transport = await connections.opened(name);
      if (!host || !transport) return;
      await removeJobs(transport, run, {
        host: name,
        become: become ?? host.become,
        signal: AbortSignal.timeout(FORGETTING_MS),
      });
    }),
  );
}
