import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { prepare } from '../../engine/cli/_prepare.ts';
import { DrillbookError, Problems } from '../../engine/core/error.ts';
import type { RunEvent } from '../../engine/core/event.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { frozenStore } from '../../engine/run/edits/frozen.ts';
import { createJournal, newRunId } from '../../engine/run/journal/journal.ts';
import { execute } from '../../engine/run/run.ts';
import { openTransport } from '../../engine/transports/open.ts';
import type { Nodes } from './_nodes.ts';
import { storyOf } from './_pair.ts';
import type { Asked, Happened, Pair, Story } from './_pair.ts';

/** What an engine made of a pair, and all it said, for when they disagree. */
export interface Side {
  readonly story: Story;
  readonly said: string;
}

/**
 * Ansible's `raw` in place of its `shell`, which starts Python on the node and takes three times as long: to blocks,
 * loops, handlers and the rest of the language it makes no difference.
 */
const quick = (text: string, { isShell }: Pair): string =>
  isShell === true
    ? text
    : text.replaceAll('shell: MARK', 'raw: MARK').replaceAll("shell: 'MARK", "raw: 'MARK");

const indented = (text: string, by: number): string => text.replace(/^(?=.)/gm, ' '.repeat(by));
const isWhole = (text: string): boolean => /^(?:plays:|- hosts:|- name:[^\n]*\n {2}hosts:)/m.test(text);
const isPlay = (text: string): boolean => /^tasks:/m.test(text);

/** A whole playbook of ours, from a play's keywords or its tasks alone. */
function ourBook(text: string): string {
  if (/^plays:/m.test(text)) return /^name:/m.test(text) ? text : `name: Test\n${text}`;
  if (isWhole(text)) return `name: Test\nplays:\n${indented(text, 2)}`;
  const hosts = /^hosts:/m.test(text) ? '' : '    hosts: pair\n';
  const play = isPlay(text) ? indented(text, 4) : `    tasks:\n${indented(text, 6)}`;
  return `name: Test\nplays:\n  - name: Play\n${hosts}${play}`;
}

function theirBook(text: string): string {
  if (isWhole(text)) return text;
  const hosts = /^hosts:/m.test(text) ? '' : '  hosts: pair\n';
  const play = isPlay(text) ? indented(text, 2) : `  tasks:\n${indented(text, 4)}`;
  return `- name: Play\n${hosts}${play}`;
}

/** Without spaces, so that a command may name it. */
const folderOf = ({ name }: Pair, nodes: Nodes, side: string): string =>
  join(nodes.folder, name.replace(/\W+/g, '-'), side);

/** A folder with the playbook; what MARK leaves is in its file `trace`. */
function lay(folder: string, book: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  const mark = join(folder, 'mark');
  const trace = join(folder, 'trace');
  writeFileSync(
    mark,
    `#!/bin/sh\nword=$1; shift\nprintf '%s@%s%s\\n' "$word" "$NODE" "\${*:+ $*}" >> ${trace}\n`,
  );
  chmodSync(mark, 0o755);
  // A user that is become appends to it too.
  writeFileSync(trace, '');
  chmodSync(trace, 0o666);
  for (const [name, text] of Object.entries({ ...files, 'book.yml': book })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(
      join(folder, name),
      text.replaceAll('MARK', mark).replaceAll('FOLDER', folder).replaceAll('{{trace}}', trace),
    );
  }
}

const linesOf = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];

const OUR_EXITS: Readonly<Record<number, string>> = { 0: 'done', 1: 'failed' };

/** What `drillbook run --output jsonl` does, in this process. */
async function eventsOf(folder: string, inventory: string, asked: Asked): Promise<[number, RunEvent[]]> {
  const { extra = {}, isCheck = false, ...selection } = asked;
  const redactor = new Redactor();
  const playbook = join(folder, 'book.yml');
  const prepared = await prepare({ playbook, inventory, given: extra, selection }, redactor);
  const state = join(folder, 'state');
  const journal = createJournal(state, newRunId(new Date()), redactor);
  const events: RunEvent[] = [];
  journal.subscribe((event) => events.push(event));
  try {
    const code = await execute({
      ...prepared,
      ...{ journal, isCheck, open: openTransport, operator: 'tester', options: { selection } },
      frozen: frozenStore(state, journal.run),
      interrupt: new AbortController().signal,
    });
    return [code, events];
  } finally {
    journal.close();
  }
}

