import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { keep } from './cache.ts';
import { withLock } from './lock.ts';
import { buildStandins } from './standins/build.ts';
import { cacheDir, type LabStack } from './state.ts';

/** Folder with a product's stand-ins in all releases: from the cache, or built now from this checkout's sources. */
export async function ensureStandins(stack: LabStack, signal: AbortSignal | undefined): Promise<string> {
  const folder = join(cacheDir(), 'packages', `${stack}-${(await sourcesKey(stack)).slice(0, 12)}`);
  const isThere = (): Promise<boolean> =>
    stat(folder).then(
      () => true,
      () => false,
    );
  if (await isThere()) return folder;
  return withLock(`standins-${stack}`, { signal }, async () => {
    if (await isThere()) return folder;
    const unfinished = `${folder}.building`;
    await rm(unfinished, { recursive: true, force: true });
    try {
      await mkdir(unfinished, { recursive: true });
      await buildStandins(stack, unfinished);
      await keep(unfinished, folder);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return folder;
  });
}

/** Of the product's own sources, and of the programs beside them. */
async function sourcesKey(stack: LabStack): Promise<string> {
  const sources = join(import.meta.dirname, 'standins');
  const hash = createHash('sha256');
  const own = await readdir(join(sources, stack), { recursive: true, withFileTypes: true });
  const entries = [...own, ...(await readdir(sources, { withFileTypes: true }))];
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort())
    hash.update(`${file.slice(sources.length)}\0`).update(await readFile(file));
  return hash.digest('hex');
}
