import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { DrillbookError } from '../../engine/core/error.ts';
import type { OpenTransport, Transport } from '../../engine/core/host.ts';
import { ledgerOf } from '../../engine/run/obligations/obligations.ts';
import { isBlank, readJournal, runIds } from '../../engine/run/journal/journal.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { project, run } from './_engine.ts';
import type { Project, Ran } from './_engine.ts';

/** Every act adds a line to the host's log, so that order and number are seen. */
const log = (text: string): string => `echo ${text} >> {{dir}}/log`;
const logOf = (book: Project, host = 'a'): string[] => {
  const path = join(book.dir, host, 'log');
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
};

const ledgerEvents = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) =>
    event.event === 'obligation_opened' || event.event === 'obligation_closed'
      ? [`${event.event.slice('obligation_'.length)} ${event.obligation}`]
      : [],
  );
const openOf = (ran: Ran): string[] =>
  ledgerOf(ran.events)
    .open()
    .map(({ obligation }) => obligation);
const reasonOf = (ran: Ran): string | undefined => {
  const end = ran.events.at(-1);
  return end?.event === 'run_finished' ? end.reason : undefined;
};

test('what tasks changed is undone at the end of the play, the last first', async () => {
  const book = project(`
tasks:
  - { name: one, shell: '${log('one')}', undo: { shell: '${log('un-one')}' } }
  - { name: two, shell: '${log('two')}', undo: { name: no more two, shell: '${log('un-two')}' } }
  - { name: three, shell: '${log('three')}', notify: hook }
handlers:
  - { name: hook, shell: '${log('hook')}' }
`);
  const ran = await book.go();
  expect(ran.code).toBe(0);
  expect(logOf(book)).toEqual(['one', 'two', 'three', 'hook', 'un-two', 'un-one']);
  expect(ran.story.slice(-2)).toEqual(['no more two changed', 'Undo: one changed']);
  expect(ledgerEvents(ran.events)).toEqual([
    'opened all/one/undo@a',
    'opened all/two/undo@a',
    'closed all/two/undo@a',
    'closed all/one/undo@a',
  ]);
});

test('the intent is told before the act, and the end of it before the step ends', async () => {
  const ran = await run(`tasks: [{ name: one, shell: 'true', undo: { shell: 'true' } }]`);
  const order = ran.events.flatMap((event) =>
    'step' in event || 'obligation' in event ? [event.event] : [],
  );
  expect(order).toEqual([
    'step_started',
    'obligation_opened',
    'step_finished',
    'step_started',
    'obligation_closed',
    'step_finished',
  ]);
});

test('what changed nothing is not undone', async () => {
  const book = project(`
tasks:
  - { name: state, file: { path: '{{dir}}', state: directory }, undo: { shell: '${log('un-state')}' } }
  - { name: said, shell: '${log('said')}', changed_when: false, undo: { shell: '${log('un-said')}' } }
  - { name: skipped, shell: '${log('skipped')}', when: 'false', undo: { shell: '${log('un-skipped')}' } }
  - { name: fails, assert: { that: 'false' }, ignore_errors: true }
`);
  const ran = await book.go();
  expect([ran.code, logOf(book), openOf(ran)]).toEqual([0, ['said'], []]);
});

test('a step that failed half-way is undone, on that host alone', async () => {
  const book = project(
    `
tasks:
  - { name: one, shell: '${log('one')}; test {{host.name}} = b', undo: { shell: '${log('un-one')}' } }
  - { name: two, shell: '${log('two')}' }
`,
    { hosts: ['a', 'b'] },
  );
  const ran = await book.go();
  expect(ran.code).toBe(1);
  expect([logOf(book, 'a'), logOf(book, 'b')]).toEqual([
    ['one', 'un-one'],
    ['one', 'two', 'un-one'],
  ]);
  expect(openOf(ran)).toEqual([]);
});

