import { execFileSync } from 'node:child_process';
import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chmodWord, modeAfter, modeText } from '../../engine/modules/_mode.ts';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';
import { HOSTILE_NAMES } from './_values.ts';

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
const modeOf = async (path: string): Promise<string> => modeText((await lstat(path)).mode);
const file = async (params: Record<string, unknown>) => {
  const reached = await reach(bench, 'file', params);
  if (params['state'] !== 'touch') expect((await check(bench, 'file', params)).changes).toEqual([]);
  return reached;
};

test.each(HOSTILE_NAMES)('every state takes a name as it is: %j', async (name) => {
  const dir = await fresh();
  const path = join(dir, name);
  await file({ path, state: 'directory', mode: '0711' });
  expect(await modeOf(path)).toBe('0711');
  await file({ path, state: 'absent' });
  await file({ path, state: 'touch', mode: '0600' });
  await file({ path, mode: 'g+r' });
  expect(await modeOf(path)).toBe('0640');
  await file({ path: join(dir, 'hard'), state: 'hard', src: path });
  await file({ path: join(dir, 'soft'), state: 'link', src: name });
  expect(await readlink(join(dir, 'soft'))).toBe(name);
  await file({ path, state: 'absent' });
  expect((await readdir(dir)).sort()).toEqual(['hard', 'soft']);
});

test('a directory is made with all above it, each with the mode asked for', async () => {
  const dir = await fresh();
  const { before } = await file({
    path: join(dir, 'a/b/c'),
    state: 'directory',
    mode: '0750',
    owner: 'daemon',
    group: 'daemon',
  });
  expect(before.changes).toEqual(
    ['a', 'a/b', 'a/b/c'].map((name) => ({ what: join(dir, name), before: 'absent', after: 'directory' })),
  );
  expect([await modeOf(join(dir, 'a')), await modeOf(join(dir, 'a/b/c'))]).toEqual(['0750', '0750']);
  expect((await stat(join(dir, 'a'))).uid).not.toBe(0);
});

test('recurse finds and mends what differs, and leaves what links point to', async () => {
  const dir = await fresh();
  await mkdir(join(dir, 'sub'));
  await writeFile(join(dir, 'sub', 'x\ny'), '');
  await writeFile(join(dir, 'outside'), '');
  await symlink(join(dir, 'outside'), join(dir, 'sub', 'link'));
  const { before } = await file({
    path: join(dir, 'sub'),
    state: 'directory',
    recurse: true,
    mode: 'u=rwX,go=',
    owner: 'daemon',
  });
  expect(before.changes.map((change) => change.what)).toEqual([
    `mode of ${join(dir, 'sub')}`,
    `owner of ${join(dir, 'sub')}`,
    `attributes of 2 in ${join(dir, 'sub')}`,
  ]);
  expect([await modeOf(join(dir, 'sub')), await modeOf(join(dir, 'sub', 'x\ny'))]).toEqual(['0700', '0600']);
  expect((await stat(join(dir, 'outside'))).uid).toBe(0);
});

test('a set-group-id bit that is not wanted goes', async () => {
  const dir = await fresh();
  execFileSync('chmod', ['2755', dir]);
  await file({ path: dir, state: 'directory', mode: '0755' });
  expect(await modeOf(dir)).toBe('0755');
});

test('absent takes a directory with all in it, and a link but not what it points to', async () => {
  const dir = await fresh();
  await mkdir(join(dir, 'full/of'), { recursive: true });
  await symlink('full', join(dir, 'link'));
  expect((await file({ path: join(dir, 'link'), state: 'absent' })).before.changes).toEqual([
    { what: join(dir, 'link'), before: 'link to full', after: 'absent' },
  ]);
  expect(await readdir(dir)).toEqual(['full']);
  await file({ path: join(dir, 'full'), state: 'absent' });
  expect(await readdir(dir)).toEqual([]);
});

test.each(['/', '//', '/.', '/../'])('%s is never removed', async (path) => {
  await expect(check(bench, 'file', { path, state: 'absent' })).rejects.toThrow(
    'must not be the root directory',
  );
});

test('a link is changed; a file in its place only by force; a missing source only by force', async () => {
  const dir = await fresh();
  const path = join(dir, 'link');
  await writeFile(join(dir, 'one'), 'one');
  await mkdir(join(dir, 'two'));
  await file({ path, state: 'link', src: 'one' });
  await file({ path, state: 'link', src: 'two' });
  await file({ path, state: 'link', src: join(dir, 'one') });
  await expect(file({ path, state: 'link', src: 'three' })).rejects.toThrow('there is no three to link to');
  await file({ path, state: 'link', src: 'three', force: true });
  await expect(file({ path: join(dir, 'one'), state: 'link', src: 'two' })).rejects.toMatchObject({
    hint: 'force: true replaces it',
  });
  expect(await readFile(join(dir, 'one'), 'utf8')).toBe('one');
  await file({ path: join(dir, 'one'), state: 'link', src: 'two', force: true });
  await writeFile(join(dir, 'two', 'full'), '');
  await expect(file({ path: join(dir, 'two'), state: 'link', src: 'one', force: true })).rejects.toThrow(
    'Directory not empty',
  );
  expect((await readdir(dir)).sort()).toEqual(['link', 'one', 'two']);
});

test('file wants it to be there; touch makes it and sets its times', async () => {
  const path = join(await fresh(), 'x');
  await expect(check(bench, 'file', { path })).rejects.toThrow(`there is no ${path}`);
  await file({ path, state: 'touch' });
  await utimes(path, 1, 1);
  expect((await file({ path, state: 'touch', modification_time: 'preserve' })).before.changes).toEqual([]);
  expect((await stat(path)).mtimeMs).toBe(1000);
  await file({ path, state: 'touch' });
  expect((await stat(path)).mtimeMs).toBeGreaterThan(1000);
});

test('a file where a directory shall be is an error', async () => {
  await expect(check(bench, 'file', { path: '/etc/passwd', state: 'directory' })).rejects.toThrow(
    '/etc/passwd is no directory but a file',
  );
});

test.each([
  [{ state: 'link' }, '`src` goes with'],
  [{ src: 'x' }, '`src` goes with'],
  [{ recurse: true }, '`recurse` goes with'],
  [{ state: 'link', src: 'x', mode: '0600' }, 'what a link points to'],
])('%j is refused', async (params, why) => {
  await expect(check(bench, 'file', { path: '/x', ...params })).rejects.toThrow(why);
});

test.each([
  ['0640', 0o777, false, '0640'],
  ['0o600', 0o777, false, '0600'],
  ['755', 0o2000, true, '0755'],
  ['u=rw,go=r', 0o777, false, '0644'],
  ['a+x', 0o644, false, '0755'],
  ['+x', 0o644, false, '0755'],
  ['go-rwx', 0o755, true, '0700'],
  ['a+X', 0o644, false, '0644'],
  ['a+X', 0o644, true, '0755'],
  ['u+s,o+t', 0o755, true, '5755'],
  ['g=rx', 0o2775, false, '0755'],
  ['ug+rw-x', 0o711, false, '0661'],
] as const)(
  '%s makes of %i (directory: %s) what chmod makes of it: %s',
  async (mode, current, isDirectory, wanted) => {
    expect(modeText(modeAfter(mode, current, isDirectory))).toBe(wanted);
    const path = join(await fresh(), 'x');
    if (isDirectory) await mkdir(path);
    else await writeFile(path, '');
    execFileSync('chmod', [`0${modeText(current)}`, path]);
    execFileSync('chmod', [chmodWord(mode), path]);
    expect(await modeOf(path)).toBe(wanted);
  },
);
