import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';

/**
 * The file of the jump host that a playbook names: beside the playbook, then in `templates/` or `files/` of its
 * folder and of each folder above it, then in those folders themselves.
 */
export function localFile(path: string, playbookFile: string): string {
  if (path.startsWith('~/')) return join(homedir(), path.slice(2));
  if (isAbsolute(path)) return path;
  const tried: string[] = [];
  let folder = dirname(playbookFile);
  for (let depth = 0; depth < 5; depth++) {
    for (const inside of ['', 'templates', 'files']) {
      const candidate = join(folder, inside, path);
      if (existsSync(candidate)) return candidate;
      tried.push(candidate);
    }
    const above = dirname(folder);
    if (above === folder) break;
    folder = above;
  }
  throw new DrillbookError('plan.file', `file \`${path}\` is not on this machine`, {
    hint: `looked first for ${tried.slice(0, 3).join(', ')}`,
  });
}
