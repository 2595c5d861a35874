import { execFileSync } from 'node:child_process';
import {
  chmod,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check, openBench, reach, run } from './_context.ts';
import type { Bench } from './_context.ts';
import { HOSTILE, HOSTILE_NAMES } from './_values.ts';

let bench: Bench;
let count = 0;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

async function fresh(): Promise<string> {
  const dir = join(bench.dir, `case ${++count}`);
  await mkdir(dir);
  return dir;
}

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o7777).toString(8);

test.each([...HOSTILE, '', 'x'.repeat(100_000), 'y'.repeat(2_000_000)])(
  'content arrives as it is, once: %.30j',
  async (content) => {
    const dest = join(await fresh(), 'file');
    const { before, result } = await reach(bench, 'copy', { content, dest, mode: '0640' });
    expect(before.changes.map((change) => change.what)).toEqual([`content of ${dest}`]);
    expect(await readFile(dest, 'utf8')).toBe(content);
    expect(result).toMatchObject({
      dest,
      mode: '0640',
      owner: 'root',
      size:
        content.length === [...content].length && /^[\x00-\x7f]*$/.test(content)
          ? content.length
          : Buffer.byteLength(content),
    });
    expect((await check(bench, 'copy', { content, dest, mode: '0640' })).changes).toEqual([]);
  },
);

test.each(HOSTILE_NAMES)('the name of a file is taken as it is: %j', async (name) => {
  const dir = await fresh();
  await reach(bench, 'copy', { content: 'old', dest: join(dir, name) });
  const { result } = await reach(bench, 'copy', { content: 'new', dest: join(dir, name), backup: true });
  const backup = String(result['backup_file']);
  expect((await readdir(dir)).sort()).toEqual([name, backup.slice(dir.length + 1)].sort());
  expect(backup.startsWith(`${join(dir, name)}.`) && backup.endsWith('~')).toBe(true);
  expect(await readFile(backup, 'utf8')).toBe('old');
  expect((await check(bench, 'copy', { content: 'new', dest: join(dir, name) })).changes).toEqual([]);
});

test('bytes that are no text arrive as they are and are not shown', async () => {
  const dir = await fresh();
  const bytes = Buffer.from([...Array(70_000).keys()].map((i) => i % 256));
  await writeFile(join(bench.dir, 'blob'), bytes);
  const { before } = await reach(bench, 'copy', { src: 'blob', dest: `${dir}/` });
  expect(before.changes[0]?.after).toBe('(68 KiB, not shown)');
  expect((await readFile(join(dir, 'blob'))).equals(bytes)).toBe(true);
  await writeFile(join(dir, 'blob'), Buffer.from([0, 1, 2]));
  expect((await check(bench, 'copy', { src: 'blob', dest: `${dir}/` })).changes).toEqual([
    { what: `content of ${join(dir, 'blob')}`, before: '(3 B, binary)', after: '(68 KiB, binary)' },
  ]);
});

test('a difference shows both texts, and what is not asked for stays', async () => {
  const dest = join(await fresh(), 'motd');
  await writeFile(dest, 'old\n');
  execFileSync('chown', ['daemon:mail', dest]);
  await chmod(dest, 0o4751);
  const { before } = await reach(bench, 'copy', { content: 'new\n', dest });
  expect(before.changes).toEqual([{ what: `content of ${dest}`, before: 'old\n', after: 'new\n' }]);
  expect(await modeOf(dest)).toBe('4751');
  expect(execFileSync('stat', ['-c', '%U:%G', dest], { encoding: 'utf8' })).toBe('daemon:mail\n');
});

test('owner, group and mode are closed without writing the file', async () => {
  const dest = join(await fresh(), 'same');
  await writeFile(dest, 'same');
  await chmod(dest, 0o600);
  const inode = (await stat(dest)).ino;
  const params = { content: 'same', dest, mode: 'u=rw,go=r', owner: 'daemon', group: 8 };
  const { before } = await reach(bench, 'copy', params);
  expect(before.changes).toEqual([
    { what: `mode of ${dest}`, before: '0600', after: '0644' },
    { what: `owner of ${dest}`, before: 'root', after: 'daemon' },
    { what: `group of ${dest}`, before: 'root', after: '8' },
  ]);
  expect((await stat(dest)).ino).toBe(inode);
  expect((await check(bench, 'copy', params)).changes).toEqual([]);
});

test('a look and a change are one exchange each', async () => {
  const dest = join(await fresh(), 'x');
  const start = bench.exchanges();
  await reach(bench, 'copy', { content: 'a', dest, mode: '0600', validate: 'test -s %s', backup: true });
  expect(bench.exchanges() - start).toBe(2);
  await check(bench, 'copy', { content: 'a', dest });
  expect(bench.exchanges() - start).toBe(3);
});

