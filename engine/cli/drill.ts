import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { durationText } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Drill } from '../drill/load.ts';
import type { DrillEvent, DrillRecord } from '../drill/record.ts';
import { kindOf } from '../drill/schema.ts';
import { harmless } from '../report/text.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { terminalAsk } from './_ask.ts';
import { drillText, formatOf } from './_drill-formats.ts';
import { command } from './_command.ts';
import type { Invocation } from './_command.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';
import { PASSWORD_HELP, PASSWORD_OPTIONS, passwordsOf, withPasswords } from './_passwords.ts';

/** A node that is struck is not waited for as long as in a run. */
const CONNECT_MS = 3000;

function clusterNamed(clusters: ReadonlyMap<string, Cluster>, name: unknown): Cluster {
  const [first, second] = clusters.values();
  const found = typeof name === 'string' ? clusters.get(name) : second ? undefined : first;
  if (found !== undefined) return found;
  throw new DrillbookError(
    'usage.cluster',
    typeof name === 'string' ? `\`${name}\` is no cluster of the inventory` : 'which cluster?',
    { hint: `give one with --cluster: ${[...clusters.keys()].join(', ') || 'the inventory has none'}` },
  );
}

const sentence = (drill: Drill, cluster: Cluster): string =>
  `${drill.name}: ${drill.faults
    .map(
      (fault) =>
        `${kindOf(fault).kind.replace('_', ' ')} of ${kindOf(fault).on} for ${durationText(fault.for)}`,
    )
    .join(', ')}, on ${cluster.name} (${cluster.nodes.join(', ')}), which is no lab.`;

