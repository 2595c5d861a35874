import { execFileSync } from 'node:child_process';
import { installPackages } from '../engine/lab/requirements.ts';

function isInstalled(name: string): boolean {
  try {
    const status = execFileSync('dpkg-query', ['-W', '-f', '${db:Status-Abbrev}', name], { stdio: 'pipe' });
    return status.toString().startsWith('ii');
  } catch {
    return false;
  }
}

/** Installs Debian packages that are missing; services of theirs are not started. Tests may call it side by side. */
export async function ensurePackages(names: readonly string[]): Promise<void> {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const needed = `these tests need the Debian packages ${missing.join(', ')}`;
  if (process.getuid?.() !== 0) throw new Error(`${needed}: run them as root, or install the packages`);
  try {
    await installPackages(missing);
  } catch (error) {
    throw new Error(`${needed}, and apt cannot install them: ${(error as Error).message}`, { cause: error });
  }
}
