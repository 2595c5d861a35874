import { access, readFile, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DrillbookError } from '../core/error.ts';
import { withLock } from './lock.ts';
import { environment, must } from './program.ts';

/** Program, or file, → Debian package that has it. */
const NEEDED: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  mke2fs: 'e2fsprogs',
  ip: 'iproute2',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  '/usr/share/keyrings/debian-archive-keyring.gpg': 'debian-archive-keyring',
};

async function isInstalled(program: string): Promise<boolean> {
  for (const folder of (environment()['PATH'] ?? '').split(':')) {
    if (
      await access(resolve(folder, program)).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
}

async function missingPackages(): Promise<readonly string[]> {
  const missing = new Set<string>();
  for (const [program, name] of Object.entries(NEEDED)) if (!(await isInstalled(program))) missing.add(name);
  return [...missing];
}

export function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new DrillbookError(
    'lab.root',
    'the lab starts containers and bridges, and for that it must be root',
    {
      hint: 'sudo, or a root shell, on a Debian machine (a virtual one will do)',
    },
  );
}

/** cgroup.kill, by which a node loses its power. */
export function requireKernel(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  if (major > 5 || (major === 5 && minor >= 14)) return;
  throw new DrillbookError(
    'lab.kernel',
    `the lab needs Linux 5.14 or later, and this machine has ${version}`,
    {
      hint: 'Debian 12 has it',
    },
  );
}

/** Installs what the lab needs of this machine; throws one sentence where it cannot. */
export async function meetRequirements(
  onProgress: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  requireRoot();
  requireKernel(release());
  const missing = await missingPackages();
  if (missing.length === 0) return;
  if (!(await isInstalled('apt-get'))) {
    throw new DrillbookError('lab.packages', `the lab needs ${missing.join(', ')} on this machine`, {
      hint: 'it installs them itself where there is apt-get (Debian 12 or later)',
    });
  }
  onProgress(`installing ${missing.join(', ')} on this machine`);
  await installPackages(missing, signal);
}

/** Installs Debian packages, for one process after the other; services of theirs are not started. */
export const installPackages = (packages: readonly string[], signal?: AbortSignal): Promise<unknown> =>
  withLock('packages', { signal }, async () => {
    const install = ['-y', '--no-install-recommends', 'install', ...packages];
    // The lists are missing or out of date on a fresh machine.
    return aptGet(install, signal).catch(async () => {
      await aptGet(['update'], signal);
      return aptGet(install, signal);
    });
  });

const APT_LIMIT_MS = 300_000;

/** apt waits for the lock of dpkg itself, but not for that of its lists, which apt-daily holds on a fresh machine. */
async function aptGet(args: readonly string[], signal: AbortSignal | undefined): Promise<string> {
  const options = { signal, env: { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' } };
  const until = Date.now() + APT_LIMIT_MS;
  for (;;) {
    try {
      return await must(
        'apt-get',
        ['-qq', '-o', `DPkg::Lock::Timeout=${APT_LIMIT_MS / 1000}`, ...args],
        options,
      );
    } catch (error) {
      if (!(error as Error).message.includes('lists/lock') || Date.now() > until) throw error;
      await pause(1000, undefined, { signal });
    }
  }
}

/** Each systemd holds about nine inotify instances, and Debian's limit of 128 for all of root's ends at 14 nodes. */
export async function allowManyNodes(): Promise<void> {
  const path = '/proc/sys/fs/inotify/max_user_instances';
  if (Number(await readFile(path, 'utf8')) < 1024) await writeFile(path, '1024').catch(() => undefined);
}
