import { expect, test } from 'vitest';
import { finished, project, run } from './_engine.ts';

test('a loop runs its items in order and registers a result for each', async () => {
  const ran = await run(`
tasks:
  - { name: each, command: 'echo {{index}}-{{item}}', loop: [x, y], register: out }
  - { name: after, command: 'echo {{out.results.[1].stdout}}', when: 'out.results.size() == 2 && out.results[0].item == "x"', register: said }
`);
  expect(ran.story).toEqual(['each changed', 'after changed']);
  expect(finished(ran, 'after').result['stdout']).toBe('1-y');
});

test('when is asked for each item, also where it reads the item through a variable', async () => {
  const ran = await run(`
tasks:
  - name: each
    command: 'echo {{path}}'
    loop: [a, b, c]
    vars: { path: '/x/{{item}}' }
    when: path != '/x/b'
    register: out
`);
  const results = finished(ran, 'each').result['results'] as { skipped: boolean; stdout?: string }[];
  expect(results.map((one) => (one.skipped ? 'skipped' : one.stdout?.trim()))).toEqual([
    '/x/a',
    'skipped',
    '/x/c',
  ]);
});

test.each([
  ['all items skipped', 'loop: [a, b], when: item == "z"', 'skipped'],
  ['no items', 'loop: []', 'skipped'],
  ['none changed', 'loop: [a, b], changed_when: false', 'ok'],
  ['one changed', 'loop: [a, b], changed_when: item == "b"', 'changed'],
  ['one failed, the others run', 'loop: [a, b, c], failed_when: item == "b"', 'failed'],
])('%s: the step is %s', async (_name, keywords, outcome) => {
  const ran = await run(`tasks:\n  - { name: each, command: 'true', ${keywords} }`);
  expect(ran.story).toEqual([`each ${outcome}`]);
  if (outcome === 'failed') expect(finished(ran, 'each').result['results']).toHaveLength(3);
});

test('a step that is skipped by a condition without the item does not look at its list', async () => {
  const ran = await run(`
tasks:
  - { name: look, command: 'true', when: false, register: found }
  - { name: each, command: 'true', loop: '{{found.stdout_lines}}', when: '!found.skipped' }
`);
  expect(ran.story).toEqual(['look skipped', 'each skipped']);
  expect(ran.code).toBe(0);
});

test('until tries again until the condition holds, and fails when the retries are spent', async () => {
  const count = (file: string): string => `echo x >> {{dir}}/${file}; wc -l < {{dir}}/${file}`;
  const ran = await run(`
tasks:
  - { name: third, shell: '${count('n')}', register: n, until: n.stdout.trim() == "3", retries: 5, delay: 10ms }
  - { name: never, shell: '${count('m')}', register: m, until: 'false', retries: 2, delay: 10ms, ignore_errors: true }
  - { name: after, command: 'true', when: m.failed && m.stdout.trim() == "3" }
`);
  expect(ran.story).toEqual(['third changed', 'never failed', 'after changed']);
  expect(finished(ran, 'never').reason).toBe('not yet: false (after 3 attempts)');
});

test('retries without until try again after a failure', async () => {
  const ran = await run(`
tasks: [{ name: flaky, shell: 'echo x >> {{dir}}/n; test $(wc -l < {{dir}}/n) = 2', retries: 3, delay: 10ms }]
`);
  expect(ran.story).toEqual(['flaky changed']);
  expect(ran.events.filter((event) => event.event === 'step_progress').map((event) => event.message)).toEqual(
    ['attempt 1 of 4: exit code 1'],
  );
});

test('timeout ends an attempt and says the time as it was meant', async () => {
  const ran = await run(`tasks: [{ name: slow, command: sleep 60, timeout: 200ms }]`);
  expect(ran.story).toEqual(['slow failed']);
  expect(finished(ran, 'slow').reason).toBe('not done within 200ms');
});

test('failed_when and changed_when decide by the result', async () => {
  const ran = await run(`
tasks:
  - { name: fine, shell: 'exit 1', failed_when: result.code > 1 }
  - { name: bad, shell: 'echo ERROR', failed_when: '"ERROR" in result.stdout_lines', ignore_errors: true }
  - { name: same, shell: 'echo no', changed_when: result.stdout.contains("yes") }
`);
  expect(ran.story).toEqual(['fine changed', 'bad failed', 'same ok']);
});

test('run_once runs on the first host, its result counts for all', async () => {
  const book = project(
    `
tasks:
  - { name: once, command: 'echo {{host.name}}', run_once: true, register: who }
  - { name: all, command: 'true', when: who.stdout.trim() == "a" }
`,
    { hosts: ['a', 'b'] },
  );
  const ran = await book.go();
  expect(ran.story.toSorted()).toEqual(['all@a changed', 'all@b changed', 'once@a changed']);
});

test('delegate_to runs elsewhere with the variables of the host', async () => {
  const ran = await run(
    `
tasks:
  - { name: far, shell: 'echo {{host.name}} > {{hosts.b.vars.dir}}/said; cat {{hosts.b.vars.dir}}/said', delegate_to: b, when: host.name == "a" }
`,
    { hosts: ['a', 'b'] },
  );
  expect(finished(ran, 'far', 'a').result['stdout']).toBe('a');
});
