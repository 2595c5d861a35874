import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { downLab, listLabs, upLab } from '../../engine/lab/lab.ts';
import type { Lab, UpOptions } from '../../engine/lab/lab.ts';

/** Per lab, the process of the test run that it is for: beside the labs, for it is there before its lab. */
const OWNERS = '/run/drillbook-test-labs';
/** Of which this process is a worker. */
const RUN = String(process.ppid);

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
const ownerOf = (name: string): string => read(join(OWNERS, name));

/** Takes the name of a lab for this test run; that of one that lives is not taken from it. */
export function claim(name: string): void {
  const owner = ownerOf(name);
  if (owner !== '' && owner !== RUN && /vitest/.test(read(`/proc/${owner}/cmdline`)))
    throw new Error(`lab ${name} is that of another test run: process ${owner}`);
  mkdirSync(OWNERS, { recursive: true });
  writeFileSync(join(OWNERS, name), RUN);
}

/** A new lab, also where a test run that was killed has left one of this name. */
export async function freshLab(options: UpOptions): Promise<Lab> {
  claim(options.name);
  await downLab(options.name);
  return upLab(options);
}

/** Takes down the lab of this name, unless it is that of another test run. */
export async function downOwn(name: string): Promise<void> {
  if (ownerOf(name) === RUN) await downLab(name);
}

/** For the end of test run `run`: labs of files that ended before they could take them down. */
export async function downLeft(run: string): Promise<void> {
  const names = (existsSync(OWNERS) ? readdirSync(OWNERS) : []).filter((name) => ownerOf(name) === run);
  const there = await listLabs();
  for (const name of names) {
    if (there.includes(name)) await downLab(name);
    rmSync(join(OWNERS, name));
  }
}
