import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { furnish, FURNITURE } from './furnish.ts';
import { withLock } from './lock.ts';
import { execute, must } from './program.ts';
import { cacheDir, type Database } from './state.ts';

interface Recipe {
  readonly suite: string;
  readonly packages: readonly string[];
}

const COMMON = [
  ...['systemd', 'systemd-sysv', 'dbus', 'openssh-server', 'sudo', 'python3', 'curl', 'rsync', 'cron'],
  ...['iproute2', 'iputils-ping', 'procps', 'psmisc', 'nftables', 'keepalived', 'systemd-timesyncd'],
  ...['ca-certificates', 'openssl', 'lsof', 'less'],
];

/** Debian has MySQL in sid alone, and MariaDB 10.11 in bookworm. */
const RECIPES: Readonly<Record<Database, Recipe>> = {
  mariadb: { suite: 'bookworm', packages: [...COMMON, 'mariadb-server', 'mariadb-client'] },
  mysql: { suite: 'sid', packages: [...COMMON, 'mysql-server', 'mysql-client'] },
};

const OPTIONS = [
  ...['--quiet', '--variant=important', '--mode=root', '--format=directory'],
  '--aptopt=APT::Install-Recommends "false"',
  '--aptopt=Acquire::Check-Valid-Until "false"',
  '--aptopt=Acquire::Retries "3"',
  '--dpkgopt=force-unsafe-io',
  ...['doc', 'man', 'info', 'locale'].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
];

export interface ImageOptions {
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Folder of the base image for `database`: from the cache, or built now (under a minute), once for all processes. */
export async function ensureImage(database: Database, options: ImageOptions): Promise<string> {
  const recipe = RECIPES[database];
  const key = createHash('sha256')
    .update(JSON.stringify([recipe, OPTIONS, FURNITURE]))
    .digest('hex');
  const image = join(cacheDir(), 'images', `${database}-${key.slice(0, 12)}`);
  if (await isThere(image)) return image;
  const { signal, onProgress } = options;
  const onWait = (): void => onProgress(`waiting: another process builds the ${database} image`);
  return withLock(`image-${database}`, { signal, onWait }, async () => {
    if (!(await isThere(image))) await build(recipe, image, options);
    return image;
  });
}

async function build(recipe: Recipe, image: string, options: ImageOptions): Promise<void> {
  const name = basename(image);
  const unfinished = join(dirname(image), `.${name}.building`);
  const started = Date.now();
  const { signal, onProgress } = options;
  await mkdir(dirname(image), { recursive: true });
  await removeUnfinished(image);
  const mirror = await findMirror();
  onProgress(`building the image ${name}: Debian ${recipe.suite} with ${recipe.packages.at(-2) ?? ''}`);
  try {
    // The namespaces take mmdebstrap's mounts and processes with them, however it ends; setpriv ends it with us.
    const unshare = 'unshare --mount --pid --fork --kill-child --mount-proc'.split(' ');
    const guard = ['--pdeathsig', 'KILL', ...unshare];
    const what = [`--include=${recipe.packages.join(',')}`, recipe.suite, unfinished];
    const source = `deb ${mirror} ${recipe.suite} main`;
    // Its scratch files lie in the unfinished folder's neighbour, where they are found after a kill.
    const scratch = `${unfinished}.tmp`;
    await mkdir(scratch);
    const env = { ...(await proxy()), TMPDIR: scratch };
    await must('setpriv', [...guard, 'mmdebstrap', ...OPTIONS, ...what, source], { signal, env });
    await furnish(unfinished);
    await rename(unfinished, image);
  } finally {
    await removeUnfinished(image);
  }
  onProgress(`image ${name} built in ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

/** A build that was killed leaves its folder; the lock says that nobody works in it now. */
async function removeUnfinished(image: string): Promise<void> {
  const database = basename(image).split('-')[0] ?? '';
  for (const entry of await readdir(dirname(image))) {
    if (!entry.startsWith(`.${database}-`)) continue;
    await rm(join(dirname(image), entry), { recursive: true, force: true });
  }
}

/** The Debian mirror that this machine uses itself. */
async function findMirror(): Promise<string> {
  const set = process.env['DRILLBOOK_MIRROR'];
  if (set !== undefined && set !== '') return set;
  const format = '$(REPO_URI) $(ORIGIN) $(LABEL)';
  const { stdout } = await execute('apt-get', ['indextargets', '--format', format]);
  const targets = stdout.split('\n').map((line) => line.split(' '));
  // Origin and label are known only where `apt-get update` has run.
  const found =
    targets.find(([, origin, label]) => origin === 'Debian' && label === 'Debian') ??
    targets.find(([uri]) => uri !== undefined && /\/debian\/?$/.test(uri));
  if (found?.[0] !== undefined) return found[0];
  throw new DrillbookError('lab.mirror', 'this machine has no Debian mirror among its apt sources', {
    hint: 'name one in DRILLBOOK_MIRROR',
  });
}

/** mmdebstrap does not read the proxy of this machine's apt. */
async function proxy(): Promise<Record<string, string>> {
  const { stdout } = await execute('apt-config', ['dump', '--format', '%v', 'Acquire::http::Proxy']);
  return /^https?:/.test(stdout) ? { http_proxy: stdout.trim() } : {};
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