describe('validate', () => {
  test('refuses: the old file stays, nothing is left beside it, and its words are the cause', async () => {
    const dir = await fresh();
    const dest = join(dir, 'conf');
    await writeFile(dest, 'good');
    const params = {
      content: 'bad',
      dest,
      validate: `sh -c 'grep -q good "$1" || { echo line 1: no good >&2; exit 1; }' sh %s`,
    };
    await expect(reach(bench, 'copy', params)).rejects.toMatchObject({
      message: expect.stringMatching(/refused the new .*conf: line 1: no good$/),
      hint: 'the old file is untouched',
    });
    expect(await readFile(dest, 'utf8')).toBe('good');
    expect(await readdir(dir)).toEqual(['conf']);
    await reach(bench, 'copy', { ...params, content: 'good too' });
    expect(await readFile(dest, 'utf8')).toBe('good too');
  });

  test('gets the path also inside a word', async () => {
    const dest = join(await fresh(), "it's $(x)");
    await reach(bench, 'copy', {
      content: 'text',
      dest,
      validate: `sh -c 'test -f "\${1#--file=}"' sh --file=%s`,
    });
    expect(await readFile(dest, 'utf8')).toBe('text');
  });

  test('must name the file', async () => {
    await expect(check(bench, 'copy', { content: '', dest: '/x', validate: 'true' })).rejects.toThrow(
      'must hold %s',
    );
  });
});

describe('links', () => {
  test('a link is replaced, and what it points to is untouched', async () => {
    const dir = await fresh();
    await writeFile(join(dir, 'target'), 'target');
    await symlink('target', join(dir, 'link'));
    const { before } = await reach(bench, 'copy', { content: 'target', dest: join(dir, 'link') });
    expect(before.changes[0]).toEqual({
      what: `kind of ${join(dir, 'link')}`,
      before: 'link to target',
      after: 'file',
    });
    expect((await lstat(join(dir, 'link'))).isFile()).toBe(true);
  });

  test('with follow the file it points to is written, also one that is not there yet', async () => {
    const dir = await fresh();
    await symlink('target', join(dir, 'link'));
    for (const content of ['one', 'two']) {
      await reach(bench, 'copy', { content, dest: join(dir, 'link'), follow: true });
      expect(await readlink(join(dir, 'link'))).toBe('target');
      expect(await readFile(join(dir, 'target'), 'utf8')).toBe(content);
    }
  });

  test('a link to a directory is replaced, not gone through', async () => {
    const dir = await fresh();
    await mkdir(join(dir, 'sub'));
    await symlink('sub', join(dir, 'link'));
    await reach(bench, 'copy', { content: 'x', dest: join(dir, 'link') });
    expect((await lstat(join(dir, 'link'))).isFile()).toBe(true);
    expect(await readdir(join(dir, 'sub'))).toEqual([]);
  });

  test('another name of the same file keeps the old content', async () => {
    const dir = await fresh();
    await writeFile(join(dir, 'a'), 'old');
    await link(join(dir, 'a'), join(dir, 'b'));
    await reach(bench, 'copy', { content: 'new', dest: join(dir, 'a') });
    expect(await readFile(join(dir, 'b'), 'utf8')).toBe('old');
  });
});

