import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { withLock } from './lock.ts';
import { must } from './program.ts';
import { cacheDir } from './state.ts';

export interface CacheOptions {
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Folder NAME-KEY of the images: from the cache, or built now, once for all processes. `recipe` is all that decides what
 * is built; `build` fills a folder, and has another beside it, `.tmp`, for what it needs meanwhile.
 */
export async function cached(
  name: string,
  recipe: unknown,
  { onProgress, signal }: CacheOptions,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const key = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
  const made = join(cacheDir(), 'images', `${name}-${key}`);
  if (await isThere(made)) return made;
  const onWait = (): void => onProgress(`waiting: another process builds the ${name} image`);
  return withLock(`image-${name}`, { signal, onWait }, async () => {
    if (await isThere(made)) return made;
    // A name of its own: what a build that was killed had started may still be ending.
    const unfinished = join(dirname(made), `.${basename(made)}-${randomBytes(4).toString('hex')}`);
    const started = Date.now();
    await mkdir(dirname(made), { recursive: true });
    await removeUnfinished(made, name);
    try {
      await mkdir(`${unfinished}.tmp`);
      await build(unfinished);
      await keep(unfinished, made);
    } finally {
      await removeUnfinished(made, name);
    }
    onProgress(`image ${basename(made)} built in ${((Date.now() - started) / 1000).toFixed(0)} s`);
    return made;
  });
}

/** What is in the cache is whole, also after a power failure of this machine. */
export async function keep(unfinished: string, made: string): Promise<void> {
  await must('sync', ['--file-system', unfinished]);
  await rename(unfinished, made);
}

/** A build that was killed leaves its folder; the lock says that nobody works in it now. */
async function removeUnfinished(made: string, name: string): Promise<void> {
  for (const entry of await readdir(dirname(made)))
    if (entry.startsWith(`.${name}-`)) await rm(join(dirname(made), entry), { recursive: true, force: true });
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
