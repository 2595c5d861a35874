import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readRpm } from '../../engine/modules/_package-file.ts';
import { ensurePackages } from '../_apt.ts';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';

// rpm itself, with a database of its own; Debian's side is tested in on-node.test.ts.
let bench: Bench;
beforeAll(async () => {
  await ensurePackages(['rpm']);
  const first = await openBench();
  vi.stubEnv('HOME', first.dir);
  await writeFile(join(first.dir, '.rpmmacros'), `%_dbpath ${first.dir}/db\n%_topdir ${first.dir}/build\n`);
  await mkdir(join(first.dir, 'db'));
  execFileSync('rpmdb', ['--initdb']);
  for (const [name, version, epoch] of [
    ['alpha', '1.0-1', 0],
    ['alpha', '1.0-2', 0],
    ['beta', '3-1', 2],
  ] as const) {
    const [number, release] = version.split('-');
    const spec = join(first.dir, `${name}.spec`);
    await writeFile(
      spec,
      `Name: ${name}\nVersion: ${number}\nRelease: ${release}\n${epoch ? `Epoch: ${epoch}\n` : ''}Summary: x\nLicense: x\nBuildArch: noarch\nAutoReqProv: no\n%description\nx\n%files\n`,
    );
    execFileSync('rpmbuild', ['-bb', '--quiet', spec], { stdio: 'ignore' });
  }
  await first.ctx.sh('cp "$1"/build/RPMS/noarch/*.rpm "$1"', { args: [first.dir] });
  bench = await openBench();
  await first.ctx.sh('cp "$1"/*.rpm "$2"', { args: [first.dir, bench.dir] });
  closeFirst = () => first.close();
});
let closeFirst: () => Promise<void> = () => Promise.resolve();
afterAll(async () => {
  vi.unstubAllEnvs();
  await bench.close();
  await closeFirst();
});

test('the header of an rpm says what it is', async () => {
  expect(await readRpm(join(bench.dir, 'beta-3-1.noarch.rpm'))).toMatchObject({
    kind: 'rpm',
    name: 'beta',
    version: '2:3-1',
    arch: 'noarch',
  });
});

test('files are installed in their versions, once', async () => {
  const params = { files: ['alpha-1.0-2.*.rpm', 'beta-*.rpm'] };
  const { result } = await reach(bench, 'package', params);
  expect(result).toEqual({
    manager: 'rpm',
    packages: { alpha: { before: null, after: '1.0-2' }, beta: { before: null, after: '2:3-1' } },
  });
  expect((await check(bench, 'package', params)).changes).toEqual([]);
});

test('a downgrade wants to be allowed', async () => {
  const params = { files: 'alpha-1.0-1.noarch.rpm' };
  await expect(check(bench, 'package', params)).rejects.toThrow(
    'this would be a downgrade: alpha 1.0-2 → 1.0-1',
  );
  const { result } = await reach(bench, 'package', { ...params, allow_downgrade: true });
  expect(result['packages']).toEqual({ alpha: { before: '1.0-2', after: '1.0-1' } });
});

test('what is no package is refused', async () => {
  await writeFile(join(bench.dir, 'fake.rpm'), 'x'.repeat(500));
  await writeFile(join(bench.dir, 'fake_1_all.deb'), 'x');
  await expect(check(bench, 'package', { files: 'fake.rpm' })).rejects.toThrow('is no RPM package');
  await expect(check(bench, 'package', { files: 'fake_1_all.deb' })).rejects.toThrow('is no Debian package');
});
