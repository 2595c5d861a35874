import { chmod, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { join } from 'node:path';

// The date of the user guide that the first stand-ins follow; any fixed one makes the build repeatable.
export const EPOCH_SECONDS = Date.UTC(2025, 0, 1) / 1000;

export const debArch = (): string => (arch() === 'x64' ? 'amd64' : arch());

export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.map((entry) => join(entry.parentPath, entry.name)).sort();
}

async function substitute(file: string, values: Readonly<Record<string, string>>): Promise<void> {
  const text = await readFile(file, 'utf8');
  const filled = text.replace(/@([A-Z]+)@/g, (found, name: string) => values[name] ?? found);
  if (filled !== text) await writeFile(file, filled);
}

async function settle(path: string): Promise<void> {
  const found = await stat(path);
  // Modes of a checkout depend on the umask of whoever made it.
  await chmod(path, found.isDirectory() || found.mode & 0o100 ? 0o755 : 0o644);
  await utimes(path, EPOCH_SECONDS, EPOCH_SECONDS);
}

/** Fills `@NAME@` in the files of a folder, and gives all of it one date and plain modes. */
export async function finish(folder: string, values: Readonly<Record<string, string>>): Promise<void> {
  const all = await filesBelow(folder);
  for (const path of all)
    if ((await stat(path)).isFile() && !path.endsWith('.deb')) await substitute(path, values);
  for (const path of [...all, folder]) await settle(path);
}
