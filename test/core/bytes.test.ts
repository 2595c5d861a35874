import { expect, test } from 'vitest';
import { bytesText, zBytes } from '../../engine/core/bytes.ts';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [3190784, '3.0 MiB'],
  [5 * 1024 ** 4, '5.0 TiB'],
  [2000 * 1024 ** 4, '2000.0 TiB'],
])('%d bytes for an operator: %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [4096, 4096],
  ['4096', 4096],
  ['512 KiB', 524_288],
  ['1.5GiB', 1_610_612_736],
  ['0', 0],
])('%s is %d bytes', (text, bytes) => {
  expect(zBytes.parse(text)).toBe(bytes);
});

test.each(['', '4 MB', '-1', 'MiB', '1e9', Number.NaN])('%s is no size', (text) => {
  expect(zBytes.safeParse(text).success).toBe(false);
});
