import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { startSshd } from '../transports/_sshd.ts';
import type { Sshd } from '../transports/_sshd.ts';
import { project } from './_engine.ts';
import { isFull } from '../_full.ts';
import { bySsh, constructs, endSessions, forget, report, seeded, sessionsOf, sideBySide } from './_matrix.ts';
import { straight, TOKEN, until, wrongs } from './_matrix.ts';
import type { Goal } from './_matrix.ts';
import { startLine } from './_proxy.ts';
import type { Line } from './_proxy.ts';

const LONG = isFull ? 3_600_000 : 600_000;

let sshd: Sshd;
let known: Promise<Goal> | undefined;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

const goalOf = (): Promise<Goal> => (known ??= straight(bySsh(sshd)));

interface Happened {
  readonly wrong: readonly string[];
  /** Times that a host was away and came back. */
  readonly away: number;
}

/** Runs the playbook over a line of its own, to which `befall` may do something at each event. */
async function run(befall: (event: RunEvent, line: Line) => void): Promise<Happened> {
  const goal = await goalOf();
  const line = await startLine(sshd.port);
  try {
    const book = constructs(bySsh(sshd, line.port));
    let away = 0;
    const { code } = await book.go({
      given: { token: TOKEN },
      onEvent(event) {
        if (event.event === 'host_back') away++;
        befall(event, line);
      },
    });
    const wrong = wrongs(book, { code, stderr: '' }, goal);
    forget(book);
    return { wrong, away };
  } finally {
    await line.close();
  }
}

/** Calls it once at each event of a step; not again for one that a lost connection has told anew. */
function atEach(what: (line: Line) => void) {
  const met = new Set<string>();
  const befall = (event: RunEvent, line: Line): void => {
    if (!('step' in event) || (event.event === 'step_progress' && event.item === undefined)) return;
    const { event: kind, step, host } = event;
    const part = kind === 'step_progress' ? `${event.item} ${event.attempt}` : '';
    const key = [kind, step, host, part].join(' ');
    if (met.has(key)) return;
    met.add(key);
    what(line);
  };
  return { befall, met };
}

test(
  'the line is cut at every event of a step, all in one run, which goes on by itself',
  async () => {
    const { befall, met } = atEach((line) => line.cut());
    const { wrong, away } = await run(befall);
    report(`cut at ${met.size} events of one run, ${away} times away and back`);
    expect(wrong).toEqual([]);
    expect(met.size).toBeGreaterThan(150);
    expect(away).toBeGreaterThan(50);
  },
  LONG,
);

/** Of so many events a test takes one; `npm run matrix` all. */
const EVERY = 40;

test.each([
  ['the line is cut', (line: Line) => line.cut()],
  ['the server’s process is killed', () => endSessions(sshd)],
] as const)(
  '%s at one event of the journal',
  async (told, befall) => {
    const total = (await goalOf()).events.length;
    const all = Array.from({ length: total }, (_, i) => i + 1).filter((n) => isFull || n % EVERY === 5);
    const wrong: string[] = [];
    for (const n of all) {
      const happened = await run((event, line) => event.seq === n && befall(line));
      wrong.push(...happened.wrong.map((one) => `at event ${n}: ${one}`));
    }
    report(`${told}: at each of ${all.length} events`);
    expect(wrong).toEqual([]);
  },
  LONG,
);

/** In one run, so that it comes to its end on a machine where connecting takes longer than the time between two. */
const MOST_CUTS = 40;

test(
  'the line is cut at random instants, several in one run',
  async () => {
    const random = seeded(20261121);
    const { ms } = await goalOf();
    const wrong: string[] = [];
    let cuts = 0;
    await sideBySide(Array.from({ length: isFull ? 60 : 5 }, random), async (first) => {
      let timer: NodeJS.Timeout | undefined;
      let own = 0;
      const happened = await run((event, line) => {
        const cut = (): void => {
          cuts++;
          line.cut();
          if (++own < MOST_CUTS) timer = setTimeout(cut, ms * (0.02 + 0.3 * random()));
        };
        // A host that never answered yet is not waited for as one that did.
        if (event.event === 'step_finished') timer ??= setTimeout(cut, ms * first * 0.5);
        if (event.event === 'run_finished') clearTimeout(timer);
      });
      clearTimeout(timer);
      wrong.push(...happened.wrong);
    });
    report(`cut at ${cuts} random instants`);
    expect(wrong).toEqual([]);
    expect(cuts).toBeGreaterThan(5);
  },
  LONG,
);

