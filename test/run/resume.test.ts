import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DrillbookError } from '../../engine/core/error.ts';
import { runIds } from '../../engine/run/journal/journal.ts';
import { finished, project, run } from './_engine.ts';

const mark = (name: string): string => `echo x >> {{dir}}/${name}`;
const times = (path: string): number =>
  existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').length : 0;

test('after a failure resume tries the failed step again, and only what comes after it', async () => {
  const book = project(`
tasks:
  - { name: before, shell: '${mark('before')}; echo kept', register: kept }
  - { name: fails, shell: '${mark('fails')}; test -e {{dir}}/mended' }
  - { name: after, shell: 'printf %s {{sh kept.stdout}} > {{dir}}/after' }
`);
  const first = await book.go();
  expect(first.story).toEqual(['before changed', 'fails failed']);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect(second.story).toEqual(['fails changed', 'after changed']);
  expect(times(join(book.dir, 'a/before'))).toBe(1);
  expect(readFileSync(join(book.dir, 'a/after'), 'utf8')).toBe('kept');
  expect(second.code).toBe(0);
});

test('what ran in always after a failure runs again, when the resume comes to it on another way', async () => {
  const book = project(`
tasks:
  - block:
      - { name: opens, shell: '${mark('opens')}' }
      - { name: fails, shell: 'test -e {{dir}}/mended' }
      - { name: more, shell: '${mark('more')}' }
    always:
      - { name: closes, shell: '${mark('closes')}; wc -l < {{dir}}/closes', register: closed }
  - { name: breaks, shell: 'test -e {{dir}}/mended-too' }
  - { name: last, command: 'echo {{closed.stdout}}' }
`);
  const first = await book.go();
  expect(first.story).toEqual(['opens changed', 'fails failed', 'closes changed']);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect(second.story).toEqual(['fails changed', 'more changed', 'closes changed', 'breaks failed']);
  writeFileSync(join(book.dir, 'a/mended-too'), '');
  const third = await book.go({}, first.run);
  expect(third.story).toEqual(['breaks changed', 'last changed']);
  expect(finished(third, 'last').result['stdout']).toBe('2');
  expect([times(join(book.dir, 'a/opens')), times(join(book.dir, 'a/more'))]).toEqual([1, 1]);
});

test('where one host’s failure took the others out, they too go the new way', async () => {
  const book = project(
    `
any_errors_fatal: true
tasks:
  - block:
      - { name: fails, shell: '${mark('fails')}; test {{host.name}} = b || test -e {{dir}}/mended' }
      - { name: more, shell: '${mark('more')}' }
    always:
      - { name: closes, shell: '${mark('closes')}' }
`,
    { hosts: ['a', 'b'] },
  );
  const first = await book.go();
  expect(first.story.toSorted()).toEqual([
    'closes@a changed',
    'closes@b changed',
    'fails@a failed',
    'fails@b changed',
  ]);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect(second.story.toSorted()).toEqual([
    'closes@a changed',
    'closes@b changed',
    'fails@a changed',
    'more@a changed',
    'more@b changed',
  ]);
});

test('a step that ran once for all is not run again on a host that comes back', async () => {
  const book = project(
    `
tasks:
  - { name: fails, shell: 'test {{host.name}} = b || test -e {{dir}}/mended' }
  - { name: once, shell: '${mark('once')}; echo {{host.name}}', run_once: true, register: who }
  - { name: stops, shell: 'test -e {{hosts.a.vars.dir}}/mended' }
  - { name: all, command: 'echo {{who.stdout}}' }
`,
    { hosts: ['a', 'b'] },
  );
  const first = await book.go();
  expect(first.story.toSorted()).toEqual([
    'fails@a failed',
    'fails@b changed',
    'once@b changed',
    'stops@b failed',
  ]);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect(second.code).toBe(0);
  expect(finished(second, 'all', 'a').result['stdout']).toBe('b');
  expect(times(join(book.dir, 'a/once'))).toBe(0);
});

test('a failed loop goes on where it failed', async () => {
  const book = project(`
tasks:
  - { name: each, shell: '${mark('{{item}}')}; test {{item}} != b || test -e {{dir}}/mended', loop: [a, b, c], register: out }
  - { name: after, command: 'echo {{out.results.[0].item}}{{out.results.[1].item}}{{out.results.[2].item}}' }
`);
  const first = await book.go();
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect(second.story).toEqual(['each changed', 'after changed']);
  expect(['a', 'b', 'c'].map((name) => times(join(book.dir, 'a', name)))).toEqual([1, 2, 1]);
  expect(finished(second, 'after').result['stdout']).toBe('abc');
});

test('an action in flight is taken up: what it did is found on the node, and the loop goes on behind it', async () => {
  const book = project(`
tasks:
  - { name: each, shell: '${mark('{{item}}')}; echo {{item}}', loop: [a, b, c], register: out }
  - { name: after, command: 'echo {{out.results.[1].stdout}}' }
`);
  // Events: run, play, start, boot, item a, then death before item b is told.
  await book.die(6);
  const resumed = await book.go({}, runIds(book.state)[0]);
  expect([resumed.code, resumed.story]).toEqual([0, ['each changed', 'after changed']]);
  expect(['a', 'b', 'c'].map((name) => times(join(book.dir, 'a', name)))).toEqual([1, 1, 1]);
  expect(finished(resumed, 'after').result['stdout']).toBe('b');
});

/** Leaves nobody behind who could tell how it ended, the first time. */
const LOST = 'test -e {{dir}}/second || { touch {{dir}}/second; kill -9 $$; }';