const FAILING = `
tasks:
  - { name: one, shell: '${log('one')}', undo: { shell: '${log('un-one')}' } }
  - { name: two, shell: '${log('two')}' }
  - { name: three, shell: '${log('three')}; test -e {{dir}}/mended' }
  - { name: four, shell: '${log('four')}' }
`;

test('after a failure it is undone, and a resume does it again before it goes on', async () => {
  const book = project(FAILING);
  const first = await book.go();
  expect([first.code, logOf(book)]).toEqual([1, ['one', 'two', 'three', 'un-one']]);
  const second = await book.go({}, first.run);
  expect([second.code, logOf(book).slice(4)]).toEqual([1, ['one', 'three', 'un-one']]);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const third = await book.go({}, first.run);
  expect([third.code, logOf(book).slice(7)]).toEqual([0, ['one', 'three', 'four', 'un-one']]);
  expect(third.story).toEqual(['one changed', 'three changed', 'four changed', 'Undo: one changed']);
});

test('what a guard on another host had undone is done and undone again', async () => {
  const book = project(FAILING, { hosts: ['a', 'b'] });
  for (const host of ['a', 'b']) writeFileSync(join(book.dir, host, 'mended'), '');
  let isRefused = false;
  const open: OpenTransport = (host, tools) => {
    const transport = openTransport(host, tools);
    const job: Transport['job'] = (...args) =>
      isRefused && host.name === 'b'
        ? Promise.reject(new DrillbookError('guard.lock', 'taken by another run'))
        : transport.job(...args);
    return new Proxy(transport, {
      get: (target, key) => {
        const value: unknown = key === 'job' ? job : Reflect.get(target, key);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
  const first = await book.go({
    request: { open },
    onEvent: (event) => (isRefused ||= event.event === 'step_finished' && event.name === 'two'),
  });
  expect([first.code, logOf(book, 'a')]).toEqual([5, ['one', 'two', 'three', 'un-one']]);
  const second = await book.go({}, first.run);
  expect([second.code, logOf(book, 'a').slice(4), reasonOf(second)]).toEqual([
    0,
    ['one', 'four', 'un-one'],
    undefined,
  ]);
});

test('what was done again after a failure is not done a third time when that resume is interrupted', async () => {
  const book = project(FAILING);
  const first = await book.go();
  writeFileSync(join(book.dir, 'a/mended'), '');
  const interrupt = new AbortController();
  const second = await book.go(
    {
      request: { interrupt: interrupt.signal },
      onEvent: (event) => {
        if (event.event === 'step_finished' && event.name === 'three') interrupt.abort();
      },
    },
    first.run,
  );
  expect([second.code, logOf(book).slice(4)]).toEqual([3, ['one', 'three']]);
  const third = await book.go({}, first.run);
  expect([third.code, logOf(book).slice(6)]).toEqual([0, ['four', 'un-one']]);
});

test('after an interruption what is bent stays so for the resume', async () => {
  const book = project(FAILING);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const interrupt = new AbortController();
  const first = await book.go({
    request: { interrupt: interrupt.signal },
    onEvent: (event) => {
      if (event.event === 'step_finished' && event.name === 'two') interrupt.abort();
    },
  });
  expect([first.code, logOf(book), openOf(first)]).toEqual([3, ['one', 'two'], ['all/one/undo@a']]);
  const second = await book.go({}, first.run);
  expect([second.code, logOf(book).slice(2)]).toEqual([0, ['three', 'four', 'un-one']]);
});

test('an undo that fails leaves the run in doubt, says so, and is tried again by a resume', async () => {
  const book = project(`
tasks:
  - { name: one, shell: '${log('one')}', undo: { shell: '${log('un-one')}; test -e {{dir}}/mended' } }
  - { name: two, shell: '${log('two')}', undo: { shell: '${log('un-two')}' } }
`);
  const first = await book.go();
  expect(first.code).toBe(4);
  expect(first.events.at(-1)).toMatchObject({ event: 'run_finished', outcome: 'in_doubt', exitCode: 4 });
  expect(reasonOf(first)).toBe(
    `open: \`one\` is to be undone (all/one/undo@a, since \`all/one\` on a) — \`drillbook resume ${first.run}\` undoes it`,
  );
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect([second.code, logOf(book)]).toEqual([0, ['one', 'two', 'un-two', 'un-one', 'un-one']]);
});

test('an undo sees what its task registered, and the variables around it', async () => {
  const book = project(`
plays:
  - hosts: a
    vars: { word: thing }
    tasks:
      - name: one
        shell: echo 17
        register: made
        vars: { more: extra }
        undo: { shell: '${log('{{made.code}} {{word}} {{more}}')}' }
`);
  expect((await book.go()).code).toBe(0);
  expect(logOf(book).join(' ')).toBe('0 thing extra');
});

test('under --check nothing is undone, since nothing is done', async () => {
  const book = project(FAILING, { isCheck: true });
  const ran = await book.go();
  expect([ran.code, ledgerEvents(ran.events), logOf(book)]).toEqual([0, [], []]);
});

const refusals: readonly (readonly [string, string])[] = [
  [`{ debug: x, undo: { shell: 'true' } }`, '`debug` changes nothing, so there is nothing to undo'],
  [`{ shell: 'true', undo: { debug: x } }`, '`debug` changes nothing, so it undoes nothing'],
  [`{ shell: 'true', loop: [1], undo: { shell: 'true' } }`, 'a loop has no undo'],
  [`{ shell: 'true', undo: { shel: 'true' } }`, '`shel`: unknown module'],
  [`{ shell: 'true', undo: { shell: 'echo {{nobody}}' } }`, 'unknown variable `nobody`'],
  [`{ shell: 'true', undo: { shell: 'true', when: 'true' } }`, '`when` is no keyword of an undo'],
  [`{ shell: 'true', stays: true }`, '`shell` bends nothing that would have to be put right'],
];

test.each(refusals)('%s is refused before anything is touched', async (task, message) => {
  const error = await run(`tasks: [${task}]`).catch((thrown: unknown) => thrown);
  const problems = (error as { problems?: readonly DrillbookError[] }).problems ?? [error as DrillbookError];
  expect(problems.map((problem) => problem.message).join('\n')).toContain(message);
});

test('a handler has no undo', async () => {
  const error = await run(`
tasks: [{ name: one, shell: 'true', notify: hook }]
handlers: [{ name: hook, shell: 'true', undo: { shell: 'true' } }]
`).catch((thrown: unknown) => thrown);
  expect(JSON.stringify((error as { problems?: unknown }).problems)).toBeDefined();
  expect(String((error as { problems: readonly Error[] }).problems[0]?.message)).toContain(
    'a handler has no undo',
  );
});

/** Bends the host for all to see: a file is there until it is put back. */
const bend = (name: string): string => `touch {{dir}}/bent-${name}; ${log(name)}`;
const back = (name: string): string => `rm {{dir}}/bent-${name}; ${log(`un-${name}`)}`;

const BENDING = `
plays:
  - name: first
    hosts: all
    tasks:
      - { name: one, shell: '${bend('one')}', undo: { shell: '${back('one')}' } }
      - name: two
        file: { path: '{{dir}}/bent-two', state: touch }
        undo: { shell: '${back('two')}' }
      - block:
          - { name: three, shell: '${bend('three')}; false', undo: { shell: '${back('three')}' } }
        rescue:
          - { name: four, shell: '${log('four')}' }
  - name: second
    hosts: all
    serial: 1
    tasks:
      - { name: five, shell: '${bend('five')}', undo: { shell: '${back('five')}' } }
      - { name: six, shell: '${log('six')}' }
`;

const HOSTS = ['a', 'b'];

/** What is bent, found by looking at the hosts; and by reading the journal. */
const bentIn = (book: Project): string[] =>
  HOSTS.flatMap((host) =>
    readdirSync(join(book.dir, host)).flatMap((file) => {
      const name = file.startsWith('bent-') ? file.slice('bent-'.length) : undefined;
      return name === undefined ? [] : [`${name}@${host}`];
    }),
  ).toSorted();

const openIn = (book: Project, id: string): string[] => {
  const journal = readJournal(book.state, id);
  try {
    const open = ledgerOf(journal.events()).open();
    return open.map(({ step, host }) => `${step.split('/').at(-1)}@${host}`).toSorted();
  } finally {
    journal.close();
  }
};

/** Commands that were under way when the run died have ended: they go on without it. */
async function ended(book: Project): Promise<void> {
  await expect.poll(() => execFileSync('ps', ['-eo', 'args']).includes(`${book.dir}/`)).toBe(false);
}

/** What is bent is in the ledger, and the ledger has no more but what is under way: one on each host. */
function holdsTrue(book: Project, id: string): void {
  const [bent, open] = [bentIn(book), openIn(book, id)];
  expect(open).toEqual(expect.arrayContaining(bent));
  for (const host of HOSTS)
    expect(open.filter((one) => one.endsWith(`@${host}`) && !bent.includes(one)).length).toBeLessThan(2);
}

test('killed at any boundary of its journal, every undo runs exactly once and nothing stays bent', async () => {
  const straight = project(BENDING, { hosts: HOSTS });
  const { code, events } = await straight.go();
  expect([code, bentIn(straight)]).toEqual([0, []]);
  expect(events.length).toBeGreaterThan(60);
  for (let n = 2; n <= events.length; n++) {
    const book = project(BENDING, { hosts: HOSTS });
    await book.die(n);
    const [id = ''] = runIds(book.state);
    if (isBlank(book.state, id)) continue;
    await ended(book);
    holdsTrue(book, id);
    const resumed = await book.go({}, id);
    expect([n, resumed.code, reasonOf(resumed)]).toEqual([n, 0, undefined]);
    for (const host of HOSTS) expect([n, logOf(book, host)]).toEqual([n, logOf(straight, host)]);
    expect([n, bentIn(book), openIn(book, id)]).toEqual([n, [], []]);
  }
}, 600_000);

const BREAKING = `
tasks:
  - { name: one, shell: '${bend('one')}', undo: { shell: '${back('one')}' } }
  - { name: two, shell: '${log('two')}' }
  - { name: three, shell: '${bend('three')}', undo: { shell: '${back('three')}' } }
  - { name: four, shell: 'test -e {{dir}}/../mended && ${log('four')}' }
`;

test('killed at any boundary while a failed run is undone, its tasks are done again, each between its undos', async () => {
  const straight = project(BREAKING, { hosts: HOSTS });
  const { code, events } = await straight.go();
  expect([code, bentIn(straight)]).toEqual([1, []]);
  for (let n = 2; n <= events.length; n++) {
    const book = project(BREAKING, { hosts: HOSTS });
    await book.die(n);
    const [id = ''] = runIds(book.state);
    if (isBlank(book.state, id)) continue;
    await ended(book);
    holdsTrue(book, id);
    book.write('mended', '');
    let resumed = await book.go({}, id);
    // The end of a command that had failed before it was mended is its end.
    if (resumed.code === 1) resumed = await book.go({}, id);
    expect([n, resumed.code, reasonOf(resumed)]).toEqual([n, 0, undefined]);
    for (const host of HOSTS) {
      const told = logOf(book, host);
      for (const name of ['one', 'three']) {
        const own = told.filter((line) => line.replace('un-', '') === name);
        expect([n, own]).toEqual([n, own.map((_, i) => (i % 2 === 0 ? name : `un-${name}`))]);
        // What was undone before the fourth could run is done again for it.
        expect([n, told.slice(0, told.indexOf('four')).findLast((line) => line.endsWith(name))]).toEqual([
          n,
          name,
        ]);
      }
      expect([n, told.filter((line) => line === 'two' || line === 'four')]).toEqual([n, ['two', 'four']]);
    }
    expect([n, bentIn(book), openIn(book, id)]).toEqual([n, [], []]);
  }
}, 600_000);
