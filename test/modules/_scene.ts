import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { CANARY } from './_hostile.ts';
import type { Where } from './_hostile.ts';

/** Puts what `localSettings` speak of into a directory of this machine. */
export async function scene(dir: string): Promise<Where> {
  await mkdir(join(dir, 'names'), { recursive: true });
  await writeFile(join(dir, 'src.txt'), 'text\n');
  await writeFile(join(dir, 't.hbs'), 'text\n');
  await writeFile(join(dir, 's.sh'), '#!/bin/sh\nprintf %s "$1"\n');
  // Where something that was run can have made its file.
  const places = [process.cwd(), homedir(), '/', tmpdir(), '/var/tmp', dir, join(dir, 'names')];
  return {
    dir,
    async before() {
      for (const file of ['copy', 'line', 'block', 'link', 'answer', 'rendered'])
        await rm(join(dir, file), { force: true, recursive: true });
    },
    async wasRun() {
      const there = places.map((place) => join(place, CANARY)).filter((path) => existsSync(path));
      for (const path of there) await rm(path);
      return there.length > 0;
    },
  };
}
