import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { prepare } from '../../engine/cli/_prepare.ts';
import type { RunEvent } from '../../engine/core/event.ts';
import { Redactor } from '../../engine/core/secret.ts';
import type { Selection } from '../../engine/plan/selection.ts';
import { frozenStore } from '../../engine/run/edits/frozen.ts';
import { createJournal, newRunId, openJournal } from '../../engine/run/journal/journal.ts';
import type { Journal } from '../../engine/run/journal/journal.ts';
import { execute } from '../../engine/run/run.ts';
import type { RunRequest } from '../../engine/run/run.ts';
import { openTransport } from '../../engine/transports/open.ts';

export interface Wishes {
  /** Names of hosts on this machine, each with its own folder in the variable `dir`. */
  readonly hosts?: readonly string[];
  /** The whole inventory, instead of `hosts`. */
  readonly inventory?: string;
  /** Further files beside the playbook. */
  readonly files?: Readonly<Record<string, string>>;
  readonly given?: Readonly<Record<string, unknown>>;
  readonly selection?: Selection;
  readonly isCheck?: boolean;
  readonly request?: Partial<RunRequest>;
  readonly onEvent?: (event: RunEvent) => void;
}

export interface Ran {
  readonly code: number;
  readonly run: string;
  readonly events: readonly RunEvent[];
  /** One line for each step that ended in this part of the run: `first ok`, with `@host` where there are several. */
  readonly story: readonly string[];
}

/** A folder with a playbook and an inventory, gone when the test ends. */
export interface Project {
  readonly dir: string;
  readonly playbook: string;
  readonly inventory: string;
  readonly state: string;
  write(name: string, text: string): string;
  /** Runs the playbook as it is now; with `run`, resumes that run. */
  go(wishes?: Wishes, run?: string): Promise<Ran>;
  /** The same, dead before its n-th event: what is not on the disk then is lost, as when the process is killed. */
  die(n: number): Promise<void>;
}

/** `tasks:` of one play on all hosts, unless the text is a whole playbook. */
const whole = (text: string): string =>
  /^plays:/m.test(text)
    ? /^name:/m.test(text)
      ? text
      : `name: Test\n${text}`
    : `name: Test\nplays:\n  - hosts: all\n${text.replace(/^(?=.)/gm, '    ')}`;

export function localInventory(dir: string, hosts: readonly string[]): string {
  const rows = hosts.map((name) => `  ${name}: { vars: { dir: '${dir}/${name}' } }`);
  for (const name of hosts) mkdirSync(join(dir, name), { recursive: true });
  return `connection: { transport: local }\nvars: { log: '${dir}/log' }\nhosts:\n${rows.join('\n')}\n`;
}

const storyOf = (events: readonly RunEvent[]): string[] => {
  const ended = events.filter((event) => event.event === 'step_finished');
  const isOne = new Set(ended.map(({ host }) => host)).size <= 1;
  return ended.map(({ name, host, outcome }) => `${name}${isOne ? '' : `@${host}`} ${outcome}`);
};

const DEATH = new Error('the process is gone');

/** A journal whose process dies before its n-th event. */
function mortal(journal: Journal, n: number): Journal {
  let isDead = false;
  const orDie = (): void => {
    if (isDead) throw DEATH;
  };
  return {
    ...journal,
    get count() {
      return journal.count;
    },
    append(happening, real) {
      isDead ||= journal.count >= n - 1;
      orDie();
      return journal.append(happening, real);
    },
    async commit() {
      orDie();
      await journal.commit();
    },
  };
}

export function project(playbook: string, wishes: Wishes = {}): Project {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-run-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const write = (name: string, text: string): string => {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };
  const state = join(dir, 'state');
  const book = write('book.yml', whole(playbook));
  const inventory = write('inventory.yml', wishes.inventory ?? localInventory(dir, wishes.hosts ?? ['a']));
  for (const [name, text] of Object.entries(wishes.files ?? {})) write(name, text);
  const attempt = async (
    now: Wishes,
    run: string | undefined,
    death = Number.POSITIVE_INFINITY,
  ): Promise<Ran> => {
    const { given = {}, selection = {}, isCheck = false, request = {}, onEvent } = now;
    const redactor = new Redactor();
    const prepared = await prepare({ playbook: book, inventory, given, selection }, redactor);
    const whole =
      run === undefined
        ? createJournal(state, newRunId(new Date()), redactor)
        : openJournal(state, run, redactor);
    const journal = death === Number.POSITIVE_INFINITY ? whole : mortal(whole, death);
    const events: RunEvent[] = [];
    journal.subscribe((event) => {
      events.push(event);
      onEvent?.(event);
    });
    try {
      const code = await execute({
        ...prepared,
        frozen: frozenStore(state, whole.run),
        journal,
        open: openTransport,
        operator: 'tester',
        isCheck,
        interrupt: new AbortController().signal,
        options: { selection },
        ...request,
      });
      return { code, run: journal.run, events, story: storyOf(events) };
    } finally {
      if (journal === whole) journal.close();
    }
  };
  return {
    dir,
    playbook: book,
    inventory,
    state,
    write,
    go: (now = wishes, run) => attempt(now, run),
    async die(n) {
      await attempt(wishes, undefined, n).catch((error: unknown) => {
        if (error !== DEATH) throw error;
      });
      // What it had given to the disk before it died still gets there.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** Runs a playbook (or the `tasks:` of one play on all hosts) to its end. */
export const run = (playbook: string, wishes: Wishes = {}): Promise<Ran> => project(playbook, wishes).go();

/** The event of that kind and step name, with what the journal has of it. */
export function finished(ran: Ran, name: string, host?: string) {
  const found = ran.events.find(
    (event) =>
      event.event === 'step_finished' && event.name === name && (host === undefined || event.host === host),
  );
  if (found?.event !== 'step_finished') throw new Error(`no end of step ${name}: ${ran.story.join(', ')}`);
  return found;
}