/** A playbook of the drill, in this process: the drill was confirmed as a whole. */
async function runPlaybook(
  invocation: Invocation,
  playbook: string,
  given: Readonly<Record<string, unknown>>,
): Promise<{ readonly id: string; readonly exitCode: number }> {
  const { redactor, stateDir, options, output } = invocation;
  const [{ prepare }, { executeWithView }, { createJournal, newRunId }] = await Promise.all([
    import('./_prepare.ts'),
    import('./_execute.ts'),
    import('../run/journal/journal.ts'),
  ]);
  const { absoluteSpec } = await import('../parse/inventory.ts');
  const keys = keysOf({ options }, redactor);
  const inventory = absoluteSpec([String(options['inventory'])]);
  const passwords = await passwordsOf({ options, redactor });
  const asked = { playbook, inventory, given, selection: {}, passwords };
  const prepared = await prepare(asked, redactor, undefined, undefined, keys);
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

/** Outside a lab the operator says that it is meant. */
async function confirm(drill: Drill, cluster: Cluster, yes: unknown): Promise<void> {
  const question = sentence(drill, cluster);
  const code = createHash('sha256')
    .update(JSON.stringify([drill.name, drill.faults, cluster.name, cluster.nodes]))
    .digest('hex')
    .slice(0, 6);
  const ask = terminalAsk();
  const given =
    typeof yes === 'string' ? yes : await ask?.(`${harmless(question)}\nType the code ${code} to go on: `);
  if (given?.trim() === code) return;
  throw new DrillbookError(
    'guard.confirmation',
    `this drill ${given === undefined ? 'has to be confirmed' : 'was not confirmed: the code is wrong'}: ${question}`,
    { hint: `read it, then give --yes ${code}` },
  );
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

export default command({
  summary: 'carry out a drill: a fault on purpose, and what it costs in time and rows',
  usage: 'FILE -i INVENTORY [--out PAGE]',
  options: {
    inventory: { type: 'string', short: 'i', multiple: true },
    cluster: { type: 'string' },
    out: { type: 'string', short: 'o' },
    yes: { type: 'string' },
    operator: { type: 'string' },
    ...PASSWORD_OPTIONS,
    ...KEY_OPTIONS,
  },
  help: {
    inventory: 'hosts, groups and clusters',
    cluster: 'which pair, where the inventory has several',
    out: 'write the report there too: .html, .json, .xml (JUnit) or .csv',
    yes: 'the code that confirms a drill outside a lab',
    operator: 'who carries it out, for the record',
    ...PASSWORD_HELP,
    ...KEY_HELP,
  },
  async run(invocation) {
    const { positionals, options, redactor, signal, stateDir, output } = invocation;
    const [file, surplus] = positionals;
    const spec = options['inventory'];
    if (file === undefined || surplus !== undefined)
      throw new DrillbookError(
        'usage.drill',
        file === undefined ? 'which drill?' : `one drill at a time; \`${surplus ?? ''}\` is one too many`,
      );
    if (typeof spec !== 'string')
      throw new DrillbookError('usage.inventory', 'which inventory?', { hint: 'give it with -i' });
    const [
      { loadInventory, absoluteSpec },
      stacks,
      { contextsOf },
      { loadDrill },
      { perform },
      records,
      { labWith },
      { newRunId },
      { openTransport },
      { operatorHere },
    ] = await Promise.all([
      import('../parse/inventory.ts'),
      import('../cluster/stacks.ts'),
      import('./_contexts.ts'),
      import('../drill/load.ts'),
      import('../drill/perform.ts'),
      import('../drill/record.ts'),
      import('../lab/owner.ts'),
      import('../run/journal/journal.ts'),
      import('../transports/open.ts'),
      import('./_execute.ts'),
    ]);
    if (typeof options['out'] === 'string') formatOf(undefined, options['out']);
    const keys = keysOf({ options }, redactor);
    const drill = await withKeys(keys, () => loadDrill(file, keys.loading));
    const read = withPasswords(
      await withKeys(keys, () => loadInventory(spec, keys.loading)),
      await passwordsOf({ options, redactor }),
    );
    const [wrong] = await stacks.settingsProblems(read);
    if (wrong !== undefined) throw wrong;
    const hosts = new Map(
      [...read.hosts].map(([name, host]) => {
        const connectTimeoutMs = Math.min(CONNECT_MS, host.connection.connectTimeoutMs ?? CONNECT_MS);
        return [name, { ...host, connection: { ...host.connection, connectTimeoutMs } }] as const;
      }),
    );
    const inventory = { ...read, hosts };
    const written = clusterNamed(inventory.clusters, options['cluster']);
    const addresses = written.nodes.map((node) => hosts.get(node)?.connection.address ?? node);
    if ((await labWith(addresses)) === undefined) await confirm(drill, written, options['yes']);
    // Not ended by the first Ctrl-C: what is in force has to be healed.
    const contexts = contextsOf(inventory, redactor, new AbortController().signal);
    const cluster = contexts.on(written.nodes[0] ?? '').cluster ?? written;
    const id = newRunId(new Date());
    const dir = records.drillDir(stateDir, id);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (output !== 'json') process.stderr.write(`drill ${id}\n`);
    try {
      const { record, written: rows } = await perform({
        ...{ drill, id, cluster, hosts, dir, inventory: absoluteSpec([spec]) },
        operator: typeof options['operator'] === 'string' ? options['operator'] : operatorHere(),
        on: contexts.on,
        open: (host) => openTransport(host, { redactor }),
        interrupt: signal,
        tell: teller(invocation, id),
        run: (playbook, inputs) => runPlaybook(invocation, playbook, inputs),
      });
      const shown = redactor.value(record);
      records.keepRecord(stateDir, shown);
      if (rows) records.keep(stateDir, id, 'ledger.csv', records.ledgerCsv(rows));
      tellEnd(shown, output);
      if (typeof options['out'] === 'string')
        writeFileSync(options['out'], await drillText(shown, formatOf(undefined, options['out'])), {
          mode: 0o600,
        });
      return record.exitCode;
    } finally {
      await contexts.close();
    }
  },
});

function tellEnd(record: DrillRecord, output: Invocation['output']): void {
  if (output === 'json') process.stdout.write(`${JSON.stringify(record, undefined, 2)}\n`);
  else if (output === 'jsonl')
    process.stdout.write(`${JSON.stringify({ event: 'drill_finished', ...record })}\n`);
  else process.stdout.write(`${harmless([...endLines(record)].join('\n'))}\n`);
}

function* endLines({ measures, outcome, exitCode, reasons }: DrillRecord): Generator<string> {
  yield '';
  if (measures) {
    const { rtoMs, rpo, detectMs, promoteMs, vipMs, acknowledged, rate, duplicates, errors } = measures;
    const time = (ms: number | null): string => (ms === null ? '–' : `${(ms / 1000).toFixed(1)} s`);
    yield `RTO ${time(rtoMs)}  RPO ${rpo.rows} rows${rpo.rows > 0 ? ` (${time(rpo.ms)})` : ''}`;
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
