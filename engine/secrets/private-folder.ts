import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';

/** Of statfs(2): tmpfs and ramfs. */
const IN_MEMORY = [0x01021994, 0x858458f6];
const NAME = 'drillbook-edit-';

const isInMemory = (folder: string): boolean => {
  try {
    return IN_MEMORY.includes(statfsSync(folder).type);
  } catch {
    return false;
  }
};

/** What a process that was killed could not take away itself. */
function sweep(parent: string): void {
  for (const name of readdirSync(parent).filter((one) => one.startsWith(NAME))) {
    const pid = name.slice(NAME.length).split('-')[0] ?? '';
    if (existsSync(`/proc/${pid}`)) continue;
    try {
      rmSync(join(parent, name), { recursive: true, force: true });
    } catch {
      // Somebody else's.
    }
  }
}

/** A folder in memory for nobody else's eyes. `remove` takes it away, and so does the end of the process. */
export function privateFolder(): { readonly path: string; remove(): void } {
  const parent = [process.env['XDG_RUNTIME_DIR'] ?? '', '/dev/shm'].find(isInMemory);
  if (parent === undefined)
    throw new DrillbookError('usage.edit', 'this machine has no folder in memory to edit a secret in', {
      hint: 'XDG_RUNTIME_DIR or /dev/shm has to be one: a plain text must not get to a disk',
    });
  sweep(parent);
  const path = mkdtempSync(join(parent, `${NAME}${process.pid}-`));
  chmodSync(path, 0o700);
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  process.once('exit', remove);
  return { path, remove };
}
