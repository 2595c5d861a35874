import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ vars: { port: 3306, tags: ['a', 'b & c'], name: `it's <b> "x"` } });
  await writeFile(
    join(bench.dir, 'my.cnf.hbs'),
    '# {{name}}\r\nport = {{port}}\n{{#each tags}}\ntag = {{this}}\n{{/each}}\n',
  );
});
afterAll(() => bench.close());

test('is rendered without escaping, named after its source, and idempotent', async () => {
  const dest = join(bench.dir, 'my.cnf');
  const params = { src: 'my.cnf.hbs', dest: `${bench.dir}/`, mode: '0644' };
  const { before } = await reach(bench, 'template', params);
  const text = `# it's <b> "x"\nport = 3306\ntag = a\ntag = b & c\n`;
  expect(before.changes).toEqual([{ what: `content of ${dest}`, after: text }]);
  expect(await readFile(dest, 'utf8')).toBe(text);
  expect((await check(bench, 'template', params)).changes).toEqual([]);
});

test('ends its lines as asked', async () => {
  const dest = join(bench.dir, 'dos');
  await reach(bench, 'template', { src: 'my.cnf.hbs', dest, newline: 'crlf' });
  expect(await readFile(dest, 'utf8')).toBe(`# it's <b> "x"\r\nport = 3306\r\ntag = a\r\ntag = b & c\r\n`);
});

test('an unknown variable fails before anything is written, and is named', async () => {
  await writeFile(join(bench.dir, 'wrong.hbs'), '{{prot}}');
  await expect(
    check(bench, 'template', { src: 'wrong.hbs', dest: join(bench.dir, 'wrong') }),
  ).rejects.toThrow(/wrong\.hbs.*prot/);
});

test('validate refuses: the old file stays', async () => {
  const dest = join(bench.dir, 'valid');
  await writeFile(dest, 'old');
  const params = { src: 'my.cnf.hbs', dest, validate: 'grep -q nothing-like-it %s' };
  await expect(reach(bench, 'template', params)).rejects.toThrow('refused the new');
  expect(await readFile(dest, 'utf8')).toBe('old');
});

test('a template that is not there is an error', async () => {
  await expect(check(bench, 'template', { src: 'none.hbs', dest: '/x' })).rejects.toThrow('cannot read');
});
