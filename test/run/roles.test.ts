import { randomUUID } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import type { Guard, Host, OpenTransport, ShOptions, Transport } from '../../engine/core/host.ts';
import { contextFor } from '../../engine/run/context.ts';
import type { ContextTools } from '../../engine/run/context.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { finished, project } from './_engine.ts';
import type { Project } from './_engine.ts';
import { standInInventory, tell, told } from './_stand-in.ts';

/** A playbook for the stand-in pair; `a` is primary. */
function onPair(playbook: string): Project {
  const book = project(playbook);
  // Its own lock, since the nodes are this machine.
  const cluster = `flips-${randomUUID()}`;
  onTestFinished(() => rmSync(`/var/lib/drillbook/locks/${cluster}`, { recursive: true, force: true }));
  writeFileSync(book.inventory, standInInventory(book.dir, cluster));
  tell(book.dir, 'a', 'primary');
  tell(book.dir, 'b', 'standby');
  return book;
}

/** Hosts on which the dangerous thing was done. */
const wiped = ({ dir }: Project): string[] =>
  ['a', 'b', 'c'].filter((host) => existsSync(join(dir, host, 'wiped')));

const WIPE = `shell: 'touch {{dir}}/wiped'`;
const play = (hosts: string, task: string, more = ''): string => `
plays:
  - hosts: ${hosts}
    ${more}
    tasks:
      - { name: first, wait_for: { sh: 'true' } }
      - { name: wipe, ${task} }
`;

/** Calls `then` when step `wipe` begins. */
const atWipe = (then: () => void) => (event: RunEvent) => {
  if (event.event === 'step_started' && event.name === 'wipe') then();
};

/** The code that the run asks for. */
async function confirmed(book: Project): Promise<string> {
  const { events } = await book.go();
  const last = events.at(-1);
  const reason = last?.event === 'run_finished' ? last.reason : undefined;
  return /--yes (\w+)/.exec(reason ?? '')?.[1] ?? '';
}

test('a step bound to a role is done on a host that has it', async () => {
  const book = onPair(play('standby', `role: standby, ${WIPE}`));
  const ran = await book.go();
  expect([ran.code, ran.story, wiped(book)]).toEqual([0, ['first ok', 'wipe changed'], ['b']]);
});

test('roles that changed after the plan stop it: exit code 5, what each witness says, nothing done', async () => {
  const book = onPair(play('standby', `role: standby, ${WIPE}`));
  const ran = await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', 'primary')) });
  expect([ran.code, ran.story, wiped(book)]).toEqual([5, ['first ok', 'wipe failed'], []]);
  expect(finished(ran, 'wipe').reason).toBe(
    'b is primary now, not standby (says: primary (primary), holds: primary (primary)); nothing was done',
  );
});

test.each([
  ['standby', 'primary', 'standby', 'the witnesses of b do not agree'],
  ['standby', 'unknown', 'unknown', 'no witness can tell whether b is standby'],
  ['not_primary', 'primary', 'standby', 'b may be the primary'],
])('%s is refused where one witness says %s and the other %s', async (role, says, holds, why) => {
  const book = onPair(play('standby', `role: ${role}, ${WIPE}`));
  const ran = await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', says, holds)) });
  expect([ran.code, wiped(book)]).toEqual([5, []]);
  expect(finished(ran, 'wipe').reason).toContain(why);
});

test('not_primary does not mind silent witnesses', async () => {
  const book = onPair(play('standby', `role: not_primary, ${WIPE}`));
  const ran = await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', 'unknown')) });
  expect([ran.code, wiped(book)]).toEqual([0, ['b']]);
});

test('neither ignore_errors nor rescue nor retries take a refusal over', async () => {
  const book = onPair(`
plays:
  - hosts: standby
    tasks:
      - block: [{ name: wipe, role: standby, ignore_errors: true, retries: 3, delay: 0, ${WIPE} }]
        rescue: [{ name: rescue, ${WIPE} }]
`);
  const ran = await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', 'primary')) });
  expect([ran.code, ran.story, wiped(book)]).toEqual([5, ['wipe failed'], []]);
});

test('what destroys something is bound to the role its play is for, asks for a code, and says what it destroys', async () => {
  const book = onPair(play('standby', `destroys: 'the disk of {{cluster.name}}', ${WIPE}`));
  const asked = await book.go();
  expect([asked.code, wiped(book)]).toEqual([5, []]);
  const last = asked.events.at(-1);
  expect(last?.event === 'run_finished' ? last.reason : '').toContain('wipe: the disk of flips-');
  const code = await confirmed(book);
  const onEvent = atWipe(() => tell(book.dir, 'b', 'primary'));
  const refused = await book.go({ request: { code }, onEvent });
  expect([refused.code, wiped(book)]).toEqual([5, []]);
  expect(finished(refused, 'wipe').reason).toContain('b is primary now, not standby');
  tell(book.dir, 'b', 'standby');
  expect([(await book.go({ request: { code } })).code, wiped(book)]).toEqual([0, ['b']]);
});

