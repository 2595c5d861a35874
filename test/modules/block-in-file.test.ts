import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';
import { HOSTILE } from './_values.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

const wrapped = (block: string): string =>
  `# BEGIN DRILLBOOK MANAGED BLOCK\n${block}\n# END DRILLBOOK MANAGED BLOCK\n`;

test('a block comes, changes in place and goes', async () => {
  const path = join(bench.dir, 'hosts');
  await writeFile(path, 'first\nlast\n');
  const at = { path, insertafter: '^first' };
  await reach(bench, 'block_in_file', { ...at, block: 'one\ntwo\n' });
  expect(await readFile(path, 'utf8')).toBe(`first\n${wrapped('one\ntwo')}last\n`);
  expect((await check(bench, 'block_in_file', { ...at, block: 'one\ntwo' })).changes).toEqual([]);
  await reach(bench, 'block_in_file', { path, block: 'three' });
  expect(await readFile(path, 'utf8')).toBe(`first\n${wrapped('three')}last\n`);
  await reach(bench, 'block_in_file', { path, block: '', insertafter: 'EOF' });
  expect(await readFile(path, 'utf8')).toBe('first\nlast\n');
  expect((await check(bench, 'block_in_file', { path, state: 'absent' })).changes).toEqual([]);
});

test.each(HOSTILE)('a block is taken as it is: %j', async (block) => {
  const path = join(bench.dir, 'hostile');
  await writeFile(path, 'x\n');
  await reach(bench, 'block_in_file', { path, block, marker: '// {mark} $& $1' });
  expect(await readFile(path, 'utf8')).toBe(
    `x\n// BEGIN $& $1\n${block.replace(/\n+$/, '')}\n// END $& $1\n`,
  );
  expect((await check(bench, 'block_in_file', { path, block, marker: '// {mark} $& $1' })).changes).toEqual(
    [],
  );
});

test('two blocks with a marker each do not touch each other', async () => {
  const path = join(bench.dir, 'two');
  for (const name of ['a', 'b', 'a'])
    await reach(bench, 'block_in_file', { path, block: name, marker: `# {mark} ${name}`, create: true });
  expect(await readFile(path, 'utf8')).toBe('# BEGIN a\na\n# END a\n# BEGIN b\nb\n# END b\n');
});

test('a marker without {mark} is refused', async () => {
  await expect(check(bench, 'block_in_file', { path: '/x', marker: '# mine' })).rejects.toThrow(
    'with {mark} in it',
  );
});
