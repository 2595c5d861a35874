import type { Bend } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Inventory } from '../parse/inventory.ts';
import { isDue } from '../run/obligations/obligations.ts';
import type { Obligation } from '../run/obligations/obligations.ts';
import type { LockHolder } from '../run/lock/unlock.ts';
import type { Redactor } from '../core/secret.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS, passwordsOf, withPasswords } from './_passwords.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';

/** What runs have bent, held against the pairs as they are. */
interface Row {
  readonly obligation: string;
  /** open · put_right: noted in its run now · lasting: meant to stay · unrecorded: no run kept here has bent it. */
  readonly state: 'open' | 'put_right' | 'lasting' | 'unrecorded';
  /** As read on the nodes; null where nothing there tells. */
  readonly isBent: boolean | null;
  readonly message: string;
  readonly run: string | null;
  readonly isUnderWay: boolean;
  readonly step: string | null;
  readonly host: string | null;
  readonly since: string | null;
}

interface Look {
  readonly bends: readonly Bend[];
  readonly locks: readonly (LockHolder & { readonly cluster: string })[];
}

async function lookAt(inventory: Inventory, redactor: Redactor, signal: AbortSignal): Promise<Look> {
  const [stacks, { holderOf, lookAtLock }, { contextsOf }] = await Promise.all([
    import('../cluster/stacks.ts'),
    import('../run/lock/unlock.ts'),
    import('./_contexts.ts'),
  ]);
  const [wrong] = await stacks.settingsProblems(inventory);
  if (wrong !== undefined) throw wrong;
  const contexts = contextsOf(inventory, redactor, signal);
  try {
    const each = [...inventory.clusters.values()].map(async (cluster) => {
      const bends = await stacks.bendsOf(cluster, await stacks.readStatus(cluster, contexts.on));
      const holder = await lookAtLock(cluster, contexts.on).then(holderOf, () => undefined);
      return { bends, locks: holder ? [{ cluster: cluster.name, ...holder }] : [] };
    });
    const all = await Promise.all(each);
    return { bends: all.flatMap(({ bends }) => bends), locks: all.flatMap(({ locks }) => locks) };
  } finally {
    await contexts.close();
  }
}

function rowOf(one: Obligation, bends: readonly Bend[], isUnderWay: boolean): Row {
  const isBent = bends.find(({ obligation }) => obligation === one.obligation)?.isBent ?? null;
  const { obligation, message, run, step, host, at } = one;
  // A run that is under way bends it in a moment, or has just put it right: it knows itself.
  const state = isBent === false && !isUnderWay ? 'put_right' : isDue(one) ? 'open' : 'lasting';
  return { obligation, state, isBent, message, run, isUnderWay, step, host, since: at };
}

const unrecorded = ({ obligation, message }: Bend): Row => ({
  ...{ obligation, state: 'unrecorded', isBent: true, message },
  ...{ run: null, isUnderWay: false, step: null, host: null, since: null },
});

function wordOf({ state, isBent }: Row): string {
  if (state === 'put_right') return 'put right meanwhile; noted in its run now';
  if (state === 'lasting') return 'meant to stay';
  if (state === 'unrecorded') return 'bent, and by no run that is kept here';
  return isBent === true ? 'bent still' : 'open; the nodes do not tell whether it is bent';
}

function* lines({ rows, locks }: { rows: readonly Row[]; locks: Look['locks'] }): Generator<string> {
  for (const row of rows) {
    yield `${row.obligation}  ${row.message}: ${wordOf(row)}`;
    if (row.run === null) continue;
    const end = row.isUnderWay
      ? 'is under way'
      : row.state === 'open'
        ? `\`drillbook resume ${row.run}\``
        : '';
    yield `    run ${row.run}, step ${row.step} on ${row.host}, since ${row.since}${end && `: ${end}`}`;
  }
  for (const { cluster, run, operator, from, since, isAlive } of locks) {
    const lease = isAlive ? 'alive' : `no longer at it: \`drillbook resume ${run}\` or \`drillbook unlock\``;
    yield `lock@${cluster}  held by run ${run} of ${operator} (${from}) since ${since}, ${lease}`;
  }
  if (rows.length === 0 && locks.length === 0) yield 'nothing is open';
}

export default command({
  summary: 'What runs have bent and not put right, held against the pairs as they are now',
  usage: '-i INVENTORY [--output json]',
  options: {
    inventory: { type: 'string', short: 'i', multiple: true },
    operator: { type: 'string' },
    ...PASSWORD_OPTIONS,
    ...KEY_OPTIONS,
  },
  help: {
    ...PASSWORD_HELP,
    ...KEY_HELP,
    inventory: 'hosts, groups and clusters (YAML)',
    operator: 'who looks, for the journals of runs whose bends were put right meanwhile',
  },
  async run({ options, output, stateDir, signal, redactor }) {
    const file = options['inventory'];
    if (typeof file !== 'string')
      throw new DrillbookError('usage.inventory', 'which inventory?', { hint: 'give it with -i' });
    const [{ loadInventory }, { closeIn, isUnderWay, ledgersIn, openIn }, { runIds }, { operatorHere }] =
      await Promise.all([
        import('../parse/inventory.ts'),
        import('../run/obligations/ledgers.ts'),
        import('../run/journal/journal.ts'),
        import('./_execute.ts'),
      ]);
    const keys = keysOf({ options }, redactor);
    const read = await withKeys(keys, () => loadInventory(file, keys.loading));
    const inventory = withPasswords(read, await passwordsOf({ options, redactor }));
    const tell = (run: string, why: string): void => void process.stderr.write(`${run}: ${why}\n`);
    const ledgers = ledgersIn(stateDir, inventory, tell);
    const { bends, locks: seen } = await lookAt(inventory, redactor, signal);
    // Of a run that is kept here one need not wait for the lease to end.
    const own = runIds(stateDir);
    const isAlive = ({ run, ...lock }: LockHolder): boolean =>
      lock.isAlive && (!own.includes(run) || isUnderWay(stateDir, run));
    const locks = seen.map((lock) => ({ ...lock, isAlive: isAlive(lock) }));
    const open = openIn(ledgers);
    const known = new Set(open.map(({ obligation }) => obligation));
    const rows = [
      ...open.map((one) => rowOf(one, bends, isUnderWay(stateDir, one.run))),
      ...bends.filter(({ obligation, isBent }) => isBent && !known.has(obligation)).map(unrecorded),
    ];
    const operator = typeof options['operator'] === 'string' ? options['operator'] : operatorHere();
    const by = `seen on the nodes by ${operator}`;
    for (const { obligation, state } of rows)
      if (state === 'put_right') await closeIn(stateDir, ledgers, obligation, by);
    const shown = redactor.value({ rows, locks });
    process.stdout.write(
      output === 'json' || output === 'jsonl'
        ? `${JSON.stringify({ obligations: shown.rows, locks: shown.locks }, undefined, output === 'json' ? 2 : 0)}\n`
        : `${[...lines(shown)].join('\n')}\n`,
    );
    const isOpen = rows.some(({ state }) => state === 'open' || state === 'unrecorded');
    return isOpen || locks.some(({ isAlive }) => !isAlive) ? 4 : 0;
  },
});
