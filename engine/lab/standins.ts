import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from './lock.ts';
import { buildStandins } from './standins/build.ts';
import { cacheDir } from './state.ts';

/** Folder with the stand-in packages of all releases: from the cache, or built now from this checkout's sources. */
export async function ensureStandins(signal: AbortSignal | undefined): Promise<string> {
  const folder = join(cacheDir(), 'packages', (await sourcesKey()).slice(0, 12));
  const isThere = (): Promise<boolean> =>
    stat(folder).then(
      () => true,
      () => false,
    );
  if (await isThere()) return folder;
  return withLock('standins', { signal }, async () => {
    if (await isThere()) return folder;
    const unfinished = `${folder}.building`;
    await rm(unfinished, { recursive: true, force: true });
    try {
      await mkdir(unfinished, { recursive: true });
      await buildStandins(unfinished);
      await rename(unfinished, folder);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return folder;
  });
}

async function sourcesKey(): Promise<string> {
  const sources = join(import.meta.dirname, 'standins');
  const hash = createHash('sha256');
  const entries = await readdir(sources, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort())
    hash.update(`${file.slice(sources.length)}\0`).update(await readFile(file));
  return hash.digest('hex');
}
