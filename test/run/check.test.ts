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
