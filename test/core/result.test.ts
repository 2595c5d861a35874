import { expect, test } from 'vitest';
import { z } from 'zod';
import { registeredFields, resultProblems } from '../../engine/core/result.ts';

const module = { returns: { code: z.int().describe('exit code'), note: z.string().optional() } };

test('a result is held against what its module declares: all of it, and nothing else', () => {
  expect(resultProblems(module, { code: 0 }, false)).toEqual([]);
  expect(resultProblems(module, { code: 0, more: 1 }, false)).toEqual(['result: Unrecognized key: "more"']);
  expect(resultProblems(module, {}, false)[0]).toMatch(/^code: /);
  expect(resultProblems(module, { code: '0' }, false)[0]).toMatch(/^code: /);
});

test('a failure may lack what it declares, and may say what failures say; nothing else', () => {
  expect(resultProblems(module, { stderr: 'no' }, true)).toEqual([]);
  expect(resultProblems(module, { stderr: 'no', more: 1 }, true)).toHaveLength(1);
  expect(resultProblems(module, { code: '0' }, true)).toHaveLength(1);
});

test('what is registered has the fields of the engine too, and of a loop a list of them', () => {
  const own = registeredFields(module, false);
  expect(Object.keys(own)).toEqual(expect.arrayContaining(['code', 'note', 'changed', 'failed', 'msg']));
  expect(own['code']?.safeParse(undefined).success).toBe(true);
  expect(own['code']?.safeParse('1').success).toBe(false);
  expect(Object.keys(registeredFields(module, true))).not.toContain('code');
  expect(Object.keys(registeredFields(module, true))).toContain('results');
});
