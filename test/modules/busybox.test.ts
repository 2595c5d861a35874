import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Redactor } from '../../engine/core/secret.ts';
import { loadModule } from '../../engine/modules/registry.ts';
import { openLocalWith } from '../../engine/transports/local.ts';
import { ensurePackages } from '../_apt.ts';
import { check, openBench, reach, run } from './_context.ts';
import { hostileWrongs } from './_hostile.ts';
import { scene } from './_scene.ts';
import { localSettings } from './_settings.ts';
import type { Bench } from './_context.ts';

// The node's shell and all its programs are busybox.
let bench: Bench;
let applets: string;
beforeAll(async () => {
  await ensurePackages(['busybox']);
  applets = await mkdtemp(join(tmpdir(), 'drillbook-busybox-'));
  execFileSync('busybox', ['--install', '-s', applets]);
  vi.stubEnv('PATH', applets);
  const host = { name: 'busybox', groups: [], vars: {}, connection: { transport: 'local' as const } };
  bench = await openBench({ host, transport: openLocalWith(host, new Redactor(), join(applets, 'sh')) });
});
afterAll(async () => {
  await bench.close();
  vi.unstubAllEnvs();
  await rm(applets, { recursive: true });
});

test('it is busybox', async () => {
  expect((await bench.ctx.sh('command -v stat; stat --help 2>&1 | head -n 1')).stdout).toMatch(
    /drillbook-busybox-.*\/stat\nBusyBox/,
  );
});

test('files are copied, validated, kept and edited', async () => {
  const dest = join(bench.dir, `it's`);
  for (const content of ['a\n', 'b'.repeat(100_000)]) {
    const params = { content, dest, mode: '0640', owner: 'daemon', backup: true, validate: 'test -s %s' };
    await reach(bench, 'copy', params);
    expect(await readFile(dest, 'utf8')).toBe(content);
    expect((await check(bench, 'copy', params)).changes).toEqual([]);
  }
  const path = join(bench.dir, 'link');
  await symlink(dest, path);
  await reach(bench, 'line_in_file', { path, line: 'x y' });
  expect((await check(bench, 'line_in_file', { path, line: 'x y' })).changes).toEqual([]);
  await expect(reach(bench, 'copy', { content: '', dest, owner: 'no-such-user' })).rejects.toThrow(
    'has no user no-such-user',
  );
  expect((await readdir(bench.dir)).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('directories and links are made, dressed and removed', async () => {
  const path = join(bench.dir, 'd/e');
  await reach(bench, 'file', { path, state: 'directory', mode: '0750' });
  await reach(bench, 'copy', { content: 'x', dest: join(path, 'f') });
  await reach(bench, 'file', { path, state: 'directory', recurse: true, mode: 'u=rwX,go=', owner: 'daemon' });
  expect(((await stat(join(path, 'f'))).mode & 0o777).toString(8)).toBe('600');
  await reach(bench, 'file', { path: join(bench.dir, 's'), state: 'link', src: path });
  await reach(bench, 'file', { path, state: 'absent' });
});

test('commands and shell text are run', async () => {
  expect((await run(bench, 'command', { argv: ['printf', '%s', `$(id) 'x'`] })).result['stdout']).toBe(
    `$(id) 'x'`,
  );
  for (const more of [{}, { executable: join(applets, 'ash') }]) {
    expect((await run(bench, 'shell', { cmd: 'cat; exit 3', stdin: 'q', ...more })).result).toMatchObject({
      code: 3,
      stdout: 'q',
    });
  }
});

test('facts are read', async () => {
  expect((await run(bench, 'facts', {})).result['facts']).toMatchObject({
    os: { id: 'debian' },
    cpu: { count: expect.any(Number) },
    mounts: expect.arrayContaining([expect.objectContaining({ path: '/', free_bytes: expect.any(Number) })]),
    interfaces: expect.arrayContaining([
      expect.objectContaining({
        name: 'lo',
        addresses: expect.arrayContaining([{ address: '127.0.0.1', prefix: 8, family: 'ipv4' }]),
      }),
    ]),
  });
});

test.each([
  ['dialogue', { cmd: 'true', responses: [{ prompt: 'x', answer: 'x' }] }, /needs `script` \(util-linux/],
  ['filesystem', { device: '/dev/null' }, /blkid and findmnt of util-linux are needed/],
  ['drbd.metadata', { resource: 'none' }, /blkid and findmnt of util-linux are needed/],
  ['package', { name: 'cron' }, /the rpm of this node is no package manager \(busybox\)/],
  ['time_sync', {}, /time_sync knows systemd only/],
  ['mysql.query', { query: 'SELECT 1' }, /has no program mariadb or mysql/],
])('%s cannot work with busybox alone, and says so', async (name, params, why) => {
  const { kind } = await loadModule(name);
  const work = kind === 'state' ? check(bench, name, params) : run(bench, name, params);
  await expect(work).rejects.toThrow(why);
});

// What the engine does by itself has no part in the node's shell.
const OWN = new Set(['assert', 'cluster.status', 'debug', 'fail', 'pause', 'set', 'window']);

test.each(Object.keys(localSettings('')).filter((name) => !OWN.has(name)))(
  '%s: whatever is in a text, nothing of it is run, and it arrives or is refused',
  async (name) => {
    if (name === 'dialogue') await symlink('/usr/bin/script', join(applets, 'script'));
    const at = { ...(await scene(bench.dir)), isQuick: true };
    expect(await hostileWrongs(bench, name, localSettings(bench.dir)[name] ?? [], at)).toEqual([]);
  },
  180_000,
);
