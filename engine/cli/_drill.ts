import { settingsProblems } from '../cluster/stacks.ts';
import { durationText } from '../core/duration.ts';
import type { Cluster, Host } from '../core/host.ts';
import { holdDrill, isDrillOver } from '../drill/hold.ts';
import { checkNodes, loadDrill, playbookOf } from '../drill/load.ts';
import { perform } from '../drill/perform.ts';
import { drillDir, keep, keepRecord, ledgerCsv } from '../drill/record.ts';
import type { DrillEvent, DrillRecord } from '../drill/record.ts';
import { labWith } from '../lab/owner.ts';
import { absoluteSpec, loadInventory } from '../parse/inventory.ts';
import type { Inventory } from '../parse/inventory.ts';
import { harmless } from '../report/text.ts';
import { connections } from '../run/connections.ts';
import { createJournal, hasReleased, newRunId } from '../run/journal/journal.ts';
import type { Journal } from '../run/journal/journal.ts';
import { clusterLocks } from '../run/lock/cluster-lock.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { openTransport } from '../transports/open.ts';
import type { Invocation } from './_command.ts';
import { contextsOf } from './_contexts.ts';
import { confirmDrill } from './_drill-confirm.ts';
import { drillWriter } from './_drill-formats.ts';
import { writeOut } from './_formats.ts';
import { executeWithView, operatorHere } from './_execute.ts';
import { keysOf } from './_keys.ts';
import type { Keys } from './_keys.ts';
import { oneCluster } from './_one-cluster.ts';
import { passwordsOf, withPasswords } from './_passwords.ts';
import type { Passwords } from './_passwords.ts';
import { prepare } from './_prepare.ts';
import type { Prepared } from './_prepare.ts';

/** A node that is struck is not waited for as long as in a run. */
const CONNECT_MS = 3000;

/** A playbook of the drill, in this process: the drill was confirmed as a whole. */
async function runPlaybook(
  invocation: Invocation,
  prepared: Prepared,
): Promise<{ readonly id: string; readonly exitCode: number }> {
  const { redactor, stateDir, options, output } = invocation;
  const id = newRunId(new Date());
  const journal = createJournal(stateDir, id, redactor);
  const exitCode = await executeWithView({
    // What a machine reads of the drill is not mixed with what its playbooks say.
    ...{ prepared, journal, isCheck: false, options: { selection: {} } },
    invocation: { ...invocation, output: 'plain', options: { ...options, yes: prepared.plan.code } },
    out: output === 'plain' || output === 'live' ? process.stdout : process.stderr,
  });
  return { id, exitCode };
}

function lineOf(event: DrillEvent): string {
  switch (event.event) {
    case 'phase':
      return `— ${event.phase}`;
    case 'fault':
      return `${event.fault}: ${event.state}`;
    case 'seen':
      return `${event.node}: ${event.role}, ${event.vips.length > 0 ? `VIP ${event.vips.join(', ')}` : 'no VIP'}, replication ${event.replication}`;
    case 'check':
      return `${event.isMet ? 'happened' : 'did not happen'} after ${durationText(event.tookMs)}: ${event.name}`;
    case 'playbook':
      return `${event.run}: ${event.state}`;
  }
}

function teller({ output, redactor }: Invocation, drill: string): (event: DrillEvent) => void {
  return (event) => {
    if (output === 'jsonl') process.stdout.write(`${JSON.stringify(redactor.value({ drill, ...event }))}\n`);
    else if (output !== 'json')
      process.stdout.write(
        `${(event.ms / 1000).toFixed(1).padStart(7)}  ${harmless(redactor.text(lineOf(event)))}\n`,
      );
  };
}

/** How the pair is locked for the drill, and let go again. */
function locking(
  invocation: Invocation,
  {
    id,
    operator,
    cluster,
    inventory,
  }: { id: string; operator: string; cluster: Cluster; inventory: Inventory },
): { lock(): Promise<() => Promise<void>>; close(): Promise<void> } {
  const { redactor, stateDir } = invocation;
  const pool = connections((host) => openTransport(host, { redactor }), redactor);
  return {
    close: () => pool.close(),
    async lock() {
      const isOver = (run: string): boolean => hasReleased(stateDir, run) || isDrillOver(stateDir, run);
      // What a drill does is in its own record.
      const append: Journal['append'] = (event) => ({
        ...event,
        run: id,
        seq: 0,
        at: new Date().toISOString(),
      });
      const journal = { run: id, append };
      const locks = clusterLocks([cluster], inventory, { journal, operator, hasReleased: isOver });
      await locks.take(pool);
      return () => locks.release(pool).finally(locks.stop);
    },
  };
}

/** The inventory as a drill goes by it. */
async function inventoryFor(spec: string, keys: Keys, passwords: Passwords): Promise<Inventory> {
  const read = await withKeys(keys, () => loadInventory(spec, keys.loading));
  const inventory = withPasswords(read, passwords);
  const [wrong] = await settingsProblems(inventory);
  if (wrong !== undefined) throw wrong;
  const hosts = [...inventory.hosts].map(([name, host]): [string, Host] => {
    const connectTimeoutMs = Math.min(CONNECT_MS, host.connection.connectTimeoutMs ?? CONNECT_MS);
    return [name, { ...host, connection: { ...host.connection, connectTimeoutMs } }];
  });
  return { ...inventory, hosts: new Map(hosts) };
}

