import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import { onTerminal } from './_terminal.ts';

const BOOK = `
confirm: Changes things.
inputs: { word: { type: string } }
plays: [{ hosts: all, tasks: [{ name: one, command: 'echo {{inputs.word}}' }] }]
`;

test.each([
  ['Ctrl-C at the code', ['-e', 'word=x'], [['Type the code', '\x03']], true],
  ['Ctrl-D at the code', ['-e', 'word=x'], [['Type the code', '\x04']], true],
  ['Ctrl-C at an input', [], [['[word]: ', '\x03']], false],
  ['Ctrl-C at --step', ['-e', 'word=x', '--yes', 'CODE', '--step'], [['run it?', '\x03']], true],
] as const)('%s interrupts, exit code 3', async (_name, options, answers, hasRun) => {
  const book = project(BOOK);
  const { drillbook } = await import('./_drillbook.ts');
  const where = [book.playbook, '-i', book.inventory, '--state', book.state];
  const plan = await drillbook(['plan', ...where, '-e', 'word=x']);
  const code = /--yes ([0-9a-f]{6})/.exec(plan.stdout)?.[1] ?? '';
  const given = options.map((word) => (word === 'CODE' ? code : word));
  const said = await onTerminal(['run', ...where, ...given], answers);
  expect(said.screen).not.toMatch(/bug|AbortError/);
  expect(said.screen).toContain('interrupted');
  expect(said.code).toBe(3);
  const runs = (await drillbook(['runs', '--state', book.state])).stdout;
  expect(runs.includes('unfinished')).toBe(hasRun);
});

test('--step asks before each step, takes no stray Enter for a yes, skips and quits; the resume leaves out what was said no to', async () => {
  const { drillbook } = await import('./_drillbook.ts');
  const names = ['one', 'two', 'three', 'four'];
  const tasks = names.map((name) => `{ name: ${name}, shell: 'echo ${name} >> {{log}}' }`);
  const book = project(`tasks: [${tasks.join(', ')}]`);
  const where = [book.playbook, '-i', book.inventory, '--state', book.state];
  const answers = ['\n', 'y\n', 'n\n', 'q\n'].map((answer) => ['[q]uit: ', answer] as const);
  const said = await onTerminal(['run', ...where, '--step'], answers);
  expect(said.screen).toContain('one [shell] on a (');
  expect(said.code).toBe(3);
  expect(readFileSync(`${book.dir}/log`, 'utf8')).toBe('one\n');
  const resumed = await drillbook(['resume', '--state', book.state]);
  expect(resumed.code).toBe(0);
  expect(readFileSync(`${book.dir}/log`, 'utf8')).toBe('one\nthree\nfour\n');
});

test('a terminal has its cursor again after a second Ctrl-C, in the midst of a step', async () => {
  const book = project(
    `tasks: [{ name: Waits for long, wait_for: { path: '{{dir}}/never', timeout: 60s } }]`,
  );
  const where = [book.playbook, '-i', book.inventory, '--state', book.state];
  const { code, screen } = await onTerminal(
    ['run', ...where],
    [
      ['Waits for long', '\x03'],
      ['once more stops at once', '\x03'],
    ],
  );
  expect(code).toBe(3);
  expect(screen).toContain('\x1b[?25l');
  expect(screen.lastIndexOf('\x1b[?25h')).toBeGreaterThan(screen.lastIndexOf('\x1b[?25l'));
});