test('the role of the task wins over that of the block, and that over the play; any lifts it', async () => {
  const book = onPair(`
plays:
  - hosts: a
    role: standby
    tasks:
      - { name: looks, debug: { msg: a query is bound to nothing } }
      - role: primary
        block:
          - { name: primary, command: 'true' }
          - { name: any, role: any, command: 'true' }
      - { name: play, ${WIPE} }
`);
  const ran = await book.go();
  expect(ran.story).toEqual(['looks ok', 'primary changed', 'any changed', 'play failed']);
  expect([ran.code, wiped(book)]).toEqual([5, []]);
});

test('a delegated step is bound to the role of the host it acts on', async () => {
  const task = `role: standby, delegate_to: '{{peer.name}}', ${WIPE}`;
  const book = onPair(play('primary', task));
  expect((await book.go()).code).toBe(0);
  expect((await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', 'primary')) })).code).toBe(5);
});

test('a role for a host that belongs to no pair is an error of the playbook, at its place', async () => {
  const error = await onPair(play('c', `role: standby, ${WIPE}`))
    .go()
    .catch((thrown: unknown) => thrown);
  expect(String(error)).toContain('1 problems');
  await expect(
    onPair(play('standby', `role: primary, delegate_to: localhost, ${WIPE}`)).go(),
  ).rejects.toThrow();
  await expect(onPair(play('standby', `role: secondary, ${WIPE}`)).go()).rejects.toThrow();
});

test('a state that is reached already is not refused, and one that is not is not touched', async () => {
  const book = onPair(play('standby', `role: standby, copy: { dest: '{{dir}}/wiped', content: x }`));
  const ran = await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', 'primary')) });
  expect([ran.code, wiped(book)]).toEqual([5, []]);
  writeFileSync(join(book.dir, 'b/wiped'), 'x');
  tell(book.dir, 'b', 'standby');
  const again = await book.go({ onEvent: atWipe(() => tell(book.dir, 'b', 'primary')) });
  expect(again.story).toEqual(['first ok', 'wipe ok']);
});

test('under --check nothing is refused, for nothing is done', async () => {
  const book = onPair(play('b', `role: primary, ${WIPE}`));
  const ran = await book.go({ isCheck: true });
  expect([ran.code, ran.story.at(-1), wiped(book)]).toEqual([0, 'wipe changed', []]);
});

test('a step that changes the role itself and is interrupted before its end is told is taken up, not refused', async () => {
  const text = play('standby', `role: standby, shell: 'echo primary | tee {{dir}}/says >{{dir}}/holds'`);
  const { events } = await onPair(text).go();
  const book = onPair(text);
  await book.die(1 + events.findIndex((event) => event.event === 'step_finished' && event.name === 'wipe'));
  expect(told(book.dir, 'b')).toEqual(['primary', 'primary']);
  const resumed = await book.go({}, runIds(book.state)[0]);
  expect([resumed.code, resumed.story], JSON.stringify(resumed.events.at(-1))).toEqual([0, ['wipe changed']]);
});

test('an undo is not bound to the role of its task, which may have changed it', async () => {
  const flip = `shell: 'echo primary | tee {{dir}}/says >{{dir}}/holds'`;
  const book = onPair(play('standby', `role: standby, ${flip}, undo: { ${WIPE} }`));
  const ran = await book.go();
  expect([ran.code, wiped(book)], ran.story.join(', ')).toEqual([0, ['b']]);
});

test('whatever a context does on the host asks for its role; looks do not, nor what is done on others', async () => {
  const guard: Guard = { code: 'guard.role', script: '', args: [] };
  const asked: string[] = [];
  const hear = (what: string, guards: readonly Guard[] = []): void => {
    asked.push(guards.includes(guard) ? `${what} asks` : what);
  };
  const transport = {
    sh: (text: string, { guards }: ShOptions) => Promise.resolve(hear(`sh ${text}`, guards)),
    put: (_path: string, _content: Uint8Array, { guards }: ShOptions) => Promise.resolve(hear('put', guards)),
    get: () => Promise.resolve(hear('get')),
    dial: () => Promise.resolve(hear('dial')),
  };
  const host = (name: string): Host => ({ name, groups: [], vars: {}, connection: { transport: 'local' } });
  const hosts = new Map(['a', 'b'].map((name) => [name, host(name)]));
  const context = contextFor(
    host('a'),
    {
      ...{ scope: {}, become: undefined, env: {}, file: '', progress: () => undefined },
      ...{ signal: new AbortController().signal, roleGuards: () => [guard] },
    },
    {
      connections: { get: () => Promise.resolve(transport) },
      inventory: { hosts, clusters: new Map() },
      guardsOf: () => [],
    } as unknown as ContextTools,
  );
  await context.sh('acts');
  await context.sh('looks', { isLook: true });
  await context.put('/file', 'x');
  await context.get('/file');
  await context.dial({ socketPath: '/socket' });
  await context.on('b').sh('elsewhere');
  expect(asked).toEqual(['sh acts asks', 'sh looks', 'put asks', 'get', 'dial', 'sh : asks', 'sh elsewhere']);
});

/** Numbers from 0 to 1, the same for the same seed (Park and Miller). */
function random(seed: number): () => number {
  let at = seed;
  return () => (at = (at * 48271) % 0x7fffffff) / 0x7fffffff;
}

const DIALOGUE = `{ cmd: 'touch {{dir}}/wiped', responses: [{ prompt: sure, answer: y, optional: true }] }`;

/** Ways to do a dangerous thing on the node that has a role, by each kind of exchange that acts. */
const WAYS: readonly { readonly target: 'a' | 'b'; readonly playbook: string }[] = [
  { target: 'b', playbook: play('standby', `role: standby, ${WIPE}`) },
  { target: 'b', playbook: play('standby', `destroys: all, ${WIPE}`) },
  { target: 'a', playbook: play('primary', `copy: { dest: '{{dir}}/wiped', content: x }`, 'role: primary') },
  {
    target: 'a',
    playbook: play('primary', `role: primary, file: { path: '{{dir}}/wiped', state: directory }`),
  },
  { target: 'b', playbook: play('standby', `role: not_primary, command: 'touch {{dir}}/wiped'`) },
  {
    target: 'b',
    playbook: play('standby', `role: standby, dialogue: ${DIALOGUE}`),
  },
  {
    target: 'b',
    playbook: play(
      'primary',
      `role: standby, delegate_to: '{{peer.name}}', shell: 'touch {{peer.vars.dir}}/wiped'`,
    ),
  },
];

/** Calls `before` right before each exchange with a host, and `after` right after it. */
const watched =
  (before: () => void, after: () => void): OpenTransport =>
  (host, tools) => {
    const inner = openTransport(host, tools);
    const around =
      (call: (...given: never[]) => Promise<unknown>) =>
      async (...given: never[]): Promise<unknown> => {
        before();
        try {
          return await call.apply(inner, given);
        } finally {
          after();
        }
      };
    const { sh, job, dialogue, put } = inner;
    const calls = Object.entries({ sh, job, dialogue, put }).map(([name, call]) => [name, around(call)]);
    return Object.assign(Object.create(inner) as Transport, Object.fromEntries(calls));
  };

test('roles flip 200 times between the plan and the task: it is never done on the wrong node, and always on the right one', async () => {
  const chance = random(20261121);
  const books = WAYS.map(({ playbook }) => onPair(playbook));
  const codes: string[] = [];
  for (const book of books) codes.push(await confirmed(book));
  const tally = { flips: 0, refused: 0, done: 0, wrong: 0, missed: 0 };

  async function round(book: Project, target: 'a' | 'b', code: string | undefined): Promise<void> {
    const role = target === 'a' ? 'primary' : 'standby';
    const has = (): boolean => told(book.dir, target).every((word) => word === role);
    for (const host of ['a', 'b']) rmSync(join(book.dir, host, 'wiped'), { recursive: true, force: true });
    tell(book.dir, 'a', 'primary');
    tell(book.dir, 'b', 'standby');
    // Exchanges after the roles were found: the flips come right before some of them, at times there and back.
    const flipsAt = [1 + Math.floor(chance() * 5), 1 + Math.floor(chance() * 12)];
    const isHalf = chance() < 0.3;
    let exchanges: number | undefined;
    let flips = 0;
    let wasRight: boolean | undefined;
    let isRefused = false;
    const flip = (): void => {
      flips++;
      const [says = '', holds = ''] = told(book.dir, target).map((word) =>
        word === 'primary' ? 'standby' : 'primary',
      );
      tell(book.dir, target, says, isHalf ? told(book.dir, target)[1] : holds);
      if (!isHalf) tell(book.dir, target === 'a' ? 'b' : 'a', says === 'primary' ? 'standby' : 'primary');
    };
    const before = (): void => {
      if (exchanges === undefined || wasRight !== undefined) return;
      exchanges++;
      for (const at of flipsAt) if (at === exchanges) flip();
    };
    const after = (): void => {
      if (wasRight === undefined && wiped(book).length > 0) wasRight = has() && wiped(book)[0] === target;
    };
    const ran = await book.go({
      request: { code, open: watched(before, after) },
      onEvent(event) {
        if (event.event === 'roles_found') exchanges = 0;
        if (event.event !== 'step_finished' || event.name !== 'wipe' || wasRight !== undefined) return;
        isRefused = event.outcome === 'failed';
        if (has()) tally.missed++;
        exchanges = undefined;
      },
    });
    if (flips > 0) tally.flips++;
    if (wasRight === true && ran.code === 0) tally.done++;
    if (wasRight === false) tally.wrong++;
    if (isRefused && ran.code === 5) tally.refused++;
    expect(Number(wasRight === true) + Number(isRefused), `${ran.code}: ${ran.story.join(', ')}`).toBe(1);
  }

  for (let i = 0; tally.flips < 200; i++) {
    const at = i % WAYS.length;
    const [way, book] = [WAYS[at], books[at]];
    if (way && book) await round(book, way.target, codes[at] || undefined);
  }
  expect(tally).toMatchObject({ flips: 200, wrong: 0, missed: 0 });
  expect(tally.refused).toBeGreaterThan(100);
  expect(tally.done).toBeGreaterThan(30);
}, 900_000);