test(
  'sshd is stopped, its sessions too, and started again a while later',
  async () => {
    const server = await startSshd();
    const again: ChildProcess[] = [];
    const restart = (): void => {
      const sessions = sessionsOf(server);
      server.process.once('exit', () => {
        for (const pid of sessions) process.kill(pid, 'SIGKILL');
        const listen = (): number =>
          again.push(spawn('/usr/sbin/sshd', ['-D', '-f', join(server.directory, 'sshd_config')]));
        setTimeout(listen, 1500);
      });
      server.process.kill('SIGKILL');
    };
    try {
      const goal = await goalOf();
      const book = constructs(bySsh(server));
      const { code, events } = await book.go({
        given: { token: TOKEN },
        onEvent: ({ seq }) => (seq === 60 ? restart() : undefined),
      });
      expect(wrongs(book, { code, stderr: '' }, goal)).toEqual([]);
      expect(events.some((event) => event.event === 'host_back' && event.awayMs > 1000)).toBe(true);
      forget(book);
    } finally {
      for (const one of again) one.kill();
      await server.stop();
    }
  },
  LONG,
);

const count = (path: string): number => readFileSync(path, 'utf8').split('\n').length - 1;

test(
  'a line that falls silent is noticed by itself; what ran meanwhile is taken up when it speaks again',
  async () => {
    const line = await startLine(sshd.port);
    const book = project(
      `
tasks:
  - { name: slow, shell: 'echo x >> {{dir}}/slow; sleep 3; echo done', register: slow }
  - { name: after, shell: 'echo {{sh slow.stdout}} >> {{dir}}/after' }
`,
    );
    book.write(
      'inventory.yml',
      `connection: ${bySsh(sshd, line.port)}\nhosts: { a: { vars: { dir: '${join(book.dir, 'a')}' } } }\n`,
    );
    const going = book.go({});
    await until(() => readdirSync(join(book.dir, 'a')).includes('slow'));
    line.silence();
    const healing = pause(30_000).then(() => line.heal());
    const { code, events } = await going;
    await healing;
    expect(code).toBe(0);
    const away = events.find((event) => event.event === 'host_away');
    const back = events.find((event) => event.event === 'host_back');
    expect([away?.event, back?.event]).toEqual(['host_away', 'host_back']);
    expect([count(join(book.dir, 'a/slow')), readFileSync(join(book.dir, 'a/after'), 'utf8')]).toEqual([
      1,
      'done\n',
    ]);
    await line.close();
    forget(book);
  },
  LONG,
);

test(
  'a host that stays away longer than the bound: in doubt is what was under way, unreachable what had not begun',
  async () => {
    const line = await startLine(sshd.port);
    const book = project(
      `
plays:
  - hosts: a
    tasks:
      - { name: first, shell: 'echo x >> {{dir}}/first' }
      - { name: elsewhere, shell: 'sleep 0.5', delegate_to: b }
      - { name: slow, shell: 'echo x >> {{dir}}/slow; sleep 1; echo done', register: slow }
      - { name: after, shell: 'echo {{sh slow.stdout}} >> {{dir}}/after' }
`,
    );
    const connect = bySsh(sshd, line.port).replace('{', '{ reconnect_timeout: 2s, connect_timeout: 1s,');
    const dir = join(book.dir, 'a');
    book.write(
      'inventory.yml',
      `hosts:\n  a: { connection: ${connect}, vars: { dir: '${dir}' } }\n  b: { connection: { transport: local } }\n`,
    );
    const stay = (): void => {
      line.silence();
      line.cut();
    };
    const isBegun = (): boolean => readdirSync(dir).includes('slow');
    const first = await book.go({
      onEvent(event) {
        if (event.event === 'step_started' && event.name === 'slow') void until(isBegun).then(stay);
      },
    });
    expect([first.code, first.story.at(-1)]).toEqual([4, 'slow in_doubt']);
    line.heal();
    const second = await book.go({}, first.run);
    expect([second.code, second.story]).toEqual([0, ['slow changed', 'after changed']]);
    expect([count(join(dir, 'first')), count(join(dir, 'slow'))]).toEqual([1, 1]);

    const other = await book.go({
      onEvent(event) {
        if (event.event === 'step_started' && event.name === 'elsewhere') stay();
      },
    });
    expect([other.code, other.story.at(-1)]).toEqual([1, 'slow unreachable']);
    line.heal();
    const last = await book.go({}, other.run);
    expect([last.code, last.story]).toEqual([0, ['slow changed', 'after changed']]);
    expect([count(join(dir, 'first')), count(join(dir, 'slow'))]).toEqual([2, 2]);
    await line.close();
    forget(book);
  },
  LONG,
);
