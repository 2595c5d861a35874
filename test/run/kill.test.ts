import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drillbook, eventsOf, start } from '../cli/_drillbook.ts';
import type { Said } from '../cli/_drillbook.ts';
import { startSshd } from '../transports/_sshd.ts';
import type { Sshd } from '../transports/_sshd.ts';
import { project } from './_engine.ts';
import type { Project } from './_engine.ts';
import { isFull } from '../_full.ts';
import { begin, byLocal, bySsh, constructs, forget, kept, median, report, resume } from './_matrix.ts';
import { seeded, sideBySide, straight, wrongs } from './_matrix.ts';
import type { Died, Goal } from './_matrix.ts';

/** What an operator may wait for a resume to go on, in milliseconds. */
const READY_MS = 5000;
/** Of so many boundaries a test takes one; `npm run matrix` all. */
const EVERY = 40;
const LONG = isFull ? 3_600_000 : 600_000;

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

const WAYS: readonly [string, () => string][] = [
  ['ssh', () => bySsh(sshd)],
  ['this machine', () => byLocal],
];

interface Tally {
  killed: number;
  readonly readyMs: number[];
  readonly wrong: string[];
}

/** Resumes what has died to its end and holds it against a run that nothing befell. */
async function mended(book: Project, died: Died, goal: Goal, told: string, tally: Tally): Promise<void> {
  const known = kept(book.state);
  const isBegun = known.length > 0;
  let last = died;
  // After its last event there is nothing to resume.
  if (known.at(-1)?.event === 'run_finished') last = { ...died, code: died.code ?? 0 };
  else if (died.signal === 'SIGKILL' && isBegun) {
    tally.killed++;
    last = await resume(book);
    tally.readyMs.push(last.readyMs);
  } else if (died.signal === 'SIGKILL') last = await begin(book); // Nothing was begun: nothing to resume.
  const wrong = wrongs(book, last, goal).map((one) => `${told}: ${one}`);
  tally.wrong.push(...wrong);
  report(`${told} (${tally.killed} kills, ${tally.wrong.length} wrong) ${wrong.join('; ')}`);
  forget(book);
}

function expectNone({ killed, readyMs, wrong }: Tally, least: number, told: string): void {
  report(
    `${told}: ${killed} kills, ready after ${median(readyMs)} ms (median), ${Math.max(...readyMs)} ms (most)`,
  );
  expect(wrong).toEqual([]);
  expect(killed).toBeGreaterThanOrEqual(least);
  expect(median(readyMs)).toBeLessThan(READY_MS);
}

test.each(WAYS)(
  'killed right before and right after an event of the journal, it is resumed to the same end (%s)',
  async (way, connection) => {
    const goal = await straight(connection());
    const total = goal.events.length;
    expect(total).toBeGreaterThan(200);
    const all = ['before', 'after'].flatMap((side) =>
      Array.from({ length: total }, (_, i) => `${side} ${i + 1}`),
    );
    const offset = Math.floor(seeded(goal.events.length)() * EVERY);
    const tally: Tally = { killed: 0, readyMs: [], wrong: [] };
    const some = all.filter((_, i) => isFull || i % EVERY === offset);
    await sideBySide(some, async (dies) => {
      const book = constructs(connection());
      await mended(book, await begin(book, { dies }), goal, `killed ${dies}`, tally);
    });
    expectNone(tally, some.length - 5, `boundaries, ${way}`);
  },
  LONG,
);

test(
  'killed at random instants, it is resumed to the same end',
  async () => {
    const connection = bySsh(sshd);
    const goal = await straight(connection);
    const random = seeded(20261121);
    const tally: Tally = { killed: 0, readyMs: [], wrong: [] };
    const least = isFull ? 200 : 5;
    // Some are through before their instant comes.
    function* instants(): Generator<number> {
      for (let i = 0; i < 6 * least && tally.killed < least; i++) yield random();
    }
    await sideBySide(instants(), async (when) => {
      const book = constructs(connection);
      const afterMs = goal.ms * (0.1 + 0.9 * when);
      await mended(book, await begin(book, { afterMs }), goal, `killed after ${afterMs} ms`, tally);
    });
    expectNone(tally, least, 'instants');
  },
  LONG,
);

test(
  'killed, and three times more while it is resumed, it comes to the same end',
  async () => {
    const connection = bySsh(sshd);
    const goal = await straight(connection);
    const random = seeded(7);
    const tally: Tally = { killed: 0, readyMs: [], wrong: [] };
    const least = isFull ? 60 : 4;
    function* rounds(): Generator<readonly number[]> {
      for (let i = 0; i < 6 * least && tally.killed < least; i++)
        yield [random(), random(), random(), random()];
    }
    await sideBySide(rounds(), async (round) => {
      const book = constructs(connection);
      const [first = 0, ...others] = round.map((one) => goal.ms * (0.15 + 0.5 * one));
      let last = await begin(book, { afterMs: first });
      for (const afterMs of others) {
        if (last.signal !== 'SIGKILL' || kept(book.state).length === 0) break;
        tally.killed++;
        last = await resume(book, { afterMs });
      }
      await mended(book, last, goal, `killed after ${round.join(', ')}`, tally);
    });
    expectNone(tally, least, 'resumes');
  },
  LONG,
);

const mark = (name: string): string => `echo x >> {{dir}}/${name}`;
const args = (book: Project): string[] => [
  ...['run', book.playbook, '-i', book.inventory, '--state', book.state, '--output', 'jsonl'],
];
const again = (book: Project): Promise<Said> =>
  drillbook(['resume', '--state', book.state, '--output', 'jsonl']);

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
