import { DrillbookError } from '../core/error.ts';
import { terminalAsk } from './_ask.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS, passwordsOf, withPasswords } from './_passwords.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';
import type { Invocation } from './_command.ts';
import { oneCluster } from './_one-cluster.ts';
import type { LockLook } from '../run/lock/unlock.ts';

/** Who holds it and what that means, for a person to read. */
async function* storyOf({ cluster, seen, away }: LockLook): AsyncGenerator<string> {
  const { holderText, isHeld, leaseText } = await import('../run/lock/record.ts');
  const held = seen.filter(isHeld);
  if (held.length === 0) yield `no run holds cluster ${cluster.name}`;
  const holders = Map.groupBy(held, ({ run, holder }) => `${run} ${holder}`);
  for (const [one, ...others] of holders.values()) {
    if (!one) continue;
    const where = [one, ...others].map(({ host }) => host).join(', ');
    yield `cluster ${cluster.name} is locked on ${where} by ${holderText(one)}`;
    yield `  ${leaseText(one)}`;
    yield one.isAlive
      ? '  unlocked, it is stopped at its next step, wherever that leaves the cluster'
      : `  \`drillbook resume ${one.run}\` where it ran goes on with it; what it had begun on the nodes may not have ended`;
  }
  for (const host of away) yield `  ${host} cannot be reached: what it says is not known`;
}

/** Tells the run's own journal, where it is kept here and no process is at it. */
async function tellRuns(stateDir: string, look: LockLook, by: string): Promise<void> {
  const [{ openJournal, runIds }, { holdRun }, { isHeld }] = await Promise.all([
    import('../run/journal/journal.ts'),
    import('../run/journal/hold.ts'),
    import('../run/lock/record.ts'),
  ]);
  const own = runIds(stateDir);
  for (const [run, seen] of Map.groupBy(look.seen.filter(isHeld), (one) => one.run)) {
    if (!own.includes(run)) continue;
    let letGo: (() => void) | undefined;
    try {
      letGo = holdRun(stateDir, run);
    } catch {
      continue; // It is under way here, and hears of it at its next step.
    }
    try {
      const journal = openJournal(stateDir, run);
      const hosts = seen.map(({ host }) => host);
      journal.append({ event: 'lock_lost', cluster: look.cluster.name, hosts, by });
      await journal.commit();
      journal.close();
    } finally {
      letGo();
    }
  }
}

async function confirm(code: string, { options }: Invocation, cluster: string): Promise<void> {
  const { yes } = options;
  const given =
    typeof yes === 'string' ? yes : await terminalAsk()?.(`Type the code ${code} to unlock ${cluster}: `);
  if (given?.trim() === code) return;
  const why = given === undefined ? 'has to be confirmed' : 'was not confirmed: the code is wrong';
  throw new DrillbookError('guard.confirmation', `unlocking ${cluster} ${why}`, {
    hint: `if that run is to be given up, give --yes ${code}`,
  });
}

export default command({
  summary: 'show which run holds a cluster, and take the lock from it',
  usage: '[CLUSTER] -i INVENTORY [--yes CODE]',
  options: {
    ...PASSWORD_OPTIONS,
    ...KEY_OPTIONS,
    inventory: { type: 'string', short: 'i', multiple: true },
    yes: { type: 'string' },
    operator: { type: 'string' },
  },
  help: {
    ...PASSWORD_HELP,
    ...KEY_HELP,
    inventory: 'hosts, groups and clusters (YAML)',
    yes: 'the code that confirms it (shown with the holder)',
    operator: 'who does it, for the log on the nodes',
  },
  async run(invocation) {
    const { positionals, options, output, stateDir, signal, redactor } = invocation;
    const file = options['inventory'];
    if (typeof file !== 'string')
      throw new DrillbookError('usage.inventory', 'which inventory?', { hint: 'give it with -i' });
    const [{ loadInventory }, { contextsOf }, locks, { isHeld }, { whereFrom }, { operatorHere }] =
      await Promise.all([
        import('../parse/inventory.ts'),
        import('./_contexts.ts'),
        import('../run/lock/unlock.ts'),
        import('../run/lock/record.ts'),
        import('../run/lock/node-lock.ts'),
        import('./_execute.ts'),
      ]);
    const keys = keysOf({ options }, redactor);
    const read = await withKeys(keys, () => loadInventory(file, keys.loading));
    const inventory = withPasswords(read, await passwordsOf(invocation));
    const cluster = oneCluster(inventory.clusters, positionals[0]);
    const contexts = contextsOf(inventory, redactor, signal);
    try {
      const look = await locks.lookAtLock(cluster, contexts.on);
      const held = look.seen.filter(isHeld);
      const code = held.length === 0 ? null : locks.unlockCode(look);
      const isJson = output === 'json' || output === 'jsonl';
      if (!isJson) for await (const line of storyOf(look)) process.stdout.write(`${line}\n`);
      const tell = (isUnlocked: boolean): void => {
        const nodes = look.seen.map(({ host, token, state, run, operator, from, since, isAlive }) => ({
          ...{ host, token, state, run, operator, from, since, isAlive },
        }));
        const told = { cluster: cluster.name, nodes, away: look.away, code, isUnlocked };
        if (isJson) process.stdout.write(`${JSON.stringify(told)}\n`);
        else if (isUnlocked) process.stdout.write(`unlocked on ${held.map(({ host }) => host).join(', ')}\n`);
      };
      if (code === null) {
        tell(false);
        return look.away.length === 0 ? 0 : 1;
      }
      try {
        await confirm(code, invocation, cluster.name);
      } catch (error) {
        tell(false);
        throw error;
      }
      const operator = typeof options['operator'] === 'string' ? options['operator'] : operatorHere();
      await locks.unlock(look, contexts.on, { operator, from: whereFrom() });
      await tellRuns(stateDir, look, operator);
      tell(true);
      // What is away may hold it still, and says so when it is back.
      return look.away.length === 0 ? 0 : 1;
    } finally {
      await contexts.close();
    }
  },
});
