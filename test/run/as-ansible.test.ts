import { expect, test } from 'vitest';
import { Problems } from '../../engine/core/error.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { finished, project, run } from './_engine.ts';
import type { Wishes } from './_engine.ts';

/** What test/conformance does not see: resumes, and errors of the plan. */
async function problemsOf(playbook: string, wishes: Wishes = {}): Promise<string[]> {
  const refused = await run(playbook, wishes).catch((error: unknown) => error);
  if (!(refused instanceof Problems)) throw new Error('the plan was made', { cause: refused });
  return refused.problems.map(({ message, hint }) => `${message}${hint === undefined ? '' : ` — ${hint}`}`);
}

const RESCUED = `
tasks:
  - block:
      - { name: try, shell: 'echo why; exit 3' }
    rescue:
      - { name: first, command: 'true' }
      - { name: told, command: 'echo {{failure.task}} {{failure.outcome}} {{failure.result.code}} {{failure.result.stdout}}' }
`;

test('rescue hears what failed, also when the run was interrupted in between', async () => {
  const whole = await run(RESCUED);
  expect(finished(whole, 'told').result['stdout']).toBe('try failed 3 why');
  const at = whole.events.findIndex((event) => event.event === 'step_started' && event.name === 'told');
  const book = project(RESCUED);
  await book.die(at + 1);
  const resumed = await book.go({}, runIds(book.state)[0]);
  expect(resumed.story).toEqual(['told changed']);
  expect(finished(resumed, 'told').result['stdout']).toBe('try failed 3 why');
});

test('failure is known in rescue alone, and no name for a variable', async () => {
  expect(await problemsOf(`tasks: [{ name: one, debug: '{{failure.task}}' }]`)).toEqual([
    expect.stringContaining('unknown variable `failure`'),
  ]);
  expect(await problemsOf(`tasks: [{ name: one, command: 'true', register: failure }]`)).toEqual([
    expect.stringContaining('a name of the language'),
  ]);
});

const LISTENING = `
tasks:
  - { name: one, command: 'true', notify: told }
handlers:
  - { name: first, listen: told, command: 'true' }
  - { name: second, listen: [told, other], command: 'true' }
`;

test('handlers that listen to one word all run, also where the run was interrupted between them', async () => {
  const whole = await run(LISTENING);
  expect(whole.story).toEqual(['one changed', 'first changed', 'second changed']);
  const at = whole.events.findIndex((event) => event.event === 'step_started' && event.name === 'second');
  const book = project(LISTENING);
  await book.die(at + 1);
  const resumed = await book.go({}, runIds(book.state)[0]);
  expect([resumed.code, resumed.story]).toEqual([0, ['second changed']]);
});

test('only handlers listen, and no two have one name', async () => {
  expect(await problemsOf(`tasks: [{ name: one, command: 'true', listen: told }]`)).toEqual([
    'only a handler listens — it stands under `handlers`',
  ]);
  const twice = `
tasks: [{ name: one, command: 'true', notify: same }]
handlers:
  - { name: same, command: 'true' }
  - { name: same, command: 'false' }
`;
  expect(await problemsOf(twice)).toEqual([
    expect.stringMatching(/there is a handler `same` in this play already, at .*:7:\d+ — .*listen/),
  ]);
});

test('attempts that were spent before an interruption count', async () => {
  const tasks = `
tasks:
  - name: try
    shell: 'echo x >> {{dir}}/tries; test $(wc -l < {{dir}}/tries) -ge 3'
    retries: 5
    delay: 0
    register: got
  - { name: told, command: 'echo {{got.attempts}}' }
`;
  const whole = await run(tasks);
  expect(finished(whole, 'told').result['stdout']).toBe('3');
  const book = project(tasks);
  const second = whole.events.flatMap((event, i) => (event.event === 'step_progress' ? [i] : [])).at(-1) ?? 0;
  await book.die(second + 2);
  const resumed = await book.go({}, runIds(book.state)[0]);
  expect(finished(resumed, 'told').result['stdout']).toBe('3');
});

test('a loop that is skipped has results all the same; none where its list cannot be told', async () => {
  const ran = await run(`
tasks:
  - { name: none, command: 'true', loop: [x, y], when: run.is_check, register: none }
  - { name: nothing, command: 'true', loop: '{{hosts.a.found}}', when: run.is_check, register: nothing }
  - { name: told, command: 'echo {{none.results.length}} {{none.results.[1].item}} {{none.results.[1].skipped}}' }
  - { name: empty, command: 'echo {{nothing.results.length}}' }
`);
  expect(finished(ran, 'told').result['stdout']).toBe('2 y true');
  expect(finished(ran, 'empty').result['stdout']).toBe('0');
});

test('a run_once notifies where it ran; a resume still does', async () => {
  const tasks = `
tasks:
  - { name: once, command: 'true', run_once: true, notify: restart, register: got }
  - { name: all, command: 'echo {{got.changed}}' }
handlers: [{ name: restart, command: 'true' }]
`;
  const hosts = { hosts: ['a', 'b'] };
  const whole = await run(tasks, hosts);
  expect(whole.story.toSorted()).toEqual([
    'all@a changed',
    'all@b changed',
    'once@a changed',
    'restart@a changed',
  ]);
  const at = whole.events.findIndex((event) => event.event === 'step_started' && event.name === 'restart');
  const book = project(tasks, hosts);
  await book.die(at + 1);
  const resumed = await book.go(hosts, runIds(book.state)[0]);
  expect(resumed.events.flatMap((event) => (event.event === 'step_finished' ? [event.host] : []))).toEqual([
    'a',
  ]);
});

test('-e stands above what only a task sets; a name that nothing sets is an error with the nearest one', async () => {
  const tasks = `tasks: [{ name: one, vars: { colour: red }, command: 'echo {{colour}}' }]`;
  const ran = await run(tasks, { given: { colour: 'blue' } });
  expect(finished(ran, 'one').result['stdout']).toBe('blue');
  expect(await problemsOf(tasks, { given: { color: 'blue' } })).toEqual([
    '-e color: neither an input of this playbook nor a variable — did you mean `colour`?',
  ]);
});

test('any_errors_fatal of a block may be lifted within, and the play goes on for the others', async () => {
  const { story } = await run(
    `
any_errors_fatal: true
tasks:
  - { name: may fail, shell: '[ {{host.name}} = b ]', any_errors_fatal: false }
  - { name: after, command: 'true' }
`,
    { hosts: ['a', 'b'] },
  );
  expect(story.toSorted()).toEqual(['after@b changed', 'may fail@a failed', 'may fail@b changed']);
});

test('a keyword at the wrong level is told where it stands, and one of Ansible’s what it is here', async () => {
  const book = `
plays:
  - hosts: all
    no_log: true
    vars_files: [more.yml]
    tasks:
      - { include: part.yml, loop: [a] }
      - { block: [{ command: 'true', serial: 1 }], loop: [a] }
      - { command: 'true', async: 10 }
`;
  const files = { 'part.yml': '[]', 'more.yml': '{}' };
  expect((await problemsOf(book, { files })).map((line) => line.replace(/^.* — /, ''))).toEqual([
    '`no_log` stands on a task, or on a block around several',
    '`vars_files` stands at the top of the playbook',
    '`loop` stands on a task: a file is included once, when the plan is made',
    '`loop` stands on a task',
    '`serial` stands on a play',
    'not needed: every action is a job that outlives the connection; `timeout` bounds it',
  ]);
});
