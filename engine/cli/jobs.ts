import { DrillbookError, Unreachable } from '../core/error.ts';
import type { Become, Host, Transport } from '../core/host.ts';
import type { RemoteJob } from '../transports/jobs.ts';
import type { Redactor } from '../core/secret.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS, passwordsOf, withPasswords } from './_passwords.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';

/** A job, where it was found, and the step it belongs to if its run is kept here. */
interface Row extends RemoteJob {
  readonly node: string;
  readonly step: string | null;
}

/** As whom a host is looked at: with the inventory's `become`, and without where that leaves jobs out of sight. */
const users = ({ become }: Host): readonly (Become | undefined)[] =>
  become === undefined || become.user === 'root' ? [become] : [become, undefined];

/** What `work` gives on every host that can be reached; the others are told. */
async function onAll<T>(
  hosts: readonly Host[],
  redactor: Redactor,
  work: (transport: Transport, host: Host, become: Become | undefined) => Promise<readonly T[]>,
): Promise<{ found: readonly T[]; away: readonly Unreachable[] }> {
  const { openTransport } = await import('../transports/open.ts');
  const away: Unreachable[] = [];
  const each = hosts.map(async (host) => {
    const transport = openTransport(host, { redactor });
    try {
      await transport.open();
      const all = await Promise.all(users(host).map((become) => work(transport, host, become)));
      return all.flat();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      away.push(error);
      return [];
    } finally {
      await transport.close();
    }
  });
  return { found: (await Promise.all(each)).flat(), away };
}

/** The names of steps by run and event, as far as the runs' journals are here. */
async function stepNames(stateDir: string, runs: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
  const { readJournal, runIds } = await import('../run/journal/journal.ts');
  const names = new Map<string, string>();
  for (const run of runIds(stateDir).filter((id) => runs.has(id))) {
    try {
      const journal = readJournal(stateDir, run);
      for (const event of journal.events())
        if (event.event === 'step_started') names.set(`${run}/${event.seq}`, event.name);
      journal.close();
    } catch (error) {
      process.stderr.write(`${run}: ${(error as Error).message}\n`);
    }
  }
  return names;
}

const when = (since: string): string => since.slice(0, 19).replace('T', ' ');

const line = ({ node, run, key, state, since, user, step }: Row): string =>
  [node, run, key, state, when(since), user, step ?? ''].join('  ').trim();

/** What runs or is lost, each; what has ended, by run. */
function lines(rows: readonly Row[]): string[] {
  const ended = Map.groupBy(
    rows.filter(({ state }) => state === 'ended'),
    ({ node, run }) => `${node}  ${run}`,
  );
  const sums = [...ended].map(([where, jobs]) => {
    const last =
      jobs
        .map(({ since }) => since)
        .toSorted()
        .at(-1) ?? '';
    return `${where}  ${jobs.length} ended, the last at ${when(last)}`;
  });
  return [...rows.filter(({ state }) => state !== 'ended').map(line), ...sums];
}

async function refuseUnderWay(stateDir: string, run: string): Promise<void> {
  const [{ runIds }, { isUnderWay }] = await Promise.all([
    import('../run/journal/journal.ts'),
    import('../run/obligations/ledgers.ts'),
  ]);
  if (!runIds(stateDir).includes(run) || !isUnderWay(stateDir, run)) return;
  throw new DrillbookError('guard.running', `run ${run} is under way: its jobs are its own`, {
    hint: 'stop it first (Ctrl-C), then give its jobs up',
  });
}

export default command({
  summary: 'list the commands of runs on the nodes, running or ended, and give those of a run up',
  usage: '-i INVENTORY [--remove RUN [--stop]]',
  options: {
    ...PASSWORD_OPTIONS,
    ...KEY_OPTIONS,
    inventory: { type: 'string', short: 'i', multiple: true },
    remove: { type: 'string' },
    stop: { type: 'boolean' },
  },
  help: {
    ...PASSWORD_HELP,
    ...KEY_HELP,
    inventory: 'hosts, groups and clusters (YAML)',
    remove: 'take the jobs of that run off the nodes: it cannot be resumed reliably any more',
    stop: 'with --remove: end what still runs',
  },
  async run({ options, output, stateDir, redactor }) {
    const { inventory: file, remove: given, stop } = options;
    if (typeof file !== 'string')
      throw new DrillbookError('usage.inventory', 'which inventory?', { hint: 'give it with -i' });
    if (stop === true && typeof given !== 'string')
      throw new DrillbookError('usage.stop', '--stop goes with --remove RUN');
    const [{ loadInventory }, { listJobs, removeJobs }] = await Promise.all([
      import('../parse/inventory.ts'),
      import('../transports/jobs.ts'),
    ]);
    const keys = keysOf({ options }, redactor);
    const read = await withKeys(keys, () => loadInventory(file, keys.loading));
    const inventory = withPasswords(read, await passwordsOf({ options, redactor }));
    const hosts = [...inventory.hosts.values()];
    const isJson = output === 'json' || output === 'jsonl';
    const tell = (told: object, lines: readonly string[]): void =>
      void process.stdout.write(
        isJson
          ? `${JSON.stringify(redactor.value(told), undefined, output === 'json' ? 2 : 0)}\n`
          : lines.map((one) => `${redactor.text(one)}\n`).join(''),
      );
    const tellAway = (away: readonly Unreachable[]): string[] => {
      for (const { message } of away) process.stderr.write(`${redactor.text(message)}\n`);
      return away.map(({ host }) => host);
    };

    const look = async (run?: string): Promise<{ rows: readonly Row[]; away: readonly Unreachable[] }> => {
      const { found, away } = await onAll(hosts, redactor, async (transport, host, become) => {
        const jobs = await listJobs(transport, { become, run });
        // Several hosts of the inventory may be one machine.
        const own = jobs.filter((job) => job.host === host.name || !inventory.hosts.has(job.host));
        return own.map((job) => ({ node: host.name, ...job }));
      });
      const names = await stepNames(stateDir, new Set(found.map((job) => job.run)));
      const rows = found.map((job) => ({
        ...job,
        step: names.get(`${job.run}/${job.key.split('.')[0]}`) ?? null,
      }));
      return { rows, away };
    };

    if (typeof given !== 'string') {
      const { rows, away } = await look();
      tell({ jobs: rows, away: tellAway(away) }, rows.length === 0 ? ['no jobs'] : lines(rows));
      return away.length === 0 ? 0 : 1;
    }
    await refuseUnderWay(stateDir, given);
    const { rows } = await look(given);
    const running = rows.filter(({ state }) => state === 'running');
    if (running.length > 0 && stop !== true) {
      tell({ jobs: rows, removed: 0 }, running.map(line));
      throw new DrillbookError(
        'guard.running',
        `of run ${given}, ${running.length} still run: nothing was removed`,
        {
          hint: 'wait for them, or end them with --stop',
        },
      );
    }
    const { found, away } = await onAll(hosts, redactor, async (transport, _host, become) => [
      await removeJobs(transport, given, { become, isStop: stop === true }),
    ]);
    const removed = found.reduce((sum, { count }) => sum + count, 0);
    const left = found.flatMap((one) => one.running);
    tell({ removed, running: left, away: tellAway(away) }, [
      `removed ${removed} of run ${given}`,
      ...left.map((one) => `still runs: ${one}`),
    ]);
    return away.length === 0 && left.length === 0 ? 0 : 1;
  },
});
