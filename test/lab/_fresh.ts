import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { downLab, upLab } from '../../engine/lab/lab.ts';
import type { Lab, UpOptions } from '../../engine/lab/lab.ts';
import { labDir } from '../../engine/lab/state.ts';

const ownerOf = (name: string): string => join(labDir(name), 'test-process');
const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/** A new lab, also where a test run that was killed has left one of this name; that of one that lives is not taken from it. */
export async function freshLab(options: UpOptions): Promise<Lab> {
  const owner = await read(ownerOf(options.name));
  if (owner !== '' && owner !== String(process.pid) && /vitest/.test(await read(`/proc/${owner}/cmdline`)))
    throw new Error(`lab ${options.name} is that of another test run: process ${owner}`);
  await downLab(options.name);
  const lab = await upLab(options);
  await writeFile(ownerOf(options.name), String(process.pid));
  return lab;
}
