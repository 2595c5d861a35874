import { expect, test } from 'vitest';
import { finished, run } from './_engine.ts';

const ok = (name: string): string => `{ name: ${name}, command: 'true' }`;
const bad = (name: string): string => `{ name: ${name}, command: 'false' }`;

test.each<[string, string, string[], number]>([
  [
    'always runs after a block that went well, rescue does not',
    `- { block: [${ok('b')}], rescue: [${ok('r')}], always: [${ok('a')}] }\n- ${ok('next')}`,
    ['b changed', 'a changed', 'next changed'],
    0,
  ],
  [
    'rescue and always run after a failure, and the run is well',
    `- { block: [${bad('b')}, ${ok('left')}], rescue: [${ok('r')}], always: [${ok('a')}] }\n- ${ok('next')}`,
    ['b failed', 'r changed', 'a changed', 'next changed'],
    0,
  ],
  [
    'without rescue always runs and the failure stays',
    `- { block: [${bad('b')}], always: [${ok('a')}] }\n- ${ok('next')}`,
    ['b failed', 'a changed'],
    1,
  ],
  [
    'a failing rescue fails, after always',
    `- { block: [${bad('b')}], rescue: [${bad('r')}], always: [${ok('a')}] }\n- ${ok('next')}`,
    ['b failed', 'r failed', 'a changed'],
    1,
  ],
  [
    'a failing always fails',
    `- { block: [${ok('b')}], always: [${bad('a')}] }\n- ${ok('next')}`,
    ['b changed', 'a failed'],
    1,
  ],
  [
    'an inner rescue keeps the outer one quiet',
    `- { block: [{ block: [${bad('b')}], rescue: [${ok('inner')}] }, ${ok('more')}], rescue: [${ok('outer')}] }`,
    ['b failed', 'inner changed', 'more changed'],
    0,
  ],
  [
    'a failing inner rescue wakes the outer one, after the inner always',
    `- { block: [{ block: [${bad('b')}], rescue: [${bad('inner')}], always: [${ok('a')}] }], rescue: [${ok('outer')}] }\n- ${ok('next')}`,
    ['b failed', 'inner failed', 'a changed', 'outer changed', 'next changed'],
    0,
  ],
])('%s', async (_name, tasks, story, code) => {
  const ran = await run(`tasks:\n${tasks.replace(/^/gm, '  ')}`);
  expect(ran.story).toEqual(story);
  expect(ran.code).toBe(code);
});

test('rescue takes the hosts that failed, always takes all', async () => {
  const { story, code } = await run(
    `
tasks:
  - block:
      - { name: b, command: 'test {{host.name}} = a' }
      - { name: more, command: 'true' }
    rescue: [${ok('r')}]
    always: [${ok('al')}]
`,
    { hosts: ['a', 'b'] },
  );
  expect(story.toSorted()).toEqual([
    'al@a changed',
    'al@b changed',
    'b@a changed',
    'b@b failed',
    'more@a changed',
    'r@b changed',
  ]);
  expect(code).toBe(0);
});

test('a block lends when, vars, environment, tags and ignore_errors to its tasks', async () => {
  const ran = await run(`
tasks:
  - block:
      - { name: said, command: 'sh -c "test $GREETING = hello-x"' }
      - { name: bad, command: 'false' }
    vars: { who: x }
    environment: { GREETING: 'hello-{{who}}' }
    ignore_errors: true
  - block: [${ok('never')}]
    when: 1 > 2
`);
  expect(ran.story).toEqual(['said changed', 'bad failed', 'never skipped']);
  expect(finished(ran, 'bad').isForgiven).toBe(true);
  expect(finished(ran, 'never').reason).toBe('when: 1 > 2');
  expect(ran.code).toBe(0);
});

test('an ignored failure is registered and the run goes on', async () => {
  const ran = await run(`
tasks:
  - { name: bad, shell: 'echo seen; exit 3', register: it, ignore_errors: true }
  - { name: good, command: 'echo {{it.stdout}}', when: 'it.failed && it.code == 3', register: out }
`);
  expect(ran.story).toEqual(['bad failed', 'good changed']);
  expect(finished(ran, 'good').result['stdout']).toBe('seen');
  expect(ran.code).toBe(0);
});
