import { expect, test } from 'vitest';
import { normalValue } from '../../../engine/modules/mysql/variables.ts';

test.each([
  ['ON', 1],
  [true, '1'],
  ['off', 0],
  ['16M', 16777216],
  ['2g', '2147483648'],
  ['MIXED', 'mixed'],
  ['0.50', 0.5],
])('%s means the same as %s', (one, other) => {
  expect(normalValue(one)).toBe(normalValue(other));
});

test.each([
  ['ON', 0],
  ['16M', 16],
  ['MIXED', 'ROW'],
])('%s is not %s', (one, other) => {
  expect(normalValue(one)).not.toBe(normalValue(other));
});
