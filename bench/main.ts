import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openFleet, type Fleet } from './fleet.ts';
import { diskFolder, journalSteps, longFigures } from './journal.ts';
import { has, install, peakMb, stopRunning, timed, type Side } from './shell.ts';
import { drillbook, LINT_ALL, oneStep, sidesFor } from './sides.ts';

type Peer = 'floor' | 'ansible' | 'node';
type SideName = 'drillbook' | 'floor' | 'ansible';

interface Case {
  readonly name: string;
  readonly unit: 's' | 'ms' | 'MB';
  readonly value: number;
  readonly samples: readonly number[];
  /** Our value divided by theirs. */
  readonly vs: Partial<Record<Peer, number>>;
}

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    hosts: { type: 'string', default: '1,2,10' },
    rounds: { type: 'string', default: '5' },
    delay: { type: 'string', default: '0' },
    without: { type: 'string', multiple: true, default: [] },
    only: { type: 'string' },
  },
});

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

function caseOf(
  name: string,
  unit: Case['unit'],
  ours: readonly number[],
  theirs: Partial<Record<Peer, readonly number[]>>,
): Case {
  const value = median(ours);
  const ratios = Object.entries(theirs).filter(([, samples]) => samples.length > 0);
  const vs = Object.fromEntries(ratios.map(([peer, samples]) => [peer, round(value / median(samples))]));
  const told = ratios.map(
    ([peer, samples]) => `${peer} ${round(median(samples))} (ratio ${round(value / median(samples))})`,
  );
  say(`  ${name}: ${round(value)} ${unit}${told.length > 0 ? ` · ${told.join(' · ')}` : ''}`);
  return { name, unit, value: round(value), samples: ours.map((sample) => round(sample)), vs };
}

/** Everything below a folder as one digest: paths, kinds, modes, contents. */
function digestOf(folder: string): string {
  const hash = createHash('sha256');
  const visit = (path: string): void => {
    for (const name of readdirSync(path).sort()) {
      const at = join(path, name);
      const stat = lstatSync(at);
      const content = stat.isSymbolicLink() ? readlinkSync(at) : stat.isFile() ? readFileSync(at) : '';
      hash
        .update(`${at} ${stat.mode.toString(8)} `)
        .update(content)
        .update('\n');
      if (stat.isDirectory()) visit(at);
    }
  };
  visit(folder);
  return hash.digest('hex');
}

const UNCHANGED: Readonly<Record<SideName, (output: string) => boolean>> = {
  drillbook: (output) => !/WHAT CHANGED|^ {2}changed /m.test(output),
  ansible: (output) => !/changed=[1-9]/.test(output),
  floor: () => true,
};

/** Interleaved runs of all sides; each leaves the same files, and finds all in order the second time. */
async function fleetCases(
  fleet: Fleet,
  count: number,
  rounds: number,
  peers: readonly ('floor' | 'ansible')[],
): Promise<Case[]> {
  const sides = sidesFor(fleet, count);
  const names: readonly SideName[] = ['drillbook', ...peers];
  const first: Record<SideName, number[]> = { drillbook: [], floor: [], ansible: [] };
  const again: Record<SideName, number[]> = { drillbook: [], floor: [], ansible: [] };
  // Ansible is so much slower that its samples are few.
  const wanted = (name: SideName): number =>
    name === 'ansible' ? Math.min(rounds, count > 4 ? 1 : 3) : rounds;
  for (let turn = 0; turn < rounds; turn++) {
    const digests = new Map<SideName, string>();
    for (const name of names.filter((side) => turn < wanted(side))) {
      fleet.reset();
      first[name].push((await timed(sides[name])).seconds);
      digests.set(name, digestOf(join(fleet.folder, 'hosts')));
      const second = await timed(sides[name]);
      again[name].push(second.seconds);
      if (!UNCHANGED[name](second.output))
        throw new Error(`${name} changed something in its second run:\n${second.output}`);
    }
    if (new Set(digests.values()).size > 1)
      throw new Error(`the sides left different files: ${JSON.stringify([...digests])}`);
  }
  fleet.reset();
  const memory: Partial<Record<SideName, number>> = {};
  for (const name of names) memory[name] = await peakMb(sides[name]);
  const theirs = (samples: Readonly<Record<SideName, readonly number[]>>) => ({
    floor: samples.floor,
    ansible: samples.ansible,
  });
  const peak = (name: SideName): readonly number[] => (memory[name] === undefined ? [] : [memory[name]]);
  return [
    caseOf(`tasks-30-hosts-${count}`, 's', first.drillbook, theirs(first)),
    caseOf(`tasks-30-hosts-${count}-again`, 's', again.drillbook, theirs(again)),
    caseOf(`memory-hosts-${count}`, 'MB', peak('drillbook'), {
      floor: peak('floor'),
      ansible: peak('ansible'),
    }),
  ];
}

