import { expect, test } from 'vitest';
import { copyProgress } from '../../../engine/modules/mysql/_copy.ts';

const MIB = 2 ** 20;

test('the percent follows the bytes loaded, however what is said is cut into pieces, and tells only what is new', () => {
  const hear = copyProgress(100 * MIB);
  expect(hear(String(5 * MIB))).toBeUndefined();
  expect(hear('\n')).toEqual({ message: '5.0 MiB of about 100.0 MiB', percent: 5 });
  expect(hear(`${5 * MIB + 1}\n`)).toBeUndefined();
  expect(hear(`noise\n${20 * MIB}\n${99 * MIB}\n`)).toEqual({
    message: '99.0 MiB of about 100.0 MiB',
    percent: 99,
  });
});

test('without an estimate, or beyond it, there is no percent', () => {
  expect(copyProgress(undefined)(`${20 * MIB}\n`)).toEqual({ message: '20.0 MiB' });
  expect(copyProgress(10 * MIB)(`${20 * MIB}\n`)).toEqual({ message: '20.0 MiB' });
});
