import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Files } from '../core/files.ts';

/**
 * The file of the jump host that a playbook names: beside the playbook, then in `templates/` or `files/` of its
 * folder and of each folder above it, then in those folders themselves.
 */
export function localFile(path: string, playbookFile: string, files: Files = disk): string {
  if (path.startsWith('~/')) return join(homedir(), path.slice(2));
  if (isAbsolute(path)) return path;
  const tried: string[] = [];
  let folder = dirname(playbookFile);
  for (let depth = 0; depth < 5; depth++) {
    for (const inside of ['', 'templates', 'files']) {
      tried.push(join(folder, inside, path));
    }
    const above = dirname(folder);
    if (above === folder) break;
    folder = above;
  }
  const found = files.find(tried);
  if (found !== undefined) return found;
  throw new DrillbookError('plan.file', `file \`${path}\` is not on this machine`, {
    hint: `looked first for ${tried.slice(0, 3).join(', ')}`,
  });
}
