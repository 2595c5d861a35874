import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildStandins } from '../../engine/lab/standins/build.ts';

const run = promisify(execFile);
const STACK = 'kwdb';

describe('the archives of KWDB', () => {
  let folder: string;
  let archives: string[];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'standins-kwdb-'));
    archives = await buildStandins(STACK, join(folder, 'a'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('come out the same, byte for byte, from the same sources, one of each release', async () => {
    const digest = async (path: string): Promise<string> =>
      `${basename(path)} ${createHash('sha256')
        .update(await readFile(path))
        .digest('hex')}`;
    const again = await buildStandins(STACK, join(folder, 'b'));
    expect(await Promise.all(again.map(digest))).toEqual(await Promise.all(archives.map(digest)));
    expect(archives.map((path) => basename(path).split('-')[1])).toEqual(['2.2.0', '2.2.1']);
  });

  test('unpack to what the document has, with packages that say they are stand-ins', async () => {
    for (const archive of archives) {
      const place = await mkdtemp(join(folder, 'unpacked-'));
      await run('tar', ['-C', place, '-xzf', archive]);
      const list =
        'ls kwdb_install; for deb in kwdb_install/packages/*.deb; do dpkg-deb -f "$deb" Description; done';
      const { stdout } = await run('sh', ['-c', `cd "$0" && ${list}`, place]);
      expect(stdout.split('\n').slice(0, 3)).toEqual(['deploy.cfg', 'deploy.sh', 'packages']);
      expect(stdout.match(/stand-in, not the product/g)).toHaveLength(2);
    }
  });
});
