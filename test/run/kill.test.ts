import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { readJournal, runIds } from '../../engine/run/journal.ts';
import { drillbook, eventsOf, start } from '../cli/_drillbook.ts';
import type { Said } from '../cli/_drillbook.ts';
import { project } from './_engine.ts';
import type { Project } from './_engine.ts';

/** Every action adds a line to a file of its own name, so that what ran twice is seen. */
const mark = (name: string): string => `echo x >> {{dir}}/${name}`;

const PLAYBOOK = `
name: All constructs
vars: { greeting: hello }
plays:
  - name: first
    hosts: all
    tasks:
      - { name: one, shell: '${mark('one')}; echo {{greeting}}', register: said }
      - { name: state, copy: { dest: '{{dir}}/state', content: 'x' }, notify: restart }
      - { name: look, shell: 'cat {{dir}}/state', changed_when: false, register: seen }
      - { name: each, shell: '${mark('each-{{item}}')}; echo {{item}}', loop: [a, b, c], register: items }
      - block:
          - { name: breaks, shell: '${mark('breaks')}; false' }
        rescue:
          - { name: mended, shell: '${mark('mended')}' }
        always:
          - { name: tidy, shell: '${mark('tidy')}' }
      - { name: once, shell: '${mark('once')}; echo {{host.name}}', run_once: true, register: who }
      - flush:
      - { name: ignored, shell: '${mark('ignored')}; exit 3', ignore_errors: true, register: bad, notify: never }
      - name: uses
        when: said.stdout.trim() == "hello" && seen.stdout == "x" && bad.code == 3 && items.results[2].stdout.trim() == "c"
        shell: 'echo {{who.stdout}} >> {{dir}}/uses'
        notify: restart
    handlers:
      - { name: restart, shell: '${mark('restart')}', notify: after }
      - { name: after, shell: '${mark('after')}' }
      - { name: never, shell: '${mark('never')}' }
  - name: second
    hosts: all
    serial: 1
    tasks:
      - { name: last, shell: '${mark('last')}' }
`;

const HOSTS = ['a', 'b'];

const world = (book: Project): Record<string, string> =>
  Object.fromEntries(
    HOSTS.flatMap((host) =>
      readdirSync(join(book.dir, host))
        .toSorted()
        .map((file) => [`${host}/${file}`, readFileSync(join(book.dir, host, file), 'utf8')]),
    ),
  );

const args = (book: Project): string[] => [
  ...['run', book.playbook, '-i', book.inventory, '--state', book.state, '--output', 'jsonl'],
];

const again = (book: Project, ...more: string[]): Promise<Said> =>
  drillbook(['resume', '--state', book.state, '--output', 'jsonl', ...more]);

/** The journal as it is on the disk: what a resume knows. */
function kept(book: Project): readonly RunEvent[] {
  const [run] = runIds(book.state);
  if (run === undefined || !existsSync(join(book.state, 'runs', run, 'journal.sqlite'))) return [];
  const journal = readJournal(book.state, run);
  try {
    return [...journal.events()];
  } finally {
    journal.close();
  }
}

/** Counter files of actions that the journal says have ended when the run was killed. */
function endedActions(events: readonly RunEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.event === 'step_progress' && event.item !== undefined)
      return [`${event.host}/each-${['a', 'b', 'c'][event.item]}`];
    if (event.event !== 'step_finished' || event.module !== 'shell') return [];
    // Handlers run twice in a straight run too.
    return ['look', 'each', 'uses', 'restart', 'after'].includes(event.name)
      ? []
      : [`${event.host}/${event.name}`];
  });
}

