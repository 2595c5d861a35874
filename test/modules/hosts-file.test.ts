import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
let path: string;
beforeAll(async () => {
  bench = await openBench();
  path = join(bench.dir, 'hosts');
});
afterAll(() => bench.close());

const DEBIAN =
  '127.0.0.1\tlocalhost\n127.0.1.1\tdbk1.example.com dbk1\n\n::1 localhost ip6-localhost # own\n';

const after = async (before: string, entries: unknown, state = 'present'): Promise<string> => {
  await writeFile(path, before);
  await reach(bench, 'hosts_file', { path, entries, state });
  return readFile(path, 'utf8');
};

describe('hosts_file', () => {
  test.each<[string, string, unknown, string]>([
    ['a name is added at the end', 'a\n', { '10.0.0.1': 'one two' }, 'a\n10.0.0.1\tone two\n'],
    [
      "an older address of a name goes, the line's other names stay",
      DEBIAN,
      { '10.0.0.1': ['dbk1'] },
      `${DEBIAN.replace(' dbk1', '')}10.0.0.1\tdbk1\n`,
    ],
    [
      'a line without names left goes',
      '10.0.0.9 one # old\n# one\n',
      { '10.0.0.1': 'one' },
      '# one\n10.0.0.1\tone\n',
    ],
    [
      'what the address has stays, with its comment',
      ' 10.0.0.1\t x  y # mine',
      { '10.0.0.1': 'one x' },
      ' 10.0.0.1\t x y one # mine\n',
    ],
    ['capitals do not matter', '10.0.0.1 One\n', { '10.0.0.1': 'ONE' }, '10.0.0.1 One\n'],
    [
      'the other family is another matter',
      'fe80::1 one\n10.0.0.9 one\n',
      { '10.0.0.1': 'one' },
      'fe80::1 one\n10.0.0.1\tone\n',
    ],
    [
      'one address is one, however it is spelled',
      '2001:DB8:0::1 one\n',
      { '2001:db8::1': 'one two' },
      '2001:DB8:0::1 one two\n',
    ],
    [
      'names may change places',
      '10.0.0.1 one\n10.0.0.2 two\n',
      { '10.0.0.2': 'one', '10.0.0.1': 'two' },
      '10.0.0.2 one\n10.0.0.1\ttwo\n',
    ],
    [
      'what is no address is left alone',
      'one 10.0.0.1\n10.0.0.9\n',
      { '10.0.0.1': 'one' },
      'one 10.0.0.1\n10.0.0.9\n10.0.0.1\tone\n',
    ],
    ['lines end as they did', '10.0.0.9 one\r\nx\r\n', { '10.0.0.1': 'one' }, 'x\r\n10.0.0.1\tone\r\n'],
  ])('%s', async (_, before, entries, wanted) => {
    expect(await after(before, entries)).toBe(wanted);
    expect((await check(bench, 'hosts_file', { path, entries })).changes).toEqual([]);
  });

  test('absent takes the names off this address alone', async () => {
    const before = '10.0.0.1 one two\n10.0.0.2 one\n';
    expect(await after(before, { '10.0.0.1': 'one' }, 'absent')).toBe('10.0.0.1 two\n10.0.0.2 one\n');
  });

  test.each([
    [{ '10.0.0.1': 'one', '10.0.0.2': 'ONE' }, 'ONE is given twice'],
    [{ '10.0.0.1': 'one one' }, 'one is given twice'],
    [{ '::1': 'a', '0:0::1': 'b' }, '0:0::1 is given twice'],
    [{ '10.0.0.256': 'one' }, '`10.0.0.256` is no IP address'],
    [{ '10.0.0.1': 'localhost' }, 'localhost is this node itself'],
    [{ '10.0.0.1': 'a#b' }, 'must be names of hosts'],
    [{ '10.0.0.1': ['one two'] }, 'must be names of hosts'],
    [{ '10.0.0.1': '' }, 'must be names of hosts'],
  ])('%j is refused', async (entries, why) => {
    await expect(check(bench, 'hosts_file', { path, entries })).rejects.toThrow(why);
  });
});
