import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { withLock } from './lock.ts';
import { environment, execute, must } from './program.ts';

/** Program → Debian package that has it. */
const NEEDED: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  mke2fs: 'e2fsprogs',
  ip: 'iproute2',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
};

async function isInstalled(program: string): Promise<boolean> {
  for (const folder of (environment()['PATH'] ?? '').split(':')) {
    if (
      await access(join(folder, program)).then(
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

/** Installs what the lab needs of this machine; throws one sentence where it cannot. */
export async function meetRequirements(
  onProgress: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  requireRoot();
  if ((await missingPackages()).length === 0) return;
  await withLock('packages', { signal }, async () => {
    const missing = await missingPackages();
    if (missing.length === 0) return;
    if (!(await isInstalled('apt-get'))) {
      throw new DrillbookError('lab.packages', `the lab needs ${missing.join(', ')} on this machine`, {
        hint: 'it installs them itself where there is apt-get (Debian 12 or later)',
      });
    }
    onProgress(`installing ${missing.join(', ')} on this machine`);
    await install(missing, signal);
  });
}

async function install(packages: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  const wait = ['-qq', '-o', 'DPkg::Lock::Timeout=300'];
  const options = { signal, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  const args = [...wait, '-y', '--no-install-recommends', 'install', ...packages];
  if ((await execute('apt-get', args, options)).code === 0) return;
  // The lists are missing or out of date on a fresh machine.
  await must('apt-get', [...wait, 'update'], options);
  await must('apt-get', args, options);
}

/** Each systemd holds about nine inotify instances, and Debian's limit of 128 for all of root's ends at 14 nodes. */
export async function allowManyNodes(): Promise<void> {
  const path = '/proc/sys/fs/inotify/max_user_instances';
  if (Number(await readFile(path, 'utf8')) < 1024) await writeFile(path, '1024').catch(() => undefined);
}