test('an action that is lost from sight is in doubt, exit code 4; rerun and skip decide, for a loop about that item', async () => {
  const tasks = `
tasks:
  - { name: each, shell: '${mark('{{item}}')}; test {{item}} != b || ${LOST}', loop: [a, b, c] }
  - { name: after, shell: '${mark('after')}' }
`;
  for (const [onInterrupt, marks] of [
    ['rerun', [1, 2, 1, 1]],
    ['skip', [1, 1, 1, 1]],
  ] as const) {
    const book = project(tasks);
    const first = await book.go();
    expect([first.code, first.story]).toEqual([4, ['each in_doubt']]);
    expect(finished(first, 'each').reason).toContain('b: something ended it on a before it was done');
    const again = await book.go({}, first.run);
    expect([again.code, again.story]).toEqual([4, ['each in_doubt']]);
    const decided = await book.go({ request: { onInterrupt } }, first.run);
    expect(decided.code).toBe(0);
    expect(['a', 'b', 'c', 'after'].map((name) => times(join(book.dir, 'a', name)))).toEqual(marks);
  }
});

test('a doubt about an item leaves alone one that had failed before it', async () => {
  const book = project(`
tasks:
  - name: each
    shell: '${mark('{{item}}')}; test {{item}} != a || test -e {{dir}}/mended || exit 1; test {{item}} != b || ${LOST}'
    loop: [a, b, c]
`);
  const first = await book.go();
  expect(first.code).toBe(4);
  writeFileSync(join(book.dir, 'a/mended'), '');
  const decided = await book.go({ request: { onInterrupt: 'skip' } }, first.run);
  expect(decided.code).toBe(0);
  expect(['a', 'b', 'c'].map((name) => times(join(book.dir, 'a', name)))).toEqual([2, 1, 1]);
});

test('inputs are after a resume what they were; another value has to be accepted', async () => {
  const book = project(`
inputs:
  wait: { type: duration }
  short: { type: duration, default: 2s }
plays:
  - hosts: all
    tasks:
      - { name: fails, shell: 'test -e {{dir}}/mended' }
      - { name: tells, command: 'echo {{inputs.wait}} {{inputs.short}}' }
      - { name: waits, wait_for: { path: '{{dir}}/mended', timeout: '{{inputs.wait}}' } }
`);
  const first = await book.go({ given: { wait: '90s' } });
  const started = first.events.find((event) => event.event === 'run_started');
  const kept = started?.options['inputs'] as Record<string, unknown>;
  writeFileSync(join(book.dir, 'a/mended'), '');
  await expect(book.go({ given: { wait: '91s' } }, first.run)).rejects.toThrow('-e wait');
  const second = await book.go({ given: kept }, first.run);
  expect(finished(second, 'tells').result['stdout']).toBe('90s 2s');
});

test('on_interrupt of the task decides without being asked', async () => {
  const ran = await run(
    `tasks: [{ name: one, shell: '${mark('one')}; echo x; ${LOST}', on_interrupt: rerun }]`,
  );
  expect([ran.code, ran.story]).toEqual([0, ['one changed']]);
  const again = ran.events.find((event) => event.event === 'step_progress' && event.isRerun);
  expect(again).toMatchObject({ message: 'its outcome is unknown; run again as decided' });
});

test('on_interrupt: ask asks; Ctrl-C there decides nothing', async () => {
  const book = project(`tasks: [{ name: one, shell: '${mark('one')}; ${LOST}', on_interrupt: ask }]`);
  const leave = () => Promise.reject(new DrillbookError('interrupt.question', 'interrupted at a question'));
  const left = await book.go({ request: { ask: leave } });
  expect([left.code, left.story, left.events.at(-1)?.event]).toEqual([
    3,
    ['one in_doubt'],
    'run_interrupted',
  ]);
  const resumed = await book.go({ request: { ask: () => Promise.resolve('r') } }, left.run);
  expect([resumed.code, resumed.story]).toEqual([0, ['one changed']]);
  expect(times(join(book.dir, 'a/one'))).toBe(2);
});

test('an edited playbook is refused, and taken with --accept-changes', async () => {
  const book = project(`tasks: [{ name: one, shell: '${mark('one')}' }, { name: two, command: 'false' }]`);
  const first = await book.go();
  const text = readFileSync(book.playbook, 'utf8');
  writeFileSync(book.playbook, text.replace("'false'", "'true'"));
  await expect(book.go({}, first.run)).rejects.toThrow('edited since the run began');
  const resumed = await book.go({ request: { acceptChanges: true } }, first.run);
  expect(resumed.story).toEqual(['two changed']);
  expect(times(join(book.dir, 'a/one'))).toBe(1);
});

test('a secret in a result is there again after a resume, and never the mask in its place', async () => {
  const book = project(
    `
tasks:
  - { name: set it, set: { mine: 'x-{{password}}' } }
  - { name: act, shell: 'echo {{password}}', register: acted }
  - { name: fails, shell: 'test -e {{dir}}/mended' }
  - { name: uses set, shell: 'printf %s {{sh mine}} > {{dir}}/mine' }
  - { name: uses act, shell: 'printf %s {{sh acted.stdout}} > {{dir}}/acted' }
`,
  );
  writeFileSync(
    book.inventory,
    `${readFileSync(book.inventory, 'utf8').replace('vars: {', 'vars: { password: !secret hunter22,')}`,
  );
  const first = await book.go();
  expect(first.story.at(-1)).toBe('fails failed');
  writeFileSync(join(book.dir, 'a/mended'), '');
  const second = await book.go({}, first.run);
  expect(second.story).toEqual(['fails changed', 'uses set changed', 'uses act changed']);
  expect(readFileSync(join(book.dir, 'a/mine'), 'utf8')).toBe('x-hunter22');
  expect(readFileSync(join(book.dir, 'a/acted'), 'utf8')).toBe('hunter22');
});
