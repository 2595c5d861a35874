import type { RunEvent } from '../../core/event.ts';
import type { Inventory } from '../../parse/inventory.ts';
import { isBlank, openJournal, readJournal, runIds } from '../journal/journal.ts';
import { holdRun } from '../journal/hold.ts';
import { closed, isDue, ledgerOf } from './obligations.ts';
import type { Obligation } from './obligations.ts';

type Started = Extract<RunEvent, { event: 'run_started' }>;

/** What one run has bent and not put right, by its own journal. */
export interface RunLedger {
  readonly run: string;
  readonly operator: string;
  readonly name: string;
  readonly bends: readonly RunEvent[];
}

/** A run that speaks of this inventory's hosts: it was made with it, or has bent a cluster that is in it. */
function concerns({ clusters, spec }: Inventory, started: Started, bends: readonly RunEvent[]): boolean {
  if (started.inventory === spec) return true;
  return bends.some((event) => {
    if (event.event === 'obligation_opened') return clusters.has(event.cluster ?? '');
    return event.event === 'obligation_closed' && clusters.has(event.obligation.split('@').at(-1) ?? '');
  });
}

/** The ledgers of all runs kept here that concern an inventory, oldest first; a damaged journal is passed over and told. */
export function ledgersIn(
  stateDir: string,
  inventory: Inventory,
  onDamage: (run: string, why: string) => void,
): readonly RunLedger[] {
  return runIds(stateDir).flatMap((run): RunLedger[] => {
    try {
      if (isBlank(stateDir, run)) return [];
      const journal = readJournal(stateDir, run);
      const { first, bends } = journal.glance();
      journal.close();
      if (first?.event !== 'run_started' || bends.length === 0) return [];
      const { operator, name } = first;
      return concerns(inventory, first, bends) ? [{ run, operator, name, bends }] : [];
    } catch (error) {
      onDamage(run, (error as Error).message);
      return [];
    }
  });
}

const isOfRun = ({ obligation, undo }: Obligation): boolean =>
  undo !== undefined && obligation.startsWith(undo);

/**
 * What is open when all runs are read together: what one run has bent, another may have put right, where both speak of
 * the same thing. What an `undo` is for belongs to its run.
 */
export function openIn(ledgers: readonly RunLedger[]): readonly Obligation[] {
  const own = ledgers.flatMap(({ bends }) => ledgerOf(bends).open().filter(isOfRun));
  const events = ledgers.flatMap(({ bends }) => bends).toSorted((a, b) => (a.at < b.at ? -1 : 1));
  const shared = ledgerOf(events)
    .open()
    .filter((one) => !isOfRun(one));
  return [...shared, ...own];
}

/** What any run kept here, this one too, has bent of a cluster and not put right; without what is meant to stay. */
export const dueOf = (stateDir: string, inventory: Inventory, cluster: string): readonly string[] =>
  openIn(ledgersIn(stateDir, inventory, () => undefined))
    .filter((one) => one.cluster === cluster && isDue(one))
    .map(({ obligation }) => obligation);

/** True while another process is at the run. */
export function isUnderWay(stateDir: string, run: string): boolean {
  try {
    holdRun(stateDir, run)();
    return false;
  } catch (error) {
    return (error as { readonly code?: string }).code === 'guard.running';
  }
}

/** Closes an obligation in every run that has it open; one that is under way sees to it itself. */
export async function closeIn(
  stateDir: string,
  ledgers: readonly RunLedger[],
  obligation: string,
  by: string,
): Promise<void> {
  for (const { run, bends } of ledgers) {
    const one = ledgerOf(bends)
      .open()
      .find((open) => open.obligation === obligation);
    if (!one || isUnderWay(stateDir, run)) continue;
    const letGo = holdRun(stateDir, run);
    try {
      const journal = openJournal(stateDir, run);
      journal.append(closed(one, by));
      await journal.commit();
      journal.close();
    } finally {
      letGo();
    }
  }
}