describe('what cannot be', () => {
  test('a parent directory that is missing', async () => {
    const dir = await fresh();
    const dest = join(dir, 'no', 'such', 'file');
    await expect(check(bench, 'copy', { content: 'x', dest })).rejects.toThrow(
      `there is no directory ${join(dir, 'no', 'such')}`,
    );
  });

  test('a directory in the place of the file', async () => {
    await expect(reach(bench, 'copy', { content: 'x', dest: bench.dir })).rejects.toMatchObject({
      message: `${bench.dir} is a directory, not a file`,
      hint: 'end `dest` with / to copy into it',
    });
  });

  test('an unknown owner: nothing is put in place', async () => {
    const dir = await fresh();
    await expect(
      reach(bench, 'copy', { content: 'x', dest: join(dir, 'x'), owner: 'nobody-such' }),
    ).rejects.toThrow('here has no user nobody-such');
    expect(await readdir(dir)).toEqual([]);
  });

  test('a file that changed since the look', async () => {
    const dest = join(await fresh(), 'x');
    await writeFile(dest, 'one');
    const { default: copy } = await import('../../engine/modules/copy.ts');
    const given = copy.params.parse({ content: 'mine', dest });
    const found = await copy.check(bench.ctx, given);
    await writeFile(dest, 'theirs');
    await expect(copy.apply(bench.ctx, given, found)).rejects.toThrow('was changed by someone else');
    expect(await readFile(dest, 'utf8')).toBe('theirs');
  });

  test.each([
    [{ mode: 644 }, "put the mode in quotes, as '0644'"],
    [{ mode: 'rw' }, "write '0644' or 'u=rw,g=r,o='"],
    [{ mode: '0888' }, "write '0644' or 'u=rw,g=r,o='"],
    [{ dest: 'relative' }, 'must be an absolute path'],
    [{ src: 'a' }, 'either `src` or `content`'],
  ])('%j is refused', async (more, why) => {
    await expect(check(bench, 'copy', { content: '', dest: '/x', ...more })).rejects.toThrow(why);
  });

  test('a user without the right to write: the old file stays', async () => {
    const dir = await fresh();
    await chmod(bench.dir, 0o755);
    await writeFile(join(dir, 'x'), 'old');
    const other = await openBench({ become: { user: 'nobody', method: 'su' } });
    try {
      await expect(reach(other, 'copy', { content: 'new', dest: join(dir, 'x') })).rejects.toThrow(
        `cannot write in ${dir}: Permission denied`,
      );
      await chmod(join(dir, 'x'), 0o600);
      await expect(check(other, 'copy', { content: 'new', dest: join(dir, 'x') })).rejects.toThrow(
        `cannot read ${join(dir, 'x')}: Permission denied`,
      );
      await chmod(dir, 0o700);
      await expect(check(other, 'copy', { content: 'new', dest: join(dir, 'x') })).rejects.toThrow(
        `cannot look at ${join(dir, 'x')}: Permission denied`,
      );
    } finally {
      await other.close();
    }
    expect(await readFile(join(dir, 'x'), 'utf8')).toBe('old');
  });
});

test('on a full disk the error says so, the old file stays and nothing is left beside it', async () => {
  const dir = await fresh();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir]);
  try {
    const dest = join(dir, 'x');
    await reach(bench, 'copy', { content: 'old', dest });
    const big = 'x'.repeat(200_000);
    const full = `cannot write ${dest}: No space left on device`;
    await expect(reach(bench, 'copy', { content: big, dest })).rejects.toThrow(full);
    await writeFile(join(bench.dir, 'big.hbs'), big);
    await expect(reach(bench, 'template', { src: 'big.hbs', dest })).rejects.toThrow(full);
    await expect(reach(bench, 'line_in_file', { path: dest, line: big })).rejects.toThrow(full);
    await expect(reach(bench, 'block_in_file', { path: dest, block: big })).rejects.toThrow(full);
    expect(await readdir(dir)).toEqual(['x']);
    expect(await readFile(dest, 'utf8')).toBe('old');
  } finally {
    execFileSync('umount', [dir]);
  }
});

test('a directory is copied with all in it; with a / at its end only what is in it', async () => {
  const dir = await fresh();
  const source = join(bench.dir, 'tree');
  await mkdir(join(source, 'sub dir'), { recursive: true });
  await writeFile(join(source, 'a'), 'a');
  await writeFile(join(source, 'sub dir', "b's"), 'b');
  const inside = {
    src: `${source}/`,
    dest: join(dir, 'new', 'conf.d'),
    mode: '0640',
    directory_mode: '0750',
  };
  const { before } = await reach(bench, 'copy', inside);
  expect(before.changes).toHaveLength(4);
  expect(await readFile(join(dir, 'new', 'conf.d', 'sub dir', "b's"), 'utf8')).toBe('b');
  expect(await modeOf(join(dir, 'new', 'conf.d', 'sub dir'))).toBe('750');
  expect((await check(bench, 'copy', inside)).changes).toEqual([]);
  await chmod(join(dir, 'new', 'conf.d', 'sub dir'), 0o700);
  await writeFile(join(source, 'a'), 'changed');
  expect((await reach(bench, 'copy', inside)).before.changes.map((change) => change.what)).toEqual([
    `mode of ${join(dir, 'new', 'conf.d', 'sub dir')}`,
    `content of ${join(dir, 'new', 'conf.d', 'a')}`,
  ]);
  await reach(bench, 'copy', { src: source, dest: dir });
  expect((await readdir(join(dir, 'tree'))).sort()).toEqual(['a', 'sub dir']);
});

test('without force a file that is there stays', async () => {
  const dest = join(await fresh(), 'x');
  await reach(bench, 'copy', { content: 'one', dest, force: false });
  expect((await reach(bench, 'copy', { content: 'two', dest, force: false })).before.changes).toEqual([]);
  expect(await readFile(dest, 'utf8')).toBe('one');
});

test('nothing of it all was run by a shell', async () => {
  expect(
    (await run(bench, 'command', { cmd: 'true', removes: '/tmp/drillbook-owned' })).result['skipped_because'],
  ).toBeDefined();
});
