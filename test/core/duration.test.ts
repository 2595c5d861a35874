import { expect, test } from 'vitest';
import { durationText, parseDuration, zDuration } from '../../engine/core/duration.ts';

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1500],
  ['1d', 86_400_000],
  ['7', 7000],
  [7, 7000],
  [0.5, 500],
  [0, 0],
])('%j lasts %i ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
  expect(zDuration.parse(text)).toBe(milliseconds);
});

test.each(['', 's', '10 s', '-1s', '10x', '1h foo', 'ten', -1, Number.NaN, Number.POSITIVE_INFINITY])(
  '%j is no duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
    expect(zDuration.safeParse(text).success).toBe(false);
  },
);

test('a wrong duration says what may be written', () => {
  expect(zDuration.safeParse('10 minutes').error?.issues[0]?.message).toContain('write 500ms, 10s, 2m');
});

test.each([
  [20, '20ms'],
  [1500, '1.5s'],
  [10_000, '10s'],
  [90_000, '1m30s'],
  [3_600_000, '1h'],
  [5_403_000, '1h30m3s'],
])('%i ms read %s', (milliseconds, text) => {
  expect(durationText(milliseconds)).toBe(text);
});
