import { expect, test } from 'vitest';
import { DrillbookError, Problems } from '../../engine/core/error.ts';
import { errorText, problemText } from '../../engine/report/problem.ts';

const options = { isColor: false, isUnicode: true };
const wrongModule = new DrillbookError('parse.module', '`servcie`: unknown module', {
  at: { file: 'a.yml', line: 12, column: 9 },
  excerpt: '        servcie: { name: backupd }',
  hint: 'did you mean `service`?',
});

test('an error shows its place, the source line with a caret under the word, and the hint', () => {
  expect(problemText(wrongModule, options).split('\n')).toEqual([
    'a.yml:12:9: error: `servcie`: unknown module',
    '  12 |         servcie: { name: backupd }',
    '     |         ^',
    '  hint: did you mean `service`?',
  ]);
});

test('the caret stands under the word behind tabs and Chinese characters', () => {
  const error = new DrillbookError('parse.x', 'no', {
    at: { file: 'a.yml', line: 1, column: 5 },
    excerpt: '\t备份 x',
  });
  expect(problemText(error, options).split('\n')[2]).toBe('    | \t     ^');
});

test('all of several problems are listed, with their number', () => {
  const text = problemText(new Problems([wrongModule, new DrillbookError('plan.x', 'second')]), options);
  expect(text).toContain('a.yml:12:9');
  expect(text).toContain('error: second');
  expect(text.endsWith('2 problems')).toBe(true);
});

test('an absolute path is shown as the operator would type it', () => {
  const at = { file: `${process.cwd()}/playbooks/x.yml`, line: 1, column: 1 };
  expect(problemText(new DrillbookError('parse.x', 'no', { at }), options)).toBe(
    'playbooks/x.yml:1:1: error: no',
  );
});

test('the cause is told unless the sentence has it already', () => {
  const cause = new Error('ECONNREFUSED 10.0.0.1:22');
  expect(problemText(new DrillbookError('host.x', 'no connection', { cause }), options)).toContain(
    'cause: ECONNREFUSED',
  );
  const said = new DrillbookError('host.x', 'no connection: ECONNREFUSED 10.0.0.1:22', { cause });
  expect(problemText(said, options)).not.toContain('cause:');
});

test('text from a host cannot send escape sequences to the terminal', () => {
  const error = new DrillbookError('step.x', 'said \x1b]0;owned\x07\x1b[2Jhello');
  expect(problemText(error, options)).toBe('error: said hello');
});

test('what we did not foresee is announced as a bug of the engine, with the stacks of all causes', () => {
  const text = errorText(new TypeError('x is undefined', { cause: new Error('deep') }), options);
  expect(text).toMatch(/^a bug of the engine/);
  expect(text).toContain('TypeError: x is undefined');
  expect(text).toContain('problem.test.ts');
  expect(text).toContain('caused by Error: deep');
  expect(errorText('just text', options)).toContain('thrown: just text');
});

test('colours are there when asked for, and only then', () => {
  expect(problemText(wrongModule, { isColor: true })).toContain('\x1b[31merror');
  expect(problemText(wrongModule, options)).not.toContain('\x1b');
});
