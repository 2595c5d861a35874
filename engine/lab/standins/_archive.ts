import { execFile } from 'node:child_process';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { machine } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LabStack } from '../state.ts';
import { EPOCH_SECONDS, finish } from './_stage.ts';

const run = promisify(execFile);

export interface Archive {
  readonly stack: LabStack;
  /** Folder of the product's sources that is handed out. */
  readonly installer: string;
  readonly release: string;
}

/** Packs the installer of a release with its packages in `packages/`, named as the product's downloads are. */
export async function makeArchive(
  work: string,
  outDir: string,
  { stack, installer, release }: Archive,
  makePackages: (folder: string) => Promise<unknown>,
): Promise<string> {
  const place = join(work, release);
  const folder = join(place, installer);
  await mkdir(place, { recursive: true });
  await cp(join(import.meta.dirname, stack, installer), folder, { recursive: true });
  await mkdir(join(folder, 'packages'));
  await makePackages(join(folder, 'packages'));
  await writeFile(join(folder, 'packages', '.version'), `${release}\n`);
  await finish(folder, { VERSION: release });
  const path = join(outDir, `${stack.toUpperCase()}-${release}-debian12-${machine()}-debs.tar.gz`);
  const same = ['--sort=name', `--mtime=@${EPOCH_SECONDS}`, '--owner=0', '--group=0', '--numeric-owner'];
  await run('tar', [...same, '-I', 'gzip -n', '-C', place, '-cf', path, installer]);
  return path;
}
