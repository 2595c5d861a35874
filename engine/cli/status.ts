import type { ClusterStatus, NodeStatus } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { isDue, obligationText } from '../run/obligations/obligations.ts';
import type { Obligation } from '../run/obligations/obligations.ts';
import type { LockHolder } from '../run/lock/unlock.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS, passwordsOf, withPasswords } from './_passwords.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';

const list = (pairs: Readonly<Record<string, string>>): string =>
  Object.entries(pairs)
    .map(([name, value]) => `${name} ${value}`)
    .join(' · ');

function* nodeLines(node: NodeStatus): Generator<string> {
  yield `  ${node.name} (${node.address})  ${node.online ? node.role : 'offline'}`;
  yield `      ${list(node.witnesses)}`;
  if (Object.keys(node.services).length > 0) yield `      ${list(node.services)}`;
}

/** The state of a pair for a person to read. */
export function* statusLines(
  status: ClusterStatus & {
    readonly lock?: LockHolder | null;
    readonly obligations?: readonly ReturnType<typeof noteOf>[];
  },
): Generator<string> {
  yield `${status.cluster} (${status.stack}): ${status.state}`;
  for (const node of status.nodes) yield* nodeLines(node);
  const { kind, state, lagSeconds, percent } = status.replication;
  const detail = [
    lagSeconds === null ? '' : `${lagSeconds} s behind`,
    percent === null ? '' : `${percent} %`,
  ];
  yield `  replication (${kind})  ${[state, ...detail].filter(Boolean).join(', ')}`;
  for (const { address, holders } of status.vips)
    yield `  VIP ${address}  ${holders.join(' and ') || 'on no node'}`;
  for (const { from, to, state: beat } of status.heartbeats) yield `  heartbeat ${from} → ${to}  ${beat}`;
  for (const [name, value] of Object.entries(status.arbitration)) yield `  ${name}  ${String(value)}`;
  if (status.lock) {
    const { run, operator, from, since, isAlive } = status.lock;
    const lease = isAlive ? 'alive' : 'no longer renewed';
    yield `  locked by run ${run} of ${operator} (${from}) since ${since}, ${lease}`;
  }
  for (const one of status.obligations ?? [])
    yield `  ${isDue(one) ? 'open' : 'stays'}: ${obligationText(one)}, run ${one.run}`;
  for (const { code, message, hint } of status.problems) {
    yield `  problem: ${message} [${code}]`;
    yield `      ${hint}`;
  }
}

/** The run that holds the pair; null where none does, or where the nodes do not tell. */
async function lockOf(cluster: Cluster, on: (host: string) => Context): Promise<LockHolder | null> {
  const { holderOf, lookAtLock } = await import('../run/lock/unlock.ts');
  try {
    return holderOf(await lookAtLock(cluster, on)) ?? null;
  } catch {
    return null; // What the pair is like is wanted above all; `unlock` tells why.
  }
}

/** What a run has bent, as `status --output json` has it. */
const noteOf = ({ obligation, message, run, step, host, at, isLasting }: Obligation) => ({
  ...{ obligation, message, run, step, host, at },
  isLasting: isLasting === true,
});

function pick(clusters: ReadonlyMap<string, Cluster>, name: string | undefined): readonly Cluster[] {
  if (name === undefined) {
    if (clusters.size > 0) return [...clusters.values()];
    throw new DrillbookError('usage.cluster', 'the inventory has no clusters');
  }
  const cluster = clusters.get(name);
  if (cluster !== undefined) return [cluster];
  throw new DrillbookError('usage.cluster', `\`${name}\` is no cluster of the inventory`, {
    hint: `there are: ${[...clusters.keys()].join(', ')}`,
  });
}

export default command({
  summary: 'The state of the pairs, read on their nodes now',
  usage: '[CLUSTER] -i INVENTORY [--output json]',
  options: { inventory: { type: 'string', short: 'i', multiple: true }, ...PASSWORD_OPTIONS, ...KEY_OPTIONS },
  help: { inventory: 'hosts, groups and clusters (YAML)', ...PASSWORD_HELP, ...KEY_HELP },
  async run({ positionals, options, output, stateDir, signal, redactor }) {
    const file = options['inventory'];
    if (typeof file !== 'string')
      throw new DrillbookError('usage.inventory', 'which inventory?', { hint: 'give it with -i' });
    const [{ loadInventory }, stacks, { contextsOf }, { ledgersIn, openIn }] = await Promise.all([
      import('../parse/inventory.ts'),
      import('../cluster/stacks.ts'),
      import('./_contexts.ts'),
      import('../run/obligations/ledgers.ts'),
    ]);
    const keys = keysOf({ options }, redactor);
    const read = await withKeys(keys, () => loadInventory(file, keys.loading));
    const inventory = withPasswords(read, await passwordsOf({ options, redactor }));
    const [wrong] = await stacks.settingsProblems(inventory);
    if (wrong !== undefined) throw wrong;
    const clusters = pick(inventory.clusters, positionals[0]);
    // A damaged journal is told by `runs`; here the pair is wanted.
    const ledgers = ledgersIn(stateDir, inventory, () => undefined);
    const contexts = contextsOf(inventory, redactor, signal);
    try {
      const [all, locks] = await Promise.all([
        Promise.all(clusters.map((cluster) => stacks.readStatus(cluster, contexts.on))),
        Promise.all(clusters.map((cluster) => lockOf(cluster, contexts.on))),
      ]);
      const right = await Promise.all(
        all.map(async (status, i) => {
          const seen = clusters[i] === undefined ? [] : await stacks.bendsOf(clusters[i], status);
          return new Set(seen.filter(({ isBent }) => !isBent).map(({ obligation }) => obligation));
        }),
      );
      const shown = redactor.value(
        all.map((status, i) => ({
          ...status,
          lock: locks[i] ?? null,
          // What the nodes show to be right is `obligations`' to note.
          obligations: openIn(ledgers)
            .filter(
              ({ cluster, obligation }) => cluster === status.cluster && right[i]?.has(obligation) !== true,
            )
            .map(noteOf),
        })),
      );
      if (output === 'json')
        process.stdout.write(`${JSON.stringify(shown.length === 1 ? shown[0] : shown, undefined, 2)}\n`);
      else if (output === 'jsonl')
        for (const status of shown) process.stdout.write(`${JSON.stringify(status)}\n`);
      else
        process.stdout.write(`${shown.map((status) => [...statusLines(status)].join('\n')).join('\n\n')}\n`);
      return all.every(({ state }) => state === 'running' || state === 'stopped') ? 0 : 1;
    } finally {
      await contexts.close();
    }
  },
});