export async function runOurs(pair: Pair, nodes: Nodes): Promise<Side> {
  const folder = folderOf(pair, nodes, 'ours');
  lay(folder, ourBook(pair.ours), pair.files ?? {});
  const inventory = pair.hasGone === true ? nodes.withGone : nodes.inventories;
  const happened: Happened[] = [];
  const forgiven: Record<string, number> = {};
  const names = new Map<string, string>();
  try {
    const [code, events] = await eventsOf(folder, inventory.ours, pair.asked ?? {});
    for (const event of events) {
      if (event.event === 'step_started') names.set(event.step, event.name);
      if (event.event === 'step_progress' && event.outcome !== undefined) {
        const item = event.result?.['item'];
        happened.push({ task: names.get(event.step) ?? '', host: event.host, outcome: event.outcome, item });
      }
      if (event.event !== 'step_finished') continue;
      happened.push({ task: event.name, host: event.host, outcome: event.outcome });
      if (event.isForgiven) forgiven[event.host] = (forgiven[event.host] ?? 0) + 1;
    }
    const trace = linesOf(join(folder, 'trace'));
    const story = storyOf(happened, trace, forgiven, OUR_EXITS[code] ?? `code ${code}`);
    return { story, said: events.map((event) => JSON.stringify(event)).join('\n') };
  } catch (error) {
    if (!(error instanceof DrillbookError || error instanceof Problems)) throw error;
    const problems = error instanceof Problems ? error.problems : [error];
    const said = problems.map(({ message, hint = '' }) => `${message}: ${hint}`).join('\n');
    return { story: storyOf([], linesOf(join(folder, 'trace')), {}, 'refused'), said };
  }
}

/** Ansible's: 1 and 5 are errors and wrong usage before or in the run, 2 and 4 are failed and unreachable hosts. */
const THEIR_EXITS: Readonly<Record<number, string>> = {
  0: 'done',
  2: 'failed',
  4: 'failed',
  1: 'refused',
  5: 'refused',
};

type Told = Happened | { readonly host: string; readonly forgiven: number };

function readTheirs(folder: string, code: number): Side {
  const told = linesOf(join(folder, 'trail')).map((line) => JSON.parse(line) as Told);
  const happened = told.flatMap((line) => ('task' in line ? [line] : []));
  const forgiven = Object.fromEntries(
    told.flatMap((line) => ('forgiven' in line ? [[line.host, line.forgiven]] : [])),
  );
  const said = linesOf(join(folder, 'said')).join('\n');
  // A playbook that does not parse ends with the code of an unreachable host.
  const exit = code === 4 && told.length === 0 ? 'refused' : (THEIR_EXITS[code] ?? `code ${code}`);
  return { story: storyOf(happened, linesOf(join(folder, 'trace')), forgiven, exit), said };
}

const argumentsOf = ({ limit, tags, skipTags, startAt, extra, isCheck }: Asked): string[] => [
  ...(limit === undefined ? [] : ['--limit', limit]),
  ...(tags === undefined ? [] : ['--tags', tags.join(',')]),
  ...(skipTags === undefined ? [] : ['--skip-tags', skipTags.join(',')]),
  ...(startAt === undefined ? [] : ['--start-at-task', startAt]),
  ...(extra === undefined ? [] : ['-e', JSON.stringify(extra)]),
  ...(isCheck === true ? ['--check'] : []),
];

/** Starts Ansible on all pairs; each result is there when its playbook has ended. */
export function startTheirs(pairs: readonly Pair[], nodes: Nodes): ReadonlyMap<string, Promise<Side>> {
  const jobs = pairs.map((pair) => {
    const folder = folderOf(pair, nodes, 'theirs');
    const book = quick(theirBook(pair.theirs ?? pair.ours), pair);
    const files = Object.entries({ ...pair.files, ...pair.theirFiles });
    lay(folder, book, Object.fromEntries(files.map(([name, text]) => [name, quick(text, pair)])));
    const inventory = pair.hasGone === true ? nodes.withGone : nodes.inventories;
    return {
      name: pair.name,
      arguments: ['-i', inventory.theirs, 'book.yml', ...argumentsOf(pair.asked ?? {})],
      folder,
      trail: join(folder, 'trail'),
    };
  });
  const child = spawn('/usr/bin/python3', [join(import.meta.dirname, 'ansible/drive.py')], {
    env: { ...process.env, ...nodes.env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waits = new Map(pairs.map(({ name }) => [name, Promise.withResolvers<Side>()] as const));
  // Each is awaited by its own test, perhaps later.
  for (const { promise } of waits.values()) promise.catch(() => undefined);
  const folders = new Map(jobs.map(({ name, folder }) => [name, folder]));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { name, code } = JSON.parse(line) as { name: string; code: number };
    waits.get(name)?.resolve(readTheirs(folders.get(name) ?? '', code));
  });
  child.on('close', (code) => {
    for (const [name, wait] of waits) wait.reject(new Error(`Ansible ended (${code}) before ${name}`));
  });
  child.stdin.end(JSON.stringify({ jobs }));
  return new Map([...waits].map(([name, { promise }]) => [name, promise]));
}
