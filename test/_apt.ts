import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

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
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1', LC_ALL: 'C' };
  const install = `
    apt_install() { apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; }
    apt_install "$@" || { apt-get update -qq && apt_install "$@"; }`;
  try {
    // One at a time, whichever test process comes first.
    await run('flock', ['/tmp/drillbook-test-apt.lock', 'sh', '-c', install, 'sh', ...missing], {
      env,
      maxBuffer: 64 * 1024 * 1024,
    });
  } catch (error) {
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
    const reason = code === 'ENOENT' ? 'there is no apt-get here' : stderr.trim().split('\n').at(-1);
    throw new Error(`${needed}, and apt cannot install them: ${reason}`, { cause: error });
  }
}