/** Resumes a run that died to its end and holds the outcome against that of a run without interruption. */
async function mended(
  book: Project,
  goal: Readonly<Record<string, string>>,
  resume: (onInterrupt?: 'rerun') => Promise<{ code: number | null; events: readonly RunEvent[] }>,
): Promise<void> {
  const counted = world(book);
  const done = endedActions(kept(book));
  let said = await resume();
  const isInDoubt = said.code === 4;
  if (isInDoubt) {
    expect(said.events.some((event) => event.event === 'step_finished' && event.outcome === 'in_doubt')).toBe(
      true,
    );
    said = await resume('rerun');
  }
  expect(said.code).toBe(0);
  const now = world(book);
  for (const file of done) expect([file, now[file]]).toEqual([file, counted[file]]);
  // Only what was in doubt may have run once more, by decision; everything else is as in a straight run.
  const differing = Object.keys({ ...goal, ...now }).filter((file) => goal[file] !== now[file]);
  if (!isInDoubt) expect(differing).toEqual([]);
  expect(differing.length).toBeLessThanOrEqual(HOSTS.length);
  for (const file of differing) expect(now[file]?.length).toBe((goal[file] ?? '').length + 2);
}

async function straight(): Promise<{ goal: Record<string, string>; total: number }> {
  const book = project(PLAYBOOK, { hosts: HOSTS });
  const { code, events } = await book.go();
  expect(code).toBe(0);
  return { goal: world(book), total: events.length };
}

test('a run that dies at any boundary of its journal is resumed to the same end', async () => {
  const { goal, total } = await straight();
  expect(total).toBeGreaterThan(60);
  for (let n = 2; n <= total; n++) {
    const book = project(PLAYBOOK, { hosts: HOSTS });
    await book.die(n);
    if (kept(book).length === 0) continue; // Died before anything was done: there is nothing to resume.
    const [run] = runIds(book.state);
    await mended(book, goal, (onInterrupt) => book.go({ request: { onInterrupt } }, run));
  }
});

/** Numbers from 0 to 1 that are the same in every run of the test (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('a process killed at random instants is resumed to the same end', async () => {
  const { goal, total } = await straight();
  const random = seeded(20261121);
  const kills = Array.from({ length: 8 }, () => ({
    line: 1 + Math.floor(random() * total),
    delayMs: random() * 20,
  }));
  let killed = 0;
  for (const { line, delayMs } of kills) {
    const book = project(PLAYBOOK, { hosts: HOSTS });
    let lines = 0;
    const child = start(args(book), {
      onLine: () => {
        if (++lines === line) setTimeout(() => child.kill('SIGKILL'), delayMs);
      },
    });
    const { signal } = await child.ended;
    // It was faster than the signal, or had not begun.
    if (signal === null || kept(book).length === 0 || kept(book).some(({ event }) => event === 'run_finished')) continue;
    killed++;
    await mended(book, goal, async (onInterrupt) => {
      const said = await again(book, ...(onInterrupt === undefined ? [] : ['--on-interrupt', onInterrupt]));
      expect(said.stderr).toBe('');
      return { code: said.code, events: eventsOf(said) };
    });
  }
  expect(killed).toBeGreaterThan(2);
});

test('Ctrl-C lets the step in flight end, and the run can be resumed', async () => {
  const book = project(
    `
tasks:
  - { name: one, shell: 'sleep 0.3; ${mark('one')}' }
  - { name: two, shell: '${mark('two')}' }
`,
  );
  const child = start(args(book), {
    onLine: (line) => {
      if (line.includes('step_started')) child.kill('SIGINT');
    },
  });
  const said = await child.ended;
  expect(said.code).toBe(3);
  expect(said.stderr).toContain('once more stops at once');
  expect(eventsOf(said).map(({ event }) => event)).toContain('run_interrupted');
  expect(readdirSync(join(book.dir, 'a'))).toEqual(['one']);
  const then = await again(book);
  expect(then.code).toBe(0);
  expect(readFileSync(join(book.dir, 'a/one'), 'utf8')).toBe('x\n');
  expect(readFileSync(join(book.dir, 'a/two'), 'utf8')).toBe('x\n');
});

test('two processes cannot go on with one run at once', async () => {
  const book = project(`tasks: [{ name: one, shell: 'while ! test -e {{dir}}/go; do sleep 0.05; done' }]`);
  let intruder: Promise<Said> | undefined;
  const child = start(args(book), {
    onLine: (line) => {
      if (line.includes('step_started')) intruder ??= again(book);
    },
  });
  while (intruder === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  const refused = await intruder;
  book.write('a/go', '');
  expect(refused.code).toBe(5);
  expect(refused.stderr).toContain('is under way in another process');
  expect((await child.ended).code).toBe(0);
});
