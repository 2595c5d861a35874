import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LabStack } from '../state.ts';
import { makeArchive } from './_archive.ts';
import { makeDeb } from './_deb.ts';
import { products } from './products.ts';

/**
 * Builds the stand-ins of a product in every release into `outDir`, packages or archives with packages in them; gives
 * their paths. Same sources, same bytes.
 */
export async function buildStandins(stack: LabStack, outDir: string): Promise<string[]> {
  const { releases, packages, installer } = products[stack];
  await mkdir(outDir, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'standins-'));
  const debs = (release: string, folder: string): Promise<string[]> =>
    Promise.all(packages.map((name) => makeDeb(work, folder, { stack, name, release })));
  try {
    const made = await Promise.all(
      releases.map(async (release) =>
        installer === undefined
          ? debs(release, outDir)
          : [
              await makeArchive(work, outDir, { stack, installer, release }, (folder) =>
                debs(release, folder),
              ),
            ],
      ),
    );
    return made.flat();
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