/** Whole processes that touch no host but this one: what an operator waits for before anything happens. */
async function startCases(rounds: number, hasAnsible: boolean): Promise<Case[]> {
  const node: Side = { command: [process.execPath, '-e', '0'] };
  const ansible: Side = { command: ['ansible', '--version'] };
  const samples = {
    version: [] as number[],
    lint: [] as number[],
    run: [] as number[],
    node: [] as number[],
    ansible: [] as number[],
  };
  const folder = diskFolder();
  const one = oneStep(folder.path);
  // The first turn of each is not counted: it fills the compile cache.
  for (const side of [drillbook('--version'), LINT_ALL, one]) await timed(side);
  for (let turn = 0; turn < rounds; turn++) {
    samples.version.push((await timed(drillbook('--version'))).seconds);
    samples.lint.push((await timed(LINT_ALL)).seconds);
    samples.run.push((await timed(one)).seconds);
    samples.node.push((await timed(node)).seconds);
    if (hasAnsible) samples.ansible.push((await timed(ansible)).seconds);
  }
  folder.remove();
  return [
    caseOf('version', 's', samples.version, { node: samples.node, ansible: samples.ansible }),
    caseOf('lint', 's', samples.lint, { node: samples.node }),
    caseOf('run-one-local-step', 's', samples.run, { node: samples.node }),
  ];
}

/** What the journal costs a step, and what it takes to go on with a long run. */
async function journalCases(rounds: number): Promise<Case[]> {
  const folder = diskFolder();
  try {
    const steps = await journalSteps(folder.path);
    const { runMb, resumeMb, resumeSeconds } = await longFigures(folder.path, rounds);
    return [
      caseOf('journal-step-ms', 'ms', steps, {}),
      caseOf('resume-100k-s', 's', resumeSeconds, {}),
      caseOf('resume-100k-mb', 'MB', [resumeMb], {}),
      caseOf('run-100k-mb', 'MB', [runMb], {}),
    ];
  } finally {
    folder.remove();
  }
}

function prepare(): { readonly isReady: boolean; readonly hasAnsible: boolean } {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    say('the benchmark needs Linux and root: it makes a network namespace with an sshd');
    return { isReady: false, hasAnsible: false };
  }
  const needed = { ip: 'iproute2', '/usr/sbin/sshd': 'openssh-server', 'ssh-keygen': 'openssh-client' };
  const missing = Object.entries(needed).flatMap(([program, name]) => (has(program) ? [] : [name]));
  if (missing.length > 0 && !install(...missing)) {
    say(`missing and not installable here: ${missing.join(', ')}`);
    return { isReady: false, hasAnsible: false };
  }
  if (values.without.includes('ansible')) return { isReady: true, hasAnsible: false };
  return { isReady: true, hasAnsible: has('ansible-playbook') || install('ansible-core') };
}

const machineText = (): string => {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, Linux ${release()}, Node ${process.versions.node}`;
};

function report(machine: string, missing: readonly string[], cases: readonly Case[]): void {
  const text = `${JSON.stringify({ machine, delayMs: Number(values.delay), missing, cases }, null, 2)}\n`;
  if (values.json === undefined) process.stdout.write(text);
  else writeFileSync(values.json, text);
}

async function main(): Promise<number> {
  if (values.only !== undefined && !['journal', 'start'].includes(values.only)) {
    say('--only journal and --only start are all that can be measured by themselves');
    return 2;
  }
  if (values.only === 'start') {
    report(machineText(), [], await startCases(Math.max(Number(values.rounds), 5), has('ansible')));
    return 0;
  }
  if (values.only === 'journal') {
    report(machineText(), [], await journalCases(Number(values.rounds)));
    return 0;
  }
  const { isReady, hasAnsible } = prepare();
  if (!isReady) return 2;
  const counts = values.hosts.split(',').map(Number);
  const rounds = Number(values.rounds);
  if (![rounds, ...counts].every((number) => Number.isInteger(number) && number > 0)) {
    say('--hosts wants numbers such as 1,2,10, --rounds a number');
    return 2;
  }
  if (!hasAnsible) say('missing: ansible (no comparison with it)');
  const fleet = await openFleet(Math.max(...counts), Number(values.delay));
  const leave = (): void => {
    stopRunning();
    fleet.remove();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      leave();
      process.exit(130);
    });
  }
  try {
    const machine = machineText();
    say(
      `${machine}${values.delay === '0' ? '' : `, ${values.delay} ms of delay`}; medians of ${rounds}, whole processes`,
    );
    const cases = await startCases(Math.max(rounds, 5), hasAnsible);
    for (const count of counts)
      cases.push(...(await fleetCases(fleet, count, rounds, hasAnsible ? ['floor', 'ansible'] : ['floor'])));
    cases.push(...(await journalCases(rounds)));
    report(machine, hasAnsible ? [] : ['ansible'], cases);
    return 0;
  } finally {
    leave();
  }
}

process.exitCode = await main();