/** Carries a drill out, keeps what came of it, and tells the exit code. */
export async function carryOut(invocation: Invocation, file: string, given: string): Promise<number> {
  const { options, redactor, signal, stateDir, output } = invocation;
  const out = typeof options['out'] === 'string' ? options['out'] : undefined;
  const write = out === undefined ? undefined : drillWriter(undefined, out);
  const keys = keysOf({ options }, redactor);
  const drill = await withKeys(keys, () => loadDrill(file, keys.loading));
  const spec = absoluteSpec([given]);
  const passwords = await passwordsOf({ options, redactor });
  const inventory = await inventoryFor(spec, keys, passwords);
  const { hosts } = inventory;
  const asked = typeof options['cluster'] === 'string' ? options['cluster'] : undefined;
  const written = oneCluster(inventory.clusters, asked, 'give one with --cluster');
  checkNodes(drill, written);
  const plan = (playbook: string, inputs: Readonly<Record<string, unknown>>): Promise<Prepared> => {
    const whole = { playbook, inventory: spec, given: inputs, selection: {}, passwords };
    return prepare(whole, redactor, undefined, undefined, keysOf({ options }, redactor));
  };
  // What is wrong with a playbook is told before any harm is done.
  const plans: Prepared[] = [];
  for (const { run, with: inputs = {} } of drill.then) plans.push(await plan(playbookOf(drill, run), inputs));
  const addresses = written.nodes.map((node) => hosts.get(node)?.connection.address ?? node);
  if ((await labWith(addresses)) === undefined) await confirmDrill(drill, written, plans, invocation);
  // Not ended by the first Ctrl-C: what is in force has to be healed.
  const contexts = contextsOf(inventory, redactor, new AbortController().signal);
  const cluster = contexts.on(written.nodes[0] ?? '').cluster ?? written;
  const id = newRunId(new Date());
  const operator = typeof options['operator'] === 'string' ? options['operator'] : operatorHere();
  const letGo = holdDrill(stateDir, id);
  const locks = locking(invocation, { id, operator, cluster, inventory });
  if (output !== 'json') process.stderr.write(`drill ${id}\n`);
  try {
    const { record, written: rows } = await perform({
      ...{ drill, id, cluster, hosts, operator, inventory: spec, dir: drillDir(stateDir, id) },
      ...{ lock: locks.lock, on: contexts.on, interrupt: signal, tell: teller(invocation, id) },
      open: (host) => openTransport(host, { redactor }),
      run: async (playbook, inputs) => runPlaybook(invocation, await plan(playbook, inputs)),
    });
    const shown = redactor.value(record);
    keepRecord(stateDir, shown);
    if (rows) keep(stateDir, id, 'ledger.csv', ledgerCsv(rows));
    tellEnd(shown, output);
    if (write !== undefined) writeOut(await write(shown), out);
    return record.exitCode;
  } finally {
    await Promise.all([contexts.close(), locks.close()]);
    letGo();
  }
}

function tellEnd(record: DrillRecord, output: Invocation['output']): void {
  if (output === 'json') process.stdout.write(`${JSON.stringify(record, undefined, 2)}\n`);
  else if (output === 'jsonl')
    process.stdout.write(`${JSON.stringify({ event: 'drill_finished', ...record })}\n`);
  else process.stdout.write(`${harmless([...endLines(record)].join('\n'))}\n`);
}

function* endLines({ measures, outcome, exitCode, reasons }: DrillRecord): Generator<string> {
  yield '';
  if (measures) {
    const {
      rtoMs,
      rpo,
      rpoBeforeHeal,
      detectMs,
      promoteMs,
      vipMs,
      acknowledged,
      rate,
      duplicates,
      errors,
      isServing,
    } = measures;
    const time = (ms: number | null): string => (ms === null ? '–' : `${(ms / 1000).toFixed(1)} s`);
    const meanwhile = rpoBeforeHeal ? `, ${rpoBeforeHeal.rows} missing before the fault was healed` : '';
    yield `RTO ${isServing ? '' : 'at least '}${time(rtoMs)}  RPO ${rpo.rows} rows${rpo.rows > 0 ? ` (${time(rpo.ms)})` : ''}${meanwhile}`;
    yield `detected ${time(detectMs)}  promoted ${time(promoteMs)}  reached by the VIP ${time(vipMs)}`;
    yield `${acknowledged} rows acknowledged at ${rate.toFixed(0)} a second, ${duplicates} written twice`;
    yield `what clients heard: ${
      Object.entries(errors)
        .map(([word, count]) => `${word} ${count}×`)
        .join(', ') || 'no errors'
    }`;
  }
  for (const reason of reasons) yield reason;
  yield `${outcome.replace('_', ' ')} · exit code ${exitCode}`;
}
