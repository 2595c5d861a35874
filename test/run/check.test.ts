import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { finished, project } from './_engine.ts';

test('check looks and tells, and changes nothing', async () => {
  const book = project(`
tasks:
  - { name: file, copy: { dest: '{{dir}}/x', content: hello }, notify: restart }
  - { name: act, shell: 'touch {{dir}}/acted' }
  - { name: look, shell: 'true', changed_when: false }
handlers: [{ name: restart, shell: 'touch {{dir}}/restarted' }]
`);
  const { story, code } = await book.go({ isCheck: true });
  expect(story).toEqual(['file changed', 'act changed', 'look ok', 'restart changed']);
  expect(code).toBe(0);
  for (const file of ['x', 'acted', 'restarted']) expect(existsSync(join(book.dir, 'a', file))).toBe(false);
});

test('what needs the result of a step that only pretended cannot be foreseen, and is no failure', async () => {
  const book = project(`
tasks:
  - { name: act, shell: 'echo 1', register: acted }
  - { name: asks, command: 'true', when: acted.stdout.trim() == "1" }
  - { name: says, command: 'echo {{acted.stdout}}' }
  - { name: by its end, command: 'true', when: acted.changed && !acted.failed && !acted.skipped }
  - { name: unknown, command: 'echo {{nothing.of}}', vars: { nothing: '{{log}}' } }
`);
  const ran = await book.go({ isCheck: true });
  expect(ran.story).toEqual([
    'act changed',
    'asks skipped',
    'says skipped',
    'by its end changed',
    'unknown failed',
  ]);
  expect(finished(ran, 'asks').reason).toContain('cannot be foreseen');
});

test('check_mode: false runs for real under --check, check_mode: true never', async () => {
  const tasks = `
tasks:
  - { name: real, shell: 'echo 5', check_mode: false, register: real }
  - { name: uses, command: 'true', when: real.stdout.trim() == "5" }
  - { name: only looks, copy: { dest: '{{dir}}/x', content: y }, check_mode: true }
`;
  const book = project(tasks);
  expect((await book.go({ isCheck: true })).story).toEqual([
    'real changed',
    'uses changed',
    'only looks changed',
  ]);
  expect((await book.go()).story).toEqual(['real changed', 'uses changed', 'only looks changed']);
  expect(existsSync(join(book.dir, 'a/x'))).toBe(false);
});

test('a state reached once is ok the second time', async () => {
  const book = project(`tasks: [{ name: file, copy: { dest: '{{dir}}/x', content: hello } }]`);
  expect((await book.go()).story).toEqual(['file changed']);
  expect((await book.go()).story).toEqual(['file ok']);
  expect(readFileSync(join(book.dir, 'a/x'), 'utf8')).toBe('hello');
});

test('what a change would give cannot be read before it; what is known of it can', async () => {
  const book = project(`
tasks:
  - { name: put, copy: { dest: '{{dir}}/x', content: hello }, register: put }
  - { name: where it is, command: 'echo {{put.dest}}', when: put.changed }
  - { name: how big it is, command: 'true', when: put.size == 5 }
  - { name: act, shell: 'echo 1', register: acted, loop: [a, b] }
  - { name: of each, command: 'true', when: 'acted.results[0].stdout == "1"' }
  - { name: remember, set: { said: '{{acted.results.[0].stdout}}' } }
  - { name: says it, command: 'echo {{said}}', register: told }
  - { name: whether it would, command: 'true', when: told.changed }
  - { name: either way, command: 'true', when: put.size == 5 || put.changed }
  - { name: known all the same, assert: { that: 'inputs.size() == 7' }, ignore_errors: true }
`);
  const ran = await book.go({ isCheck: true });
  expect(ran.story).toEqual([
    'put changed',
    'where it is changed',
    'how big it is skipped',
    'act changed',
    'of each skipped',
    'remember skipped',
    'says it skipped',
    'whether it would skipped',
    'either way changed',
    'known all the same failed',
  ]);
  expect(finished(ran, 'how big it is').reason).toBe(
    'cannot be foreseen: `size` is known only once `put` has run',
  );
  expect((await book.go()).story.filter((line) => line.endsWith('skipped'))).toEqual([]);
});

test('a step that needs what an earlier one only pretended says so, and is not waited for', async () => {
  const book = project(
    `
tasks:
  - { name: folder, file: { path: '{{dir}}/d', state: directory } }
  - { name: in it, template: { src: page.hbs, dest: '{{dir}}/d/page' } }
  - { name: waits, wait_for: { path: '{{dir}}/d/page' } }
  - { name: again, mysql.query: { query: 'SELECT 1', login: { socket: '{{dir}}/none' } }, retries: 3, delay: 1s, until: 'result.count == 1' }
`,
    { files: { 'page.hbs': 'x' } },
  );
  const ran = await book.go({ isCheck: true });
  expect(ran.story).toEqual(['folder changed', 'in it skipped', 'waits skipped', 'again skipped']);
  expect(finished(ran, 'in it').reason).toMatch(/^cannot be foreseen: there is no directory /);
  expect(finished(ran, 'waits').reason).toMatch(/^cannot be foreseen: .* is not started/);
});

test('without an earlier change the same step fails in check mode as it would for real', async () => {
  const book = project(`tasks: [{ name: in it, copy: { content: x, dest: '{{dir}}/no/page' } }]`);
  const checked = await book.go({ isCheck: true });
  expect(checked.story).toEqual(['in it failed']);
  expect(finished(await book.go(), 'in it').reason).toBe(finished(checked, 'in it').reason);
});

test('creates and removes say already in check mode that nothing is run', async () => {
  const book = project(`
tasks:
  - { name: made, shell: { cmd: 'touch x', creates: '{{dir}}' } }
  - { name: to make, command: { cmd: 'touch x', creates: '{{dir}}/none' } }
  - { name: gone, shell: { cmd: 'touch x', removes: '{{dir}}/none' } }
`);
  expect((await book.go({ isCheck: true })).story).toEqual(['made ok', 'to make changed', 'gone ok']);
});
